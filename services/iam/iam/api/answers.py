"""What services ask over gRPC, and what they are answered: to and from the wire."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from authz.decision import Explanation
from authz.replica import Membership, Subject
from authz.standing import Project, Thing
from authz.verbs import need_of, spelled
from chassis.authority import stamp
from chassis.caller import Caller
from iam.api.telling import membership_of, project_of, subject_of
from iam.domain.gitops import Entity
from iam.usecases.authority import Doubt
from switchyard.iam.v1 import iam_pb2 as pb


def doubt_of(request: pb.CheckRequest) -> Doubt:
    """Return what is asked."""
    on = request.resource
    thing = Thing(on.owner_id, on.project, on.id)
    return Doubt(permission=request.permission, thing=thing, tenant=on.tenant_id)


def explanation_of(permission: str, told: Explanation) -> pb.ExplainResponse:
    """Return an answer with its reasons."""
    kind = (need_of(permission) or ("", 0))[0]
    return pb.ExplainResponse(
        allowed=told.allowed,
        need=spelled(kind, told.need),
        contributed_by=_spelled(kind, told.contributed_by),
        removed_by=_spelled(kind, told.removed_by),
        would_need=told.would_need,
    )


def _spelled(kind: str, masks: Mapping[str, int]) -> Mapping[str, pb.Permissions]:
    return {name: pb.Permissions(names=spelled(kind, mask)) for name, mask in masks.items()}


def standing_of(caller: Caller, expires: float | None) -> pb.IntrospectResponse:
    """Return what a credential that holds stands for."""
    key = caller.kind != "user"
    return pb.IntrospectResponse(
        active=True,
        scope=" ".join(sorted(caller.scope or ())),
        client_id=caller.credential,
        username=caller.name,
        token_type="api_key" if key else "at+jwt",
        exp=stamp(datetime.fromtimestamp(expires, UTC)) if expires else None,
        sub=caller.owner,
        tenant_id=str(caller.tenant),
        permissions=sorted(caller.permissions),
    )


def told_about(
    subject: Subject, memberships: Iterable[Membership], projects: Iterable[Project]
) -> Sequence[pb.SnapshotEvent]:
    """Return the authority of one subject, as a snapshot would tell it."""
    return [
        pb.SnapshotEvent(subject=subject_of(subject)),
        *(pb.SnapshotEvent(membership=membership_of(one)) for one in memberships),
        *(pb.SnapshotEvent(project=project_of(one)) for one in projects),
    ]


def principal_of(entity: Entity) -> pb.Principal:
    """Return somebody by what they are called."""
    return pb.Principal(
        id=str(entity.id),
        kind=entity.collection.kind,
        key=entity.key,
        name=entity.fields.get("name") or entity.fields.get("email") or entity.key,
        tenant_id=str(entity.tenant),
    )
