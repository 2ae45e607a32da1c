"""From the cells of an experiment to everything that is said about it. Pure, and the same for all, a day or a slice."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from experiments.domain.inference.analysis import Comparison, Observed, analysed
from experiments.domain.inference.decision import Decision, decided
from experiments.domain.inference.heterogeneity import Heterogeneity, across
from experiments.domain.inference.histogram import Histogram, gathered, ranks, winsorised
from experiments.domain.inference.mismatch import Phase
from experiments.domain.inference.moments import Moments, merged
from experiments.domain.inference.plans import Method, Plan
from experiments.domain.inference.quantiles import Ordered
from experiments.domain.intake import REST
from experiments.domain.trial import Cell, Frozen, Trial, plan

EXPOSURE = 0  # the number of the exposure among the metrics
CROSSED = -1  # the variant of units that were seen in several


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What is known of an experiment: the decision, every comparison, and what they come from.

    `missing` are the metrics that the experiment names and that are not measured, since they did not exist when its
    first data came, or were named later.
    """

    trial: Trial
    at: datetime
    plan: Plan
    metrics: Sequence[Frozen]
    observed: Observed
    comparisons: Sequence[Comparison]
    decision: Decision
    missing: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The units with one value of a dimension, or all those that were exposed up to a day."""

    value: str
    observed: Observed
    comparisons: Sequence[Comparison]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """An experiment by the values of a dimension, and whether (metric, variant) has one effect in all of them."""

    dimension: str
    parts: Sequence[Part]
    differs: Mapping[tuple[str, str], Heterogeneity]


def concluded(
    trial: Trial, metrics: Sequence[Frozen], cells: Sequence[Cell], at: datetime
) -> Result:
    """Say everything that follows from the cells of all units."""
    seen = observed(trial, metrics, cells)
    planned = _looked(plan(trial, metrics), seen.units)
    found = analysed(planned, seen)
    return Result(
        trial=trial,
        at=at,
        plan=planned,
        metrics=metrics,
        observed=seen,
        comparisons=found,
        decision=_decided(trial, planned, seen, found),
        missing=_missing(trial, metrics) if seen.units else (),
    )


def observed(trial: Trial, metrics: Sequence[Frozen], cells: Sequence[Cell]) -> Observed:
    """Return what the cells say, merged over phases; metrics that nobody has yet are left out."""
    by_metric: dict[int, list[Cell]] = {}
    for cell in cells:
        by_metric.setdefault(cell.metric, []).append(cell)
    exposures = by_metric.get(EXPOSURE, [])
    arms = {m.key: _arms(trial, m, by_metric[m.number]) for m in metrics if m.number in by_metric}
    return Observed(
        trial.variants,
        arms,
        _phases(trial, exposures),
        sum(cell.moments.n for cell in exposures if cell.variant == CROSSED),
    )


def broken_down(
    trial: Trial, metrics: Sequence[Frozen], dimension: str, cells: Iterable[Cell]
) -> Breakdown:
    """Compare within every value of a dimension, the one with most units first, and the rest of them last."""
    parts = [_part(trial, metrics, value, it) for value, it in _by_value(cells).items()]
    parts.sort(key=lambda part: (part.value == REST, -part.observed.units, part.value))
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for part in parts:
        for c in part.comparisons:
            pairs.setdefault((c.metric.key, c.variant), []).append(c)
    differs = {pair: across([c.contrast for c in found]) for pair, found in pairs.items()}
    return Breakdown(dimension=dimension, parts=parts, differs=differs)


def over_time(trial: Trial, metrics: Sequence[Frozen], cells: Iterable[Cell]) -> Sequence[Part]:
    """Return for each day of exposure what is known now of the units that were exposed until its end."""
    days = _by_value(cells)
    parts: list[Part] = []
    so_far: dict[tuple[int, int, int, int], Cell] = {}
    for day in sorted(days):
        for cell in days[day]:
            place = (cell.metric, cell.phase, cell.variant, cell.bucket)
            before = so_far.get(place)
            both = before.moments.plus(cell.moments) if before else cell.moments
            so_far[place] = replace(cell, value="", moments=both)
        parts.append(_part(trial, metrics, day, list(so_far.values())))
    return parts


def _part(trial: Trial, metrics: Sequence[Frozen], value: str, cells: Sequence[Cell]) -> Part:
    seen = observed(trial, metrics, cells)
    found = analysed(_looked(plan(trial, metrics), seen.units), seen)
    return Part(value=value, observed=seen, comparisons=found)


def _by_value(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.value, []).append(cell)
    return found


def _arms(
    trial: Trial, metric: Frozen, cells: Sequence[Cell]
) -> Sequence[Moments] | Sequence[Ordered]:
    places = range(len(trial.variants))
    if not metric.definition.ranked:
        return [merged(c.moments for c in cells if c.variant == at) for at in places]
    histograms = [_histogram(c for c in cells if c.variant == at) for at in places]
    if metric.definition.quantile is not None:
        return [ranks(histogram) for histogram in histograms]
    cut = metric.definition.winsorised
    return winsorised(histograms, cut.low, cut.high) if cut else [h.total for h in histograms]


def _histogram(cells: Iterable[Cell]) -> Histogram:
    return gathered((c.bucket, c.moments) for c in cells if c.moments.n)


def _phases(trial: Trial, exposures: Sequence[Cell]) -> tuple[Phase, ...]:
    """Return the exposures of every phase beside its weights."""
    places = range(len(trial.variants))
    made: list[Phase] = []
    for span in trial.spans:
        mine = {c.variant: c.moments.n for c in exposures if c.phase == span.number}
        made.append(Phase(tuple(mine.get(at, 0) for at in places), span.weights))
    return tuple(phase for phase in made if sum(phase.seen))


def _looked(planned: Plan, units: int) -> Plan:
    """Return the plan with the looks that have been reached; before the first, with the first."""
    if planned.method is not Method.GROUPED:
        return planned
    reached = tuple(t for t in planned.looks if t * planned.units <= units)
    return replace(planned, looks=reached or planned.looks[:1])


def _decided(trial: Trial, planned: Plan, seen: Observed, found: Sequence[Comparison]) -> Decision:
    ended = planned.method is Method.FIXED and 0 < planned.units <= seen.units
    early = _too_early(trial, planned, seen)
    return decided(planned, seen, found, over=trial.over or ended, early=early)


def _too_early(trial: Trial, planned: Plan, seen: Observed) -> bool:
    """Tell whether no planned look has been reached yet."""
    grouped = planned.method is Method.GROUPED and not trial.over
    return grouped and seen.units < planned.looks[0] * planned.units


def _missing(trial: Trial, metrics: Sequence[Frozen]) -> list[str]:
    known = {metric.key for metric in metrics}
    return [use.key for use in trial.uses if use.key not in known]
