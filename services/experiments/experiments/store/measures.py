"""The metrics of an experiment as rows: what they are, and which events make them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from experiments.domain.aggregation import Kind, Measure
from experiments.domain.intake import EPOCH
from experiments.domain.metric import WHETHER, definition_of, document, measure
from experiments.domain.trial import Frozen
from experiments.store.data_tables import MeasureRow


def exposed(experiment: UUID) -> dict[str, Any]:
    """Return the row of the exposure itself, measure 0."""
    return _measure_row(experiment, 0, "", None) | {"whether": True}


def measured(experiment: UUID, metric: Frozen) -> dict[str, Any]:
    """Return the row of a metric that an experiment begins with."""
    it = metric.definition
    made = _measure_row(experiment, metric.number, metric.key, document(it))
    return made | {
        "whether": it.kind in WHETHER,
        "ratio": it.denominator is not None,
        "low": it.low,
        "high": it.high,
        "ranked": it.ranked,
        "steps": len(it.steps),
    }


def _measure_row(experiment: UUID, number: int, key: str, said: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "experiment": experiment,
        "metric": number,
        "key": key,
        "definition": said,
        "whether": False,
        "ratio": False,
        "low": None,
        "high": None,
        "ranked": False,
        "steps": 0,
    }


def micros(at: datetime | None) -> int | None:
    """Return a time in microseconds since 1970."""
    return None if at is None else (at - EPOCH) // timedelta(microseconds=1)


def sources_of(
    experiment: UUID, metric: Frozen, closes: datetime | None = None
) -> list[dict[str, Any]]:
    """Return which events make a metric; times in microseconds."""
    it = measure(metric.definition)
    funnel = it.kind is Kind.FUNNEL
    above = [
        _source(it, name, step if funnel else 0, below=False)
        for step, name in enumerate(it.events, 1)
    ]
    under = [_source(it, it.below, 0, below=True)] if it.below else []
    same = {"experiment": experiment, "metric": metric.number, "closes": micros(closes)}
    return [{**same, **row} for row in above + under]


def _source(it: Measure, name: str, step: int, *, below: bool) -> dict[str, Any]:
    micro = timedelta(microseconds=1)
    after, length = it.window.after, it.window.length
    summed = not it.counted if below else it.kind in (Kind.SUM, Kind.RATIO)
    return {
        "name": name,
        "step": step,
        "below": below,
        "summed": summed,
        "after": after // micro,
        "until": None if length is None else (after + length) // micro,
        "lookback": it.lookback // micro,
    }


def frozen_of(row: MeasureRow) -> Frozen:
    """Return the metric that a row keeps."""
    assert row.definition is not None
    return Frozen(number=row.metric, key=row.key, definition=definition_of(row.definition))
