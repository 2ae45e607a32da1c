"""What replicas are told, as the wire has it."""

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from typing import assert_never

from authz.decision import Binding, Level
from authz.replica import Membership, Subject
from authz.standing import Project
from authz.told import packed
from chassis.authority import stamp
from iam.domain.authority import (
    Beat,
    EndedSession,
    Event,
    Kind,
    LiveKey,
    News,
    PublicKey,
    Ready,
    Thing,
    decisive_machine,
    decisive_project,
    decisive_subject,
)
from iam.domain.gitops import C, Entity
from iam.domain.machine import Machine
from iam.domain.tenant import Tenant
from iam.domain.user import User
from switchyard.iam.v1 import iam_pb2 as pb

FULL = 256 * 1024  # bytes after which a batch is sent; readers take messages of 4 MiB
KINDS = {
    pb.KIND_SIGNING_KEY: Kind.SIGNING_KEY,
    pb.KIND_TENANT: Kind.TENANT,
    pb.KIND_SUBJECT: Kind.SUBJECT,
    pb.KIND_API_KEY: Kind.API_KEY,
    pb.KIND_SESSION: Kind.SESSION,
    pb.KIND_MEMBERSHIP: Kind.MEMBERSHIP,
    pb.KIND_PROJECT: Kind.PROJECT,
}
_WIRE = {kind: wire for wire, kind in KINDS.items()}
_LEVELS: Mapping[Level, pb.Level.ValueType] = {
    "platform": pb.LEVEL_PLATFORM,
    "tenant": pb.LEVEL_TENANT,
    "project": pb.LEVEL_PROJECT,
    "object": pb.LEVEL_OBJECT,
}


async def one_by_one(events: AsyncIterable[Event]) -> AsyncGenerator[pb.SnapshotEvent]:
    """Return the stream with a message for each event: for readers who do not know batches."""
    async for event in events:
        yield event_of(event)


async def batched(events: AsyncIterable[Event]) -> AsyncGenerator[pb.SnapshotEvent]:
    """Return the stream with the whole state in few messages; what comes after it goes at once and by itself."""
    held, size, whole = list[pb.SnapshotEvent](), 0, False
    async for event in events:
        told = event_of(event)
        whole = whole or isinstance(event, Ready)
        size += told.ByteSize()
        if held and (whole or size > FULL):
            yield pb.SnapshotEvent(epoch=held[0].epoch, batch=pb.Batch(events=held))
            held, size = [], told.ByteSize()
        if whole:
            yield told
        else:
            held.append(told)


def event_of(event: Event) -> pb.SnapshotEvent:
    """Return one event of the stream."""
    match event:
        case Ready():
            return pb.SnapshotEvent(epoch=event.epoch, ready=pb.Ready())
        case Beat():
            beat = pb.Heartbeat(at=stamp(event.at))
            return pb.SnapshotEvent(epoch=event.epoch, heartbeat=beat)
        case News():
            return _thing(event.epoch, event.thing) if event.thing else _gone(event)
        case _:
            assert_never(event)


def _gone(news: News) -> pb.SnapshotEvent:
    gone = pb.Gone(kind=_WIRE[news.kind], id=news.id)
    return pb.SnapshotEvent(epoch=news.epoch, gone=gone)


def _thing(epoch: int, thing: Thing) -> pb.SnapshotEvent:
    match thing:
        case PublicKey():
            key = pb.SigningKey(kid=thing.kid, jwk=thing.jwk)
            return pb.SnapshotEvent(epoch=epoch, signing_key=key)
        case User():
            return pb.SnapshotEvent(epoch=epoch, subject=subject_of(decisive_subject(thing)))
        case Machine():
            return pb.SnapshotEvent(epoch=epoch, subject=subject_of(decisive_machine(thing)))
        case LiveKey():
            return pb.SnapshotEvent(epoch=epoch, api_key=key_of(thing))
        case EndedSession():
            session = pb.Session(sid=str(thing.id), until=stamp(thing.until))
            return pb.SnapshotEvent(epoch=epoch, session=session)
        case Tenant():
            tenant = pb.Tenant(id=str(thing.id), slug=thing.subdomain, active=thing.active)
            return pb.SnapshotEvent(epoch=epoch, tenant=tenant)
        case Entity():
            return _entity(epoch, thing)


def subject_of(subject: Subject) -> pb.Subject:
    """Return a subject."""
    return pb.Subject(
        id=subject.id,
        tenant_id=subject.tenant,
        active=subject.active,
        name=subject.name,
        roles=subject.roles,
        permissions=sorted(subject.permissions),
        platform=subject.platform,
        bindings=[_binding(binding) for binding in subject.bindings],
        member_of=sorted(subject.member_of),
        kind=subject.kind,
    )


def _binding(binding: Binding) -> pb.Binding:
    return pb.Binding(
        role=binding.role,
        level=_LEVELS[binding.level],
        where=binding.where,
        masks=binding.masks,
        not_before=stamp(binding.not_before) if binding.not_before else None,
        expires_at=stamp(binding.expires_at) if binding.expires_at else None,
        tenant_id=binding.tenant,
    )


def _entity(epoch: int, entity: Entity) -> pb.SnapshotEvent:
    if entity.collection is C.PROJECTS:
        return pb.SnapshotEvent(epoch=epoch, project=project_of(decisive_project(entity)))
    ends = Membership(str(entity.id), str(entity.tenant), str(entity.principal), str(entity.parent))
    return pb.SnapshotEvent(epoch=epoch, membership=membership_of(ends))


def membership_of(membership: Membership) -> pb.Membership:
    """Return a membership."""
    id_, tenant, principal, group = membership
    return pb.Membership(id=id_, tenant_id=tenant, principal_id=principal, group_id=group)


def project_of(project: Project) -> pb.Project:
    """Return a project with its list."""
    return pb.Project(
        id=project.id,
        tenant_id=project.tenant,
        slug=project.slug,
        acl=[
            pb.AclEntry(mask=e.mask, principals=packed(e.principals), kind=e.kind)
            for e in project.acl
        ],
    )


def key_of(live: LiveKey) -> pb.ApiKey:
    """Return a version of an API key."""
    key, expires_at = live.key, live.expires_at
    return pb.ApiKey(
        hash=live.version.hash,
        id=str(key.id),
        tenant_id=str(key.tenant),
        kind=key.kind,
        environment=key.environment,
        scopes=sorted(key.scopes),
        expires_at=stamp(expires_at) if expires_at else None,
        subject_id=str(key.owner),
        project=key.project,
        name=key.name,
    )
