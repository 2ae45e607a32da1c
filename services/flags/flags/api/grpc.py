"""The gRPC door, for neighbours."""

from chassis.identity import Identity
from chassis.pages import DEFAULT_LIMIT, MAX_LIMIT, Cursors, PageAsk
from chassis.rpc import Context, who
from flags.api.allocating import answer_of, service_of, wish_of
from flags.domain.flag import Flag
from flags.domain.listing import Wanted
from flags.domain.place import Place, place_of
from flags.usecases.allocations import Allocations
from flags.usecases.flags import Aim, Flags
from switchyard.flags.v1 import flags_pb2 as pb
from switchyard.flags.v1 import flags_pb2_grpc as rpc

NAME = "switchyard.flags.v1.Flags"
INTERNAL = frozenset({f"/{NAME}/PutAllocation"})


class FlagsServicer(rpc.FlagsServicer):
    """Translates calls to use-cases, and their results back."""

    def __init__(
        self, flags: Flags, allocations: Allocations, identity: Identity, cursors: Cursors
    ) -> None:
        self._flags = flags
        self._allocations = allocations
        self._identity = identity
        self._cursors = cursors

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.Flag:  # noqa: N802
        """Return one flag."""
        caller = await who(self._identity, context, reads=True)
        place = place_of(caller, request.project, request.environment)
        return _told(await self._flags.get(caller, place, request.flag), place)

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:  # noqa: N802
        """Return a part of the caller's flags."""
        caller = await who(self._identity, context, reads=True)
        place = place_of(caller, request.project, request.environment)
        wanted = Wanted(environment=place.environment)
        scope = f"grpc {place}"
        part = await self._flags.page(caller, place, wanted, self._ask(request, scope))
        return pb.ListResponse(
            items=[_told(flag, place) for flag in part.items],
            next_cursor=self._cursors.seal(scope, part.next) if part.next else "",
        )

    async def Toggle(self, request: pb.ToggleRequest, context: Context) -> pb.Flag:  # noqa: N802
        """Switch a flag over."""
        caller = await who(self._identity, context)
        place = place_of(caller, request.project, request.environment)
        aim = Aim(flag=request.flag, place=place, reason=request.reason)
        return _told(await self._flags.toggle(caller, aim), place)

    async def PutAllocation(  # noqa: N802
        self, request: pb.PutAllocationRequest, context: Context
    ) -> pb.PutAllocationResponse:
        """Have a flag serve what an experiment wants, or say whether it could."""
        wish = wish_of(request)
        caller = service_of(context, wish.place.tenant)
        verb = self._allocations.check if request.validate_only else self._allocations.put
        return answer_of(await verb(caller, wish))

    def _ask(self, request: pb.ListRequest, scope: str) -> PageAsk:
        limit = max(1, min(request.limit or DEFAULT_LIMIT, MAX_LIMIT))
        after = self._cursors.open(scope, request.cursor) if request.cursor else None
        return PageAsk(limit=limit, after=after)


def _told(flag: Flag, place: Place) -> pb.Flag:
    return pb.Flag(
        id=str(flag.id),
        key=flag.key,
        name=flag.name,
        type=flag.type.value,
        enabled=flag.switch(place.environment).enabled,
        version=flag.version,
        project=flag.project,
        environment=place.environment,
    )
