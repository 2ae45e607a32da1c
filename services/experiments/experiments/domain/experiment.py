"""An experiment: what is compared, on whom, and how far it has come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict
from uuid import UUID

from chassis.errors import FieldError
from experiments.domain.analysis import Analysis, MetricUse, check
from experiments.domain.errors import BadKey, BadVariants, PlanFrozen, VersionStale, WrongState
from experiments.domain.layers import Slot
from experiments.domain.schedule import Schedule

WHOLE = 100_000  # weights are whole thousandths of a percent
MOST_VARIANTS = 20


class Status(StrEnum):
    """How far an experiment has come."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    ARCHIVED = "ARCHIVED"


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the things compared, and its share of the units in thousandths of a percent.

    `serves` is the flag's variant that it stands for. Empty: the one of its own key; on a boolean flag without one,
    `off` for the control and `on` for the others.
    """

    key: str
    weight: int
    serves: str = ""


Targeting = Mapping[str, Any]  # a condition in the language of flags: who can be in the experiment
EVEN = (Variant("control", WHOLE // 2), Variant("treatment", WHOLE // 2))


class Changes(TypedDict, total=False):
    """What a caller may change about an experiment, where said."""

    name: str
    description: str
    hypothesis: str
    unit: str
    flag_key: str
    variants: tuple[Variant, ...]
    project: str
    environment: str
    traffic: int
    targeting: Targeting | None
    metrics: tuple[MetricUse, ...]
    analysis: Analysis
    tags: tuple[str, ...]
    slot: Slot | None


# Settled by the start; of the variants their keys and what they serve.
_SETTLED = ("unit", "project", "environment", "flag_key", "arms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A comparison of variants of one flag, owned by one tenant. The first variant is the control.

    `unit` is the attribute of the evaluation context that decides who gets what, and `traffic` the share of the units
    (in thousandths of a percent) that are assigned at all. `phase` counts the phases that have begun; `plan_hash` is
    that of the analysis plan at the start. Values are as stored; what is true now, when a date of the schedule may have
    passed, is `moves.settled(experiment, now)`.
    """

    id: UUID
    tenant: UUID
    key: str
    name: str
    owner_id: str
    created_at: datetime
    updated_at: datetime
    description: str = ""
    hypothesis: str = ""
    unit: str = "targetingKey"
    project: str = "default"
    environment: str = "production"
    flag_key: str = ""
    variants: tuple[Variant, ...] = EVEN
    traffic: int = WHOLE
    targeting: Targeting | None = None
    slot: Slot | None = None
    metrics: tuple[MetricUse, ...] = ()
    analysis: Analysis = field(default_factory=Analysis)
    tags: tuple[str, ...] = ()
    status: Status = Status.DRAFT
    schedule: Schedule | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    phase: int = 0
    plan_hash: str = ""
    version: int = 1

    def __post_init__(self) -> None:
        check_variants(self.variants)
        check(self.metrics, self.analysis)

    @property
    def arms(self) -> tuple[tuple[str, str], ...]:
        """The variants without their weights: each key, and what it serves."""
        return tuple((variant.key, variant.serves) for variant in self.variants)

    @property
    def allocation(self) -> tuple[object, ...]:
        """Everything that decides who is assigned what: when it changes, a new phase begins."""
        return self.variants, self.traffic, self.targeting, self.slot

    def expect(self, version: int | None) -> None:
        """Refuse to go on unless this is the version that was expected (None: any)."""
        if version is not None and version != self.version:
            text = f"experiment {self.key!r} is at version {self.version}, not {version}"
            raise VersionStale(text)

    def changed(self, changes: Changes, now: datetime) -> "Experiment":
        """Return the experiment with these changes; itself where they change nothing.

        While it is ACTIVE, a change of who is assigned what begins a new phase.
        """
        after = replace(self, **changes)
        if after == self:
            return self
        self._allow(after)
        if self.status is Status.ACTIVE and after.allocation != self.allocation:
            after = replace(after, phase=self.phase + 1)
        return after.touched(now)

    def _allow(self, after: "Experiment") -> None:
        """Refuse changes that come too late."""
        if self.status is Status.ARCHIVED:
            raise WrongState(f"experiment {self.key!r} is ARCHIVED and cannot change any more")
        if self.status is Status.DRAFT:
            return
        late = [name for name in _SETTLED if getattr(after, name) != getattr(self, name)]
        if late:
            raise _settled(self.key, "variants" if late[0] == "arms" else late[0])
        if self.status is Status.COMPLETED and after.allocation != self.allocation:
            raise WrongState(f"experiment {self.key!r} is COMPLETED: nobody is assigned any more")

    def check_removable(self) -> None:
        """Refuse to forget an experiment that people have seen and that is not archived."""
        if self.status not in (Status.DRAFT, Status.ARCHIVED):
            raise WrongState(
                f"experiment {self.key!r} is {self.status}; only a DRAFT or an ARCHIVED experiment can be deleted"
            )

    def touched(self, now: datetime) -> "Experiment":
        """Return the next version."""
        return replace(self, version=self.version + 1, updated_at=now)


def _settled(key: str, field_name: str) -> PlanFrozen:
    text = (
        f"experiment {key!r} has started, so its unit, flag, environment and variants are settled; "
        "weights, traffic and targeting are not"
    )
    return PlanFrozen(text, errors=(FieldError(f"/{field_name}", text, PlanFrozen.code),))


def check_key(key: str) -> None:
    """Refuse a key that could be taken for an id."""
    try:
        UUID(key)
    except ValueError:
        return
    text = f"the key {key!r} reads like an id; choose another one"
    raise BadKey(text, errors=(FieldError("/key", text, BadKey.code),))


def check_variants(variants: Sequence[Variant]) -> None:
    """Refuse variants that cannot be compared: too few, too many, named alike, or not a whole together."""
    if text := _variants_trouble(variants):
        raise BadVariants(text, errors=(FieldError("/variants", text, BadVariants.code),))


def _variants_trouble(variants: Sequence[Variant]) -> str:
    if not 2 <= len(variants) <= MOST_VARIANTS:
        return f"an experiment compares 2 to {MOST_VARIANTS} variants"
    if len({variant.key for variant in variants}) < len(variants):
        return "each variant needs a key of its own"
    if any(variant.weight < 0 for variant in variants):
        return "a weight cannot be negative"
    if (total := sum(variant.weight for variant in variants)) != WHOLE:
        return f"the weights add up to {total}; together they must be {WHOLE} (thousandths of a percent)"
    return ""
