"""The gRPC door."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.authority import stamp
from chassis.errors import FieldError, Invalid
from chassis.identity import Identity
from chassis.pages import DEFAULT_LIMIT, MAX_LIMIT, Cursors, PageAsk
from chassis.rpc import Context, who
from experiments.domain.experiment import Experiment
from experiments.domain.schedule import Moment
from experiments.ports import Wanted
from experiments.usecases.experiments import Experiments
from experiments.usecases.results import Verdict
from switchyard.experiments.v1 import experiments_pb2 as pb
from switchyard.experiments.v1 import experiments_pb2_grpc as rpc

INTERNAL = frozenset({"/switchyard.experiments.v1.Experiments/GuardVerdict"})
Judge = Callable[[UUID, str], Awaitable[Verdict]]


class ExperimentsServicer(rpc.ExperimentsServicer):
    """Translates calls to use-cases, and their results back."""

    def __init__(
        self, experiments: Experiments, identity: Identity, cursors: Cursors, judge: Judge
    ) -> None:
        self._experiments = experiments
        self._judge = judge
        self._identity = identity
        self._cursors = cursors

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.Experiment:  # noqa: N802
        """Return one experiment, by id or key."""
        caller = await who(self._identity, context, reads=True)
        return _to_pb(await self._experiments.read(caller, request.experiment))

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:  # noqa: N802
        """Return a page of the caller's experiments, the newest first."""
        caller = await who(self._identity, context, reads=True)
        caller.must_for_some("experiment:read")
        scope = f"{caller.tenant} rpc experiments"
        after = self._cursors.open(scope, request.cursor) if request.cursor else None
        ask = PageAsk(limit=_limit(request.limit), after=after)
        found = await self._experiments.list(caller, Wanted(ask=ask, now=datetime.now(UTC)))
        return pb.ListResponse(
            items=[_to_pb(item) for item in found.items],
            next_cursor=self._cursors.seal(scope, found.next) if found.next else "",
        )

    async def GuardVerdict(  # noqa: N802
        self, request: pb.GuardVerdictRequest, context: Context
    ) -> pb.GuardVerdictResponse:
        """Say whether an experiment harms a guardrail. Only services get here: `Guard` has seen their signature."""
        said = await self._judge(_tenant(request.tenant), request.experiment)
        harmed = [pb.HarmedGuardrail(metric=m, variant=v) for v, m in said.harmed]
        return pb.GuardVerdictResponse(
            harmed=bool(harmed),
            guardrails=harmed,
            sentence=said.sentence,
            units=said.units,
            watched=said.watched,
            unwatched=said.unwatched,
        )


def _tenant(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        said = "tenant is a UUID"
        raise Invalid(said, errors=(FieldError("/tenant", said),)) from None


def _limit(asked: int) -> int:
    if not 0 <= asked <= MAX_LIMIT:
        text = f"limit is 1 to {MAX_LIMIT}"
        raise Invalid(text, errors=(FieldError("/limit", text),))
    return asked or DEFAULT_LIMIT


def _to_pb(experiment: Experiment) -> pb.Experiment:
    schedule = experiment.schedule
    return pb.Experiment(
        id=str(experiment.id),
        key=experiment.key,
        name=experiment.name,
        status=experiment.status.value,
        start_date=_stamp(schedule.start if schedule else None),
        end_date=_stamp(schedule.end if schedule else None),
        version=experiment.version,
    )


def _stamp(moment: Moment | None) -> Timestamp | None:
    return stamp(moment.at) if moment else None
