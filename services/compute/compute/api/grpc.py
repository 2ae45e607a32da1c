"""The gRPC door."""

from uuid import UUID

from chassis.errors import FieldError, Invalid
from chassis.identity import Identity
from chassis.pages import DEFAULT_LIMIT, MAX_LIMIT, Cursors, PageAsk
from chassis.rpc import Context, who
from compute.api.agents import ResolveBody
from compute.api.usage import UsageBody
from compute.api.wire import agent, body_of, receipt, record_of
from compute.domain.vm import Vm
from compute.ports import Wanted
from compute.usecases.agents import Agents
from compute.usecases.usage import Usage
from compute.usecases.vms import Vms
from switchyard.compute.v1 import compute_pb2 as pb
from switchyard.compute.v1 import compute_pb2_grpc as rpc

Uses = tuple[Vms, Agents, Usage]


class ComputeServicer(rpc.ComputeServicer):
    """Translates calls to use-cases, and their results back."""

    def __init__(self, uses: Uses, identity: Identity, cursors: Cursors) -> None:
        self._vms, self._agents, self._usage = uses
        self._identity = identity
        self._cursors = cursors

    async def GetVm(self, request: pb.GetVmRequest, context: Context) -> pb.Vm:  # noqa: N802
        """Return one machine."""
        caller = await who(self._identity, context, reads=True)
        caller.must_for_some("vm:read")
        return _to_pb(await self._vms.read(caller, _id(request.id)))

    async def ListVms(  # noqa: N802
        self, request: pb.ListVmsRequest, context: Context
    ) -> pb.ListVmsResponse:
        """Return a page of the caller's machines, the newest first."""
        caller = await who(self._identity, context, reads=True)
        caller.must_for_some("vm:read")
        scope = f"{caller.tenant} rpc vms"
        after = self._cursors.open(scope, request.cursor) if request.cursor else None
        ask = PageAsk(limit=_limit(request.limit), after=after)
        found = await self._vms.list(caller, Wanted(ask=ask))
        return pb.ListVmsResponse(
            items=[_to_pb(item) for item in found.items],
            next_cursor=self._cursors.seal(scope, found.next) if found.next else "",
        )

    async def ResolveAgents(  # noqa: N802
        self, request: pb.ResolveAgentsRequest, context: Context
    ) -> pb.ResolveAgentsResponse:
        """Tell which types of agents the caller's organization may use."""
        caller = await who(self._identity, context, reads=True)
        caller.must("agent:read")
        asked = body_of(ResolveBody, {"agent_types": list(request.agent_types)})
        found = await self._agents.resolve(caller, asked.agent_types)
        allowed = [agent(one) for one in found.agents]
        return pb.ResolveAgentsResponse(allowed=allowed, denied=found.unknown)

    async def RecordUsage(  # noqa: N802
        self, request: pb.RecordUsageRequest, context: Context
    ) -> pb.RecordUsageResponse:
        """Append to the ledger what agents used: all or nothing, each event once."""
        caller = await who(self._identity, context)
        caller.must("usage:create")
        body = body_of(UsageBody, {"records": [record_of(one) for one in request.records]})
        told = [one.told() for one in body.records]
        return receipt(await self._usage.record(caller, told))


def _id(said: str) -> UUID:
    try:
        return UUID(said)
    except ValueError:
        text = f"{said[:50]!r} is not an id"
        raise Invalid(text, errors=(FieldError("/id", text),)) from None


def _limit(asked: int) -> int:
    if not 0 <= asked <= MAX_LIMIT:
        text = f"limit is 1 to {MAX_LIMIT}"
        raise Invalid(text, errors=(FieldError("/limit", text),))
    return asked or DEFAULT_LIMIT


def _to_pb(vm: Vm) -> pb.Vm:
    return pb.Vm(
        id=str(vm.id),
        name=vm.name,
        status=vm.status.value,
        cpu=vm.cpu,
        memory_gb=vm.memory_gb,
        disk_gb=vm.disk_gb,
        version=vm.version,
    )
