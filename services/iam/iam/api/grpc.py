"""The gRPC door: what services ask."""

from collections.abc import AsyncIterator
from typing import assert_never

from chassis.authority import stamp
from chassis.identity import Identity
from chassis.rpc import Context, who
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
)
from iam.domain.tenant import Tenant
from iam.domain.user import User
from iam.usecases.authority import Replicas
from switchyard.iam.v1 import iam_pb2 as pb
from switchyard.iam.v1 import iam_pb2_grpc

NAME = "switchyard.iam.v1.Iam"
INTERNAL = frozenset(f"/{NAME}/{verb}" for verb in ("Snapshot", "ResolveKey", "NoteKeyUse"))
_KINDS = {
    pb.KIND_SIGNING_KEY: Kind.SIGNING_KEY,
    pb.KIND_TENANT: Kind.TENANT,
    pb.KIND_SUBJECT: Kind.SUBJECT,
    pb.KIND_API_KEY: Kind.API_KEY,
    pb.KIND_SESSION: Kind.SESSION,
}
_WIRE = {kind: wire for wire, kind in _KINDS.items()}


class IamServicer(iam_pb2_grpc.IamServicer):
    """Translates calls to use-cases, and their results back."""

    def __init__(self, replicas: Replicas, identity: Identity) -> None:
        self._replicas = replicas
        self._identity = identity

    async def Snapshot(  # noqa: N802
        self, request: pb.SnapshotRequest, context: Context
    ) -> AsyncIterator[pb.SnapshotEvent]:
        """Stream the authority, whole and then as it changes."""
        asked = [_KINDS[kind] for kind in request.kinds if kind in _KINDS]
        async for event in self._replicas.stream(asked or list(Kind)):
            yield _event(event)

    async def ResolveKey(  # noqa: N802
        self, request: pb.ResolveKeyRequest, context: Context
    ) -> pb.ApiKey:
        """Look an API key up."""
        return _key(await self._replicas.resolve(request.hash))

    async def NoteKeyUse(  # noqa: N802
        self, request: pb.NoteKeyUseRequest, context: Context
    ) -> pb.NoteKeyUseResponse:
        """Note that API keys were used just now."""
        await self._replicas.used(request.key_ids)
        return pb.NoteKeyUseResponse()

    async def Check(self, request: pb.CheckRequest, context: Context) -> pb.CheckResponse:  # noqa: N802
        """Tell whether the caller holds a permission."""
        caller = await who(self._identity, context)
        return pb.CheckResponse(allowed=self._replicas.check(caller, request.permission))


def _event(event: Event) -> pb.SnapshotEvent:
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
            return pb.SnapshotEvent(epoch=epoch, subject=_subject(thing))
        case LiveKey():
            return pb.SnapshotEvent(epoch=epoch, api_key=_key(thing))
        case EndedSession():
            session = pb.Session(sid=str(thing.id), until=stamp(thing.until))
            return pb.SnapshotEvent(epoch=epoch, session=session)
        case Tenant():
            tenant = pb.Tenant(id=str(thing.id), slug=thing.subdomain, active=thing.active)
            return pb.SnapshotEvent(epoch=epoch, tenant=tenant)


def _subject(user: User) -> pb.Subject:
    return pb.Subject(
        id=str(user.id),
        tenant_id=str(user.tenant),
        active=user.active,
        name=user.name,
        roles=user.roles,
        permissions=sorted(user.permissions),
        platform=user.platform,
    )


def _key(live: LiveKey) -> pb.ApiKey:
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
