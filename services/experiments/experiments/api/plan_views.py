"""What clients say of who is in an experiment and how it is judged, and what they are told of its past."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, JsonValue, StringConstraints

from chassis.http import Body, View
from experiments.domain.analysis import LIGHTEST, Analysis, MetricRole, MetricUse
from experiments.domain.experiment import Experiment
from experiments.domain.inference.grouped import Spending
from experiments.domain.inference.plans import Adjustment, Correction, Method
from experiments.domain.inference.sequences import BURN_IN
from experiments.domain.layers import PLACES
from experiments.domain.phases import Phase
from experiments.domain.planned import Planned, digest
from experiments.domain.publication import Publication, Told, wants
from experiments.usecases.experiments import Places

KEY = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Key = Annotated[str, StringConstraints(pattern=KEY, max_length=100)]
Share = Annotated[float, Field(ge=0, lt=1)]
# Of errors. The boundaries of rarer ones take seconds to find.
Rate = Annotated[float, Field(ge=1e-6, le=0.5)]
Look = Annotated[float, Field(gt=0, le=1)]
Place = Annotated[int, Field(ge=0, le=PLACES)]
Role = Literal["success", "guardrail", "deterioration", "information"]


class PlacesBody(Body):
    """Places of a layer (its id or key), 0 to 99999: from `start` up to but not with `end`."""

    key: Key
    start: Place
    end: Place

    def places(self) -> Places:
        """Return the places that are meant."""
        return Places(self.key, self.start, self.end)


class MetricUseBody(Body):
    """A metric of an experiment and what it is there for. Margins and effects are relative: 0.02 is 2 %."""

    key: Key
    role: Role = "success"
    more_is_better: bool | None = None
    margin: Share = 0.0
    effect: Annotated[float, Field(ge=0, le=100)] = 0.0
    weight: Annotated[float, Field(ge=LIGHTEST, le=1000)] = 1.0
    adjustment: Literal["none", "cuped", "regression"] = "none"

    def use(self) -> MetricUse:
        """Return the use that is meant."""
        words: dict[str, Any] = {
            **self.model_dump(),
            "role": MetricRole(self.role),
            "adjustment": Adjustment(self.adjustment),
        }
        return MetricUse(**words)


class AnalysisBody(Body):
    """Which method decides, with which error rates; `looks` are parts of the planned `units` of all variants."""

    method: Literal["fixed", "grouped", "watched"] = "watched"
    alpha: Rate = 0.05
    harm_alpha: Rate = 0.01
    correction: Literal["split", "holm", "benjamini_hochberg", "e_benjamini_hochberg"] = "split"
    spending: Literal["obrien_fleming", "pocock", "linear"] = "obrien_fleming"
    looks: list[Look] = Field(default_factory=lambda: [1.0], min_length=1, max_length=50)
    units: Annotated[int, Field(ge=0, le=10**12)] = 0
    burn_in: Annotated[int, Field(ge=1, le=10**9)] = BURN_IN
    auto_pause: bool = True

    def analysis(self) -> Analysis:
        """Return the analysis that is meant."""
        words: dict[str, Any] = {
            **self.model_dump(),
            "method": Method(self.method),
            "correction": Correction(self.correction),
            "spending": Spending(self.spending),
            "looks": tuple(self.looks),
        }
        return Analysis(**words)


class PlacesView(View):
    """Places of a layer, from `start` up to but not with `end`."""

    id: UUID
    start: int
    end: int


class MetricUseView(View):
    """A metric of an experiment and what it is there for; `more_is_better` null: as the metric says."""

    key: str
    role: MetricRole
    more_is_better: bool | None
    margin: float
    effect: float
    weight: float
    adjustment: Adjustment


class AnalysisView(View):
    """Which method decides, with which error rates."""

    method: Method
    alpha: float
    harm_alpha: float
    correction: Correction
    spending: Spending
    looks: list[float]
    units: int
    burn_in: int
    auto_pause: bool


class PlanState(View):
    """The SHA-256 of the analysis plan: as it was settled at the start (null before), as it is, whether they differ."""

    settled: str | None
    now: str
    changed: bool


class PhaseVariantView(View):
    """A variant as it was in a phase."""

    key: str
    weight: int
    serves: str | None


class HeldView(View):
    """A holdout as it was in a phase."""

    id: UUID
    share: int


class PhaseView(View):
    """A span in which units were assigned in one and the same way; `ended_at` null: it goes on."""

    number: int
    started_at: datetime
    ended_at: datetime | None
    unit: str
    control: str
    variants: list[PhaseVariantView]
    traffic: int
    targeting: dict[str, JsonValue] | None
    layer: PlacesView | None
    holdouts: list[HeldView]


class PhasesView(View):
    """The phases of an experiment, in order."""

    items: list[PhaseView]


class PlannedView(View):
    """A plan as it was from `at` on; number 1 is that of the start."""

    number: int
    at: datetime
    by: str
    reason: str
    hash: str
    document: dict[str, JsonValue]


class PlansView(View):
    """The analysis plan: its hashes, and every form that it had since the start."""

    settled: str | None
    now: str
    changed: bool
    items: list[PlannedView]


class AllocationView(View):
    """How far flags knows: `refused` says why in `trouble`, and is tried again."""

    state: Told
    flag_key: str
    project: str
    environment: str
    version: int | None
    published_version: int | None
    published_at: datetime | None
    trouble: str | None


def places_view(experiment: Experiment | Phase) -> PlacesView | None:
    """Return which places of a layer an experiment has, or had in a phase."""
    slot = experiment.slot
    return PlacesView(id=slot.layer, start=slot.start, end=slot.end) if slot else None


def plan_state(experiment: Experiment) -> PlanState:
    """Return the hashes of a settled experiment's plan."""
    now, settled = digest(experiment), experiment.plan_hash or None
    return PlanState(settled=settled, now=now, changed=settled not in (None, now))


def phase_view(phase: Phase) -> PhaseView:
    """Return what clients get of a phase."""
    return PhaseView(
        number=phase.number,
        started_at=phase.started_at,
        ended_at=phase.ended_at,
        unit=phase.unit,
        control=phase.control,
        variants=[
            PhaseVariantView(key=v.key, weight=v.weight, serves=v.serves or None)
            for v in phase.variants
        ],
        traffic=phase.traffic,
        targeting=targeting_view(phase.targeting),
        layer=places_view(phase),
        holdouts=[HeldView(id=held.holdout, share=held.share) for held in phase.holdouts],
    )


def targeting_view(targeting: Mapping[str, Any] | None) -> dict[str, JsonValue] | None:
    """Return a condition as JSON has it."""
    return dict(targeting) if targeting is not None else None


def planned_view(planned: Planned) -> PlannedView:
    """Return what clients get of a plan."""
    return PlannedView(
        number=planned.number,
        at=planned.at,
        by=planned.by,
        reason=planned.reason,
        hash=planned.digest,
        document=dict(planned.document),
    )


def allocation_view(experiment: Experiment, found: Publication | None) -> AllocationView:
    """Return how far flags knows of a settled experiment."""
    state = found.state if found else Told.PENDING if wants(experiment) else Told.NOTHING
    return AllocationView(
        state=state,
        flag_key=experiment.flag_key,
        project=experiment.project,
        environment=experiment.environment,
        version=found.version if found else None,
        published_version=found.sent or None if found else None,
        published_at=found.sent_at if found else None,
        trouble=found.trouble or None if found else None,
    )
