"""A metric: which events of a unit are measured, how, and which way is better.

`Definition` is what an experiment freezes when its first data come; what is changed about a metric later holds for
those that begin later. `measure` says the same to the aggregation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypedDict
from uuid import UUID

from chassis.errors import FieldError
from experiments.domain.aggregation import Kind, Measure, Window
from experiments.domain.errors import BadMetric, MetricStale

LONGEST = 366 * 86_400  # seconds of a window
MOST_STEPS = 10


class MetricKind(StrEnum):
    """What is compared."""

    PROPORTION = "proportion"  # the share of units with any such event
    MEAN = "mean"  # what the values of a unit's events add up to, on average
    COUNT = "count"  # how many events a unit has, on average
    RATIO = "ratio"  # all values over the number (or the sum) of other events
    QUANTILE = "quantile"  # a quantile of what the values of a unit's events add up to
    RETENTION = "retention"  # the share of units with any such event in a later window
    FUNNEL = "funnel"  # the share of units that took all steps in order


_MEASURED = {
    MetricKind.PROPORTION: Kind.PROPORTION,
    MetricKind.MEAN: Kind.SUM,
    MetricKind.COUNT: Kind.COUNT,
    MetricKind.RATIO: Kind.RATIO,
    MetricKind.QUANTILE: Kind.SUM,
    MetricKind.RETENTION: Kind.RETENTION,
    MetricKind.FUNNEL: Kind.FUNNEL,
}
WHETHER = frozenset({MetricKind.PROPORTION, MetricKind.RETENTION, MetricKind.FUNNEL})


@dataclass(frozen=True, slots=True)
class Denominator:
    """The events under a ratio: counted, or their values added up."""

    event: str
    summed: bool = False


@dataclass(frozen=True, slots=True)
class Winsorised:
    """The shares of all units at whose values smaller and larger ones are cut."""

    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """How a metric is measured. Window and lookback are in seconds; `low` and `high` cap one unit's value.

    What it is there for in an experiment (success, guardrail, margin) is said where an experiment names it.
    """

    kind: MetricKind
    event: str = ""
    steps: tuple[str, ...] = ()
    denominator: Denominator | None = None
    window_after: int = 0
    window_length: int | None = None
    lookback: int = 0
    low: float | None = None
    high: float | None = None
    winsorised: Winsorised | None = None
    quantile: float | None = None
    more_is_better: bool = True

    def __post_init__(self) -> None:
        wrong = tuple(_wrong(self))
        if wrong:
            errors = tuple(FieldError(f"/{name}", text, BadMetric.code) for name, text in wrong)
            raise BadMetric("; ".join(text for _, text in wrong), errors=errors)

    @property
    def events(self) -> tuple[str, ...]:
        """Return the events above: one, or the steps of a funnel."""
        return self.steps if self.kind is MetricKind.FUNNEL else (self.event,)

    @property
    def ranked(self) -> bool:
        """Whether units must be kept by size of value: for a quantile, and to cut at a share of them."""
        return self.quantile is not None or self.winsorised is not None


class MetricChanges(TypedDict, total=False):
    """What a caller may change about a metric, where said."""

    name: str
    description: str
    definition: Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A definition under a key, owned by one tenant."""

    id: UUID
    tenant: UUID
    key: str
    name: str
    owner_id: str
    definition: Definition
    created_at: datetime
    updated_at: datetime
    description: str = ""
    version: int = 1

    def expect(self, version: int | None) -> None:
        """Refuse to go on unless this is the version that was expected (None: any)."""
        if version is not None and version != self.version:
            raise MetricStale(f"metric {self.key!r} is at version {self.version}, not {version}")

    def changed(self, changes: MetricChanges, now: datetime) -> "Metric":
        """Return the metric with these changes; itself where they change nothing."""
        after = replace(self, **changes)
        return self if after == self else replace(after, version=self.version + 1, updated_at=now)


def document(definition: Definition) -> dict[str, Any]:
    """Return a definition as JSON has it: what is stored, frozen and audited."""
    return {**asdict(definition), "kind": definition.kind.value, "steps": list(definition.steps)}


def definition_of(said: Mapping[str, Any]) -> Definition:
    """Return the definition that a document holds."""
    below, cut = said["denominator"], said["winsorised"]
    made: dict[str, Any] = {
        **said,
        "kind": MetricKind(said["kind"]),
        "steps": tuple(said["steps"]),
        "denominator": Denominator(**below) if below else None,
        "winsorised": Winsorised(**cut) if cut else None,
    }
    return Definition(**made)


def measure(definition: Definition) -> Measure:
    """Return what is done with the events of a unit."""
    below = definition.denominator
    length = definition.window_length
    return Measure(
        kind=_MEASURED[definition.kind],
        events=definition.events,
        below=below.event if below else None,
        counted=not (below and below.summed),
        window=Window(
            timedelta(seconds=definition.window_after),
            None if length is None else timedelta(seconds=length),
        ),
        lookback=timedelta(seconds=definition.lookback),
        low=definition.low,
        high=definition.high,
    )


def _wrong(d: Definition) -> Iterator[tuple[str, str]]:
    """Yield what contradicts itself: the field, and what must hold."""
    yield from _wrong_events(d)
    yield from _wrong_times(d)
    yield from _wrong_values(d)


def _wrong_events(d: Definition) -> Iterator[tuple[str, str]]:
    if d.kind is MetricKind.FUNNEL:
        if not 2 <= len(d.steps) <= MOST_STEPS:
            yield "steps", f"a funnel has 2 to {MOST_STEPS} steps, each the name of an event"
        if d.event:
            yield "event", "a funnel has steps and no event"
    else:
        if not d.event:
            yield "event", f"a {d.kind} is measured on an event; name it"
        if d.steps:
            yield "steps", "only a funnel has steps"
    if (d.kind is MetricKind.RATIO) != (d.denominator is not None):
        yield "denominator", "a ratio has a denominator, and nothing else has"


def _wrong_times(d: Definition) -> Iterator[tuple[str, str]]:
    if d.kind is MetricKind.RETENTION and not d.window_after:
        yield "window", "retention is measured in a later window: say how long `after` the exposure"
    if d.kind is MetricKind.FUNNEL and d.lookback:
        yield "lookback", "a funnel has no past that could be looked back at"


def _wrong_values(d: Definition) -> Iterator[tuple[str, str]]:
    if (d.kind is MetricKind.QUANTILE) != (d.quantile is not None):
        yield "quantile", "a quantile says which one, between 0 and 1, and nothing else does"
    if d.low is not None and d.high is not None and d.low > d.high:
        yield "cap", "the lower cap lies above the upper one"
    if d.winsorised and (
        d.winsorised.low >= d.winsorised.high or d.kind in {*WHETHER, MetricKind.QUANTILE}
    ):
        yield "winsorize", "shares from low to high, for means, counts and ratios"
