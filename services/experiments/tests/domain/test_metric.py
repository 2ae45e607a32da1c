"""What a metric may be, and that its documents come back whole."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from experiments.domain.aggregation import Kind, Window
from experiments.domain.errors import BadMetric, MetricStale
from experiments.domain.metric import (
    Definition,
    Denominator,
    Metric,
    MetricKind,
    Winsorised,
    definition_of,
    document,
    measure,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
K = MetricKind
GOOD = [
    Definition(kind=K.PROPORTION, event="buy", window_length=86_400),
    Definition(kind=K.MEAN, event="buy", lookback=86_400, winsorised=Winsorised(0.0, 0.99)),
    Definition(kind=K.COUNT, event="open", low=0.0, high=10.0, more_is_better=False),
    Definition(kind=K.RATIO, event="buy", denominator=Denominator("open")),
    Definition(kind=K.RATIO, event="buy", denominator=Denominator("spent", summed=True)),
    Definition(kind=K.QUANTILE, event="wait", quantile=0.95),
    Definition(kind=K.RETENTION, event="open", window_after=604_800, window_length=604_800),
    Definition(kind=K.FUNNEL, steps=("open", "cart", "buy")),
]


@pytest.mark.parametrize("definition", GOOD, ids=lambda d: d.kind.value)
def test_a_document_gives_its_definition_back(definition):
    assert definition_of(document(definition)) == definition


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"kind": K.PROPORTION}, "/event"),
        ({"kind": K.PROPORTION, "event": "a", "steps": ("a", "b")}, "/steps"),
        ({"kind": K.FUNNEL, "steps": ("a",)}, "/steps"),
        ({"kind": K.FUNNEL, "steps": ("a", "b"), "event": "a"}, "/event"),
        ({"kind": K.FUNNEL, "steps": ("a", "b"), "lookback": 1}, "/lookback"),
        ({"kind": K.RATIO, "event": "a"}, "/denominator"),
        ({"kind": K.MEAN, "event": "a", "denominator": Denominator("b")}, "/denominator"),
        ({"kind": K.RETENTION, "event": "a"}, "/window"),
        ({"kind": K.QUANTILE, "event": "a"}, "/quantile"),
        ({"kind": K.MEAN, "event": "a", "quantile": 0.5}, "/quantile"),
        ({"kind": K.MEAN, "event": "a", "low": 2.0, "high": 1.0}, "/cap"),
        ({"kind": K.MEAN, "event": "a", "winsorised": Winsorised(0.9, 0.1)}, "/winsorize"),
        ({"kind": K.PROPORTION, "event": "a", "winsorised": Winsorised(0.0, 0.9)}, "/winsorize"),
    ],
)
def test_a_definition_that_contradicts_itself_says_where(said, pointer):
    with pytest.raises(BadMetric) as caught:
        Definition(**said)
    assert [error.pointer for error in caught.value.errors] == [pointer]


def test_the_measure_of_a_ratio_of_sums_adds_up_both_sides():
    made = measure(GOOD[4])
    assert (made.kind, made.below, made.counted) == (Kind.RATIO, "spent", False)


def test_windows_are_times_after_the_exposure():
    assert measure(GOOD[6]).window == Window(timedelta(days=7), timedelta(days=7))
    assert measure(GOOD[1]).lookback == timedelta(days=1)


def test_the_steps_of_a_funnel_are_its_events():
    assert measure(GOOD[7]).events == ("open", "cart", "buy")


def test_a_change_makes_the_next_version_and_no_change_makes_none():
    metric = Metric(
        id=uuid4(), tenant=uuid4(), key="m", name="M", owner_id="ana", definition=GOOD[0],
        created_at=NOON, updated_at=NOON,
    )  # fmt: skip
    later = NOON + timedelta(hours=1)
    after = metric.changed({"definition": GOOD[1]}, later)
    assert (after.version, after.updated_at, after.definition) == (2, later, GOOD[1])
    assert metric.changed({"name": "M"}, later) is metric
    with pytest.raises(MetricStale):
        metric.expect(2)
