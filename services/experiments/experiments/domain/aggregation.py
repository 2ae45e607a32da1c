"""From events to a unit's values, and from these to the cells that inference reads.

A `Measure` says which events count, from when to when after the unit's first exposure, and how. A `UnitState` is all
that is kept of a unit; it takes events in any order, early and late alike, and gives the unit's (y, d, x_y, x_d).
A change of a unit is carried into its cell as a difference, so that a cell never has to be counted again.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import isfinite

from experiments.domain.errors import BadPlan, BadValue
from experiments.domain.inference.moments import LARGEST, Moments, single

MOST_TIMES = 1000  # of each step of a funnel that are kept of one unit; more are not needed to see whether it went on
Values = tuple[float, float, float, float]


class Kind(StrEnum):
    """What a unit's events add up to."""

    PROPORTION = "proportion"  # whether there was any
    RETENTION = "retention"  # the same, in a window that begins later
    COUNT = "count"  # how many there were
    SUM = "sum"  # what their values add up to
    RATIO = (
        "ratio"  # the sum of the values over the number of other events, or over the sum of theirs
    )
    FUNNEL = "funnel"  # whether all steps were taken, in order


_WHETHER = frozenset({Kind.PROPORTION, Kind.RETENTION})


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a unit did at a time, with a value."""

    name: str
    at: datetime
    value: float = 1.0


@dataclass(frozen=True, slots=True)
class Window:
    """The time after the first exposure in which events count: from `after`, for `length` (None: without end)."""

    after: timedelta = timedelta(0)
    length: timedelta | None = None

    def holds(self, since: timedelta) -> bool:
        """Tell whether something so long after the exposure counts. The end is outside."""
        if since < self.after:
            return False
        return self.length is None or since < self.after + self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is measured: a kind, the names of its events (for a funnel the steps in order), a window, caps for one unit.

    `below` names the events under a ratio; `counted` says that these are counted and not added up. `lookback` is how
    long before the exposure the same events make the covariate.
    """

    kind: Kind
    events: tuple[str, ...]
    below: str | None = None
    counted: bool = True
    window: Window = Window()
    lookback: timedelta = timedelta(0)
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not self.events or (self.kind is not Kind.FUNNEL and len(self.events) > 1):
            raise BadPlan("a measure has one event; a funnel has its steps")
        if (self.kind is Kind.RATIO) != (self.below is not None):
            raise BadPlan("a ratio has events below it, and nothing else has")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise BadPlan("the lower cap lies above the upper one")


@dataclass(frozen=True, slots=True)
class UnitState:
    """What is kept of one unit for one measure: sums above and below in the window, the same before the exposure."""

    exposed_at: datetime
    above: float = 0.0
    below: float = 0.0
    above_before: float = 0.0
    below_before: float = 0.0
    steps: tuple[tuple[datetime, ...], ...] = ()


def taken(measure: Measure, state: UnitState, event: Event) -> UnitState:
    """Return the state with one more event; the same state where the event does not count. Raises BadValue."""
    if not isfinite(event.value) or abs(event.value) > LARGEST:
        raise BadValue(
            f"the value of event {event.name!r} must be finite and at most {LARGEST:g} in size"
        )
    if event.name not in measure.events and event.name != measure.below:
        return state
    since = event.at - state.exposed_at
    if measure.window.holds(since):
        return (
            _stepped(measure, state, event)
            if measure.kind is Kind.FUNNEL
            else _added(measure, state, event)
        )
    if -measure.lookback <= since < timedelta(0):
        return _added_before(measure, state, event)
    return state


def counted(
    measure: Measure, exposed_at: datetime, events: Iterable[Event], closes: datetime | None = None
) -> UnitState:
    """Return the state of a unit from all its events before `closes`: what a recount gives, and an earlier exposure."""
    state = UnitState(exposed_at)
    for event in events:
        if closes is None or event.at < closes:
            state = taken(measure, state, event)
    return state


def values(measure: Measure, state: UnitState) -> Values:
    """Return the unit's vector (y, d, x_y, x_d), capped; d is 1 but for a ratio."""
    before = _capped(measure, _one(measure, state.above_before))
    if measure.kind is Kind.FUNNEL:
        return float(_went_through(measure, state)), 1.0, before, 0.0
    y = _capped(measure, _one(measure, state.above))
    if measure.kind is Kind.RATIO:
        return y, state.below, before, state.below_before
    return y, 1.0, before, 0.0


def entered(cell: Moments, measure: Measure, state: UnitState) -> Moments:
    """Return a cell with one more unit."""
    return cell.plus(single(values(measure, state)))


def left(cell: Moments, measure: Measure, state: UnitState) -> Moments:
    """Return a cell without a unit that was in it: it was seen in several variants, or was merged into another."""
    return cell.minus(single(values(measure, state)))


def changed(cell: Moments, measure: Measure, before: UnitState, after: UnitState) -> Moments:
    """Return a cell of which one unit changed."""
    old, new = values(measure, before), values(measure, after)
    return cell if old == new else cell.moved(old, new)


def _weight(measure: Measure, event: Event) -> tuple[float, float]:
    """Return what an event adds above and below."""
    above = event.name in measure.events
    summed = measure.kind in (Kind.SUM, Kind.RATIO)
    under = event.name == measure.below
    return (
        (event.value if summed else 1.0) if above else 0.0,
        (1.0 if measure.counted else event.value) if under else 0.0,
    )


def _added(measure: Measure, state: UnitState, event: Event) -> UnitState:
    above, below = _weight(measure, event)
    return replace(state, above=state.above + above, below=state.below + below)


def _added_before(measure: Measure, state: UnitState, event: Event) -> UnitState:
    above, below = _weight(measure, event)
    return replace(
        state, above_before=state.above_before + above, below_before=state.below_before + below
    )


def _stepped(measure: Measure, state: UnitState, event: Event) -> UnitState:
    """Keep the time of a step, in order of time whatever the order of arrival."""
    times = [list(step) for step in state.steps] or [[] for _ in measure.events]
    for at, name in enumerate(measure.events):
        if name == event.name:
            insort(times[at], event.at)
    return replace(state, steps=tuple(tuple(step[:MOST_TIMES]) for step in times))


def _went_through(measure: Measure, state: UnitState) -> bool:
    """Tell whether each step was taken after the one before; the earliest possible time of each is enough to know."""
    reached: datetime | None = None
    for step in state.steps:
        at = bisect_right(step, reached) if reached else 0
        if at >= len(step):
            return False
        reached = step[at]
    return len(state.steps) == len(measure.events)


def _one(measure: Measure, amount: float) -> float:
    """Return whether there was anything, for the kinds that ask only that."""
    if measure.kind in _WHETHER or measure.kind is Kind.FUNNEL:
        return float(amount > 0)
    return amount


def _capped(measure: Measure, amount: float) -> float:
    raised = amount if measure.low is None else max(measure.low, amount)
    return raised if measure.high is None else min(measure.high, raised)
