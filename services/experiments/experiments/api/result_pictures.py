"""Results as pictures and as a table."""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import StringIO

from experiments.api.result_views import ResultView
from experiments.domain.errors import NotPlottable
from experiments.domain.inference.analysis import Comparison
from experiments.domain.inference.plots.bell import posterior
from experiments.domain.inference.plots.courses import Exposed, Look, cumulative, exposures
from experiments.domain.inference.plots.forest import forest
from experiments.domain.result import Part, Result

COLUMNS = (
    "metric", "role", "variant", "units", "value", "control_units", "control_value", "difference",
    "difference_low", "difference_high", "lift", "lift_low", "lift_high", "p_value", "significant",
    "chance_to_win", "power", "state",
)  # fmt: skip


def drawn(kind: str, result: Result, days: Sequence[Part], metric: str, variant: str) -> str:
    """Return a picture as SVG: forest, exposures, or of one metric and variant cumulative or posterior."""
    if kind == "forest":
        return forest(result.comparisons, result.decision.judgement)
    if kind == "exposures":
        return exposures(result.trial.variants, _exposed(result, days), _planned(result))
    asked = _asked(result.comparisons, metric, variant)
    if kind == "posterior":
        name = f"{asked.metric.key}, {asked.variant}"
        return posterior(name, asked.belief, more_is_better=asked.metric.more_is_better)
    return cumulative(f"{asked.metric.key}, {asked.variant}", _looks(result, days, asked))


def table(view: ResultView) -> str:
    """Return a result as CSV: one row for each metric and treatment. Empty cells are not known."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for metric in view.metrics:
        arms = {arm.variant: arm for arm in metric.arms}
        control = metric.arms[0]
        for c in metric.comparisons:
            arm, apart, lift = arms[c.variant], c.difference_interval, c.lift_interval
            writer.writerow(
                (
                    metric.key, metric.role, c.variant, arm.units, arm.value, control.units,
                    control.value, c.difference, apart.low, apart.high, c.lift, lift.low, lift.high,
                    c.p_value, c.significant, c.chance_to_win, c.power, c.state,
                )
            )  # fmt: skip
    return text.getvalue()


def _asked(found: Sequence[Comparison], metric: str, variant: str) -> Comparison:
    """Return the comparison that is meant; the first one where nothing was said."""
    for c in found:
        if metric in ("", c.metric.key) and variant in ("", c.variant):
            return c
    raise NotPlottable("there is no result of this metric and variant yet")


def _looks(result: Result, days: Sequence[Part], asked: Comparison) -> list[Look]:
    made: list[Look] = []
    for part in days:
        for c in part.comparisons:
            if (c.metric.key, c.variant) == (asked.metric.key, asked.variant):
                lift = c.deciding(result.plan.method).lift
                made.append(Look(_end_of(part.value, result.at), c.contrast.lift or 0.0, lift))
    return made


def _exposed(result: Result, days: Sequence[Part]) -> list[Exposed]:
    made: list[Exposed] = []
    for part in days:
        totals = tuple(map(sum, zip(*(p.seen for p in part.observed.phases), strict=True)))
        if totals:
            made.append(Exposed(_end_of(part.value, result.at), totals))
    return made


def _planned(result: Result) -> list[tuple[datetime, float]]:
    """Return the planned course of units: a straight line up to those that were planned, where a number was said."""
    spans, units = result.trial.spans, result.plan.units
    if not units or not spans:
        return []
    end = spans[-1].end or max(result.at, spans[0].start + timedelta(days=1))
    return [(spans[0].start, 0.0), (end, float(units))]


def _end_of(day: str, now: datetime) -> datetime:
    """Return when a day ended, or now, should it still go on."""
    return min(datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1), now)
