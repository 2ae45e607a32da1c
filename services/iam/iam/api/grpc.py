"""The gRPC door: what services ask."""

from collections.abc import AsyncIterator, Sequence

from authz.standing import Standing
from chassis.caller import Caller
from chassis.errors import Unauthenticated
from chassis.identity import Identity, NoAuthority
from chassis.rpc import Context, who
from iam.api.answers import (
    doubt_of,
    explanation_of,
    principal_of,
    standing_of,
    told_about,
)
from iam.api.telling import KINDS, batched, key_of, one_by_one
from iam.domain.authority import Kind
from iam.domain.errors import TooManyRows, UserNotFound
from iam.domain.names import as_id
from iam.usecases.authority import MOST_ASKED, Replicas
from iam.usecases.hall import Hall
from switchyard.iam.v1 import iam_pb2 as pb
from switchyard.iam.v1 import iam_pb2_grpc

NAME = "switchyard.iam.v1.Iam"
INTERNAL = frozenset(
    f"/{NAME}/{rpc}"
    for rpc in ("Snapshot", "ResolveKey", "NoteKeyUse", "Introspect", "ResolvePrincipals")
)


class IamServicer(iam_pb2_grpc.IamServicer):
    """Translates calls to use-cases, and their results back."""

    def __init__(self, replicas: Replicas, identity: Identity, hall: Hall) -> None:
        self._replicas = replicas
        self._hall = hall
        self._identity = identity

    async def Snapshot(  # noqa: N802
        self, request: pb.SnapshotRequest, context: Context
    ) -> AsyncIterator[pb.SnapshotEvent]:
        """Stream the authority, whole and then as it changes."""
        asked = [KINDS[kind] for kind in request.kinds if kind in KINDS]
        events = self._replicas.stream(asked or list(Kind))
        told = batched(events) if request.batched else one_by_one(events)
        with self._hall.stream():
            async for message in told:
                yield message

    async def ResolveKey(  # noqa: N802
        self, request: pb.ResolveKeyRequest, context: Context
    ) -> pb.ApiKey:
        """Look an API key up."""
        return key_of(await self._replicas.resolve(request.hash))

    async def NoteKeyUse(  # noqa: N802
        self, request: pb.NoteKeyUseRequest, context: Context
    ) -> pb.NoteKeyUseResponse:
        """Note that API keys were used just now."""
        await self._replicas.used(request.key_ids)
        return pb.NoteKeyUseResponse()

    async def Check(self, request: pb.CheckRequest, context: Context) -> pb.CheckResponse:  # noqa: N802
        """Tell whether the caller may do something, and if they want to know, by which authority."""
        caller = await self._caller(context)
        told = self._authority(caller) if request.with_authority else ()
        return pb.CheckResponse(allowed=self._allowed(caller, request), authority=told)

    async def BatchCheck(  # noqa: N802
        self, request: pb.BatchCheckRequest, context: Context
    ) -> pb.BatchCheckResponse:
        """Answer several questions."""
        caller = await self._caller(context)
        if len(request.checks) > MOST_ASKED:
            raise TooManyRows(f"ask at most {MOST_ASKED} questions at once")
        return pb.BatchCheckResponse(allowed=[self._allowed(caller, one) for one in request.checks])

    async def Explain(self, request: pb.CheckRequest, context: Context) -> pb.ExplainResponse:  # noqa: N802
        """Answer a question with the reasons."""
        caller = await self._caller(context)
        doubt = doubt_of(request)
        told = self._replicas.explain(caller, doubt, self._other(caller, request))
        return explanation_of(doubt.permission, told)

    async def Introspect(  # noqa: N802
        self, request: pb.IntrospectRequest, context: Context
    ) -> pb.IntrospectResponse:
        """Tell a service what a credential stands for. One that does not hold is not active, and no more is said."""
        try:
            caller = await self._identity.of({"authorization": f"Bearer {request.token}"})
        except Unauthenticated:
            return pb.IntrospectResponse(active=False)
        if caller.confirm is not None:
            raise NoAuthority("iam's own replica is behind; ask again", retry_after=1)
        return standing_of(caller, self._expiry(request.token))

    async def ResolvePrincipals(  # noqa: N802
        self, request: pb.ResolvePrincipalsRequest, context: Context
    ) -> pb.ResolvePrincipalsResponse:
        """Tell who is meant by ids."""
        ids = [id_ for text in request.ids if (id_ := as_id(text))]
        found = await self._replicas.principals(ids)
        return pb.ResolvePrincipalsResponse(principals=[principal_of(one) for one in found])

    async def _caller(self, context: Context) -> Caller:
        """Return who asks; whoever asks here wants to know how it is now, or nothing."""
        caller = await who(self._identity, context, reads=True)
        if caller.confirm is not None:
            raise NoAuthority("iam's own replica is behind; ask again", retry_after=1)
        return caller

    def _allowed(self, caller: Caller, request: pb.CheckRequest) -> bool:
        return self._replicas.check(caller, doubt_of(request), self._other(caller, request))

    def _other(self, caller: Caller, request: pb.CheckRequest) -> Standing | None:
        """Return the standing of whom it is about, in the caller's tenant; None: it is about the caller."""
        if request.subject_id in ("", caller.subject):
            return None
        known, tenant = self._identity.authority.state, str(caller.tenant)
        subject = known.subjects.get(request.subject_id)
        if subject is None or not subject.acts_in(tenant):
            caller.must("role:read")
            raise UserNotFound("there is no such user")
        return known.standing(subject, tenant, None, self._identity.clock())

    def _authority(self, caller: Caller) -> Sequence[pb.SnapshotEvent]:
        known = self._identity.authority.state
        subject = known.subjects.get(caller.account)
        if subject is None:
            return ()
        memberships, projects = known.about(subject, str(caller.tenant))
        return told_about(subject, memberships, projects)

    def _expiry(self, token: str) -> float | None:
        if (key := self._identity.key(token)) is not None:
            return key.expires
        if token.startswith("sy_"):
            return None
        keys = self._identity.authority.state.signing_keys
        return self._identity.verifier.verify(token, keys, self._identity.clock()).expires
