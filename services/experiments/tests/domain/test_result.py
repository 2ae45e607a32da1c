"""From cells to a decision: what is merged, what is left out, and what is said before there is anything."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from experiments.domain.analysis import Analysis, MetricRole, MetricUse
from experiments.domain.experiment import Status
from experiments.domain.inference import moments
from experiments.domain.inference.decision import Verdict
from experiments.domain.inference.histogram import bucket
from experiments.domain.inference.moments import Moments
from experiments.domain.inference.plans import Method, Role
from experiments.domain.intake import REST
from experiments.domain.metric import Definition, MetricKind, Winsorised
from experiments.domain.result import broken_down, concluded, observed, over_time
from experiments.domain.trial import Cell, Frozen, Span, Trial

K = MetricKind
START = datetime(2026, 5, 1, tzinfo=UTC)
NOW = START + timedelta(days=10)
BUY = Frozen(number=1, key="buy", definition=Definition(kind=K.PROPORTION, event="buy"))


def trial(**said):
    given = {
        "id": uuid4(), "tenant": uuid4(), "key": "checkout", "owner_id": "ana",
        "status": Status.ACTIVE, "variants": ("control", "treatment"),
        "spans": (Span(1, START, None, (50_000, 50_000)),), "uses": (MetricUse(key="buy"),),
        "analysis": Analysis(),
    }  # fmt: skip
    return Trial(**{**given, **said})


def exposed(*units, phase=1, value=""):
    flat = (0.0, 1.0, 0.0, 0.0)
    return [
        Cell(0, phase, at, value, 0, Moments(n, flat, (0.0,) * 10)) for at, n in enumerate(units)
    ]


def bought(*arms, phase=1, value="", metric=1):
    return [
        Cell(metric, phase, at, value, 0, moments.counted(hits, n))
        for at, (hits, n) in enumerate(arms)
    ]


def test_without_data_nothing_is_shown_and_nothing_missed():
    found = concluded(trial(), [], [], NOW)
    assert found.decision.verdict is Verdict.KEEP_RUNNING
    assert "nobody has been exposed" in found.decision.sentence
    assert (found.comparisons, found.missing, found.observed.metrics) == ((), (), {})


def test_a_true_effect_is_shipped_and_none_is_not():
    cells = [*exposed(10_000, 10_000), *bought((1000, 10_000), (1300, 10_000))]
    assert concluded(trial(), [BUY], cells, NOW).decision.verdict is Verdict.SHIP
    even = [*exposed(10_000, 10_000), *bought((1000, 10_000), (1010, 10_000))]
    assert concluded(trial(), [BUY], even, NOW).decision.verdict is Verdict.KEEP_RUNNING


def test_a_wrong_split_forbids_to_act():
    cells = [*exposed(10_000, 9_000), *bought((1000, 10_000), (1300, 9_000))]
    decision = concluded(trial(), [BUY], cells, NOW).decision
    assert decision.verdict is Verdict.DO_NOT_ACT
    assert decision.sentence.startswith("Do not act: the traffic split is wrong")


def test_each_phase_is_held_against_its_own_weights():
    spans = (
        Span(1, START, START + timedelta(days=1), (90_000, 10_000)),
        Span(2, START + timedelta(days=1), None, (50_000, 50_000)),
    )
    cells = [*exposed(9_000, 1_000), *exposed(5_000, 5_000, phase=2)]
    seen = observed(trial(spans=spans), [BUY], cells)
    assert [phase.seen for phase in seen.phases] == [(9_000, 1_000), (5_000, 5_000)]
    assert not concluded(trial(spans=spans), [], cells, NOW).decision.split.wrong


def test_units_seen_in_several_variants_are_counted_apart():
    crossed = Cell(0, 1, -1, "", 0, Moments(300, (0.0, 1.0, 0.0, 0.0), (0.0,) * 10))
    cells = [*exposed(5_000, 5_000), crossed, *bought((500, 5_000), (700, 5_000))]
    found = concluded(trial(), [BUY], cells, NOW)
    assert (found.observed.units, found.observed.crossed) == (10_000, 300)
    assert found.decision.verdict is Verdict.DO_NOT_ACT


def test_roles_come_from_the_experiment_and_deterioration_is_a_guardrail_without_margin():
    uses = (
        MetricUse(key="buy", role=MetricRole.DETERIORATION, more_is_better=False),
        MetricUse(key="later"),
    )
    cells = [*exposed(10, 10), *bought((1, 10), (2, 10))]
    found = concluded(trial(uses=uses), [BUY], cells, NOW)
    planned = found.plan.metrics[0]
    assert (planned.role, planned.margin, planned.more_is_better) == (Role.GUARDRAIL, 0.0, False)
    assert found.missing == ["later"]


def test_a_planned_look_that_is_not_reached_ships_nothing():
    analysis = Analysis(method=Method.GROUPED, looks=(0.5, 1.0), units=100_000)
    cells = [*exposed(10_000, 10_000), *bought((1000, 10_000), (1500, 10_000))]
    found = concluded(trial(analysis=analysis), [BUY], cells, NOW)
    assert found.decision.verdict is Verdict.KEEP_RUNNING
    assert "first planned look is at 50%" in found.decision.sentence
    over = concluded(trial(analysis=analysis, status=Status.COMPLETED), [BUY], cells, NOW)
    assert over.decision.verdict is Verdict.SHIP


def test_a_fixed_test_decides_when_its_units_are_in():
    analysis = Analysis(method=Method.FIXED, units=20_000)
    cells = [*exposed(10_000, 10_000), *bought((1000, 10_000), (1300, 10_000))]
    assert concluded(trial(analysis=analysis), [BUY], cells, NOW).decision.verdict is Verdict.SHIP
    early = Analysis(method=Method.FIXED, units=40_000)
    found = concluded(trial(analysis=early), [BUY], cells, NOW)
    assert found.decision.verdict is Verdict.KEEP_RUNNING


@pytest.mark.parametrize(
    "definition",
    [
        Definition(kind=K.QUANTILE, event="wait", quantile=0.5),
        Definition(kind=K.MEAN, event="wait", winsorised=Winsorised(0.0, 0.9)),
    ],
)
def test_ranked_metrics_are_read_from_their_buckets(definition):
    wait = Frozen(number=1, key="wait", definition=definition)
    cells = exposed(100, 100)
    for at in (0, 1):
        for step in range(100):
            value = (1.0 + at) * (step + 1)
            single = moments.single((value, 1.0, 0.0, 0.0))
            cells.append(Cell(1, 1, at, "", bucket(value), single))
    found = concluded(trial(uses=(MetricUse(key="wait"),)), [wait], cells, NOW)
    contrast = found.comparisons[0].contrast
    if definition.quantile:
        assert contrast.control == pytest.approx(50, rel=0.06)
        assert contrast.treated == pytest.approx(100, rel=0.06)
    else:
        assert contrast.control == pytest.approx(50.5)
        assert 95 < contrast.treated < 100


def test_a_day_holds_everybody_until_then_and_the_last_everybody():
    cells = []
    for day, size in (("2026-05-02", 50), ("2026-05-01", 100), ("2026-05-03", 25)):
        cells += [*exposed(size, size, value=day), *bought((10, size), (20, size), value=day)]
    days = over_time(trial(), [BUY], cells)
    assert [(part.value, part.observed.units) for part in days] == [
        ("2026-05-01", 200),
        ("2026-05-02", 300),
        ("2026-05-03", 350),
    ]
    last = days[-1].comparisons[0].contrast
    assert (last.control, last.treated) == pytest.approx((30 / 175, 60 / 175))


def test_an_effect_that_differs_between_countries_shows():
    cells = []
    for value, hits in (("DE", 2000), ("FR", 1000)):
        cells += exposed(10_000, 10_000, value=value)
        cells += bought((1000, 10_000), (hits, 10_000), value=value)
    cells += exposed(10, 10, value="US")
    found = broken_down(trial(), [BUY], "country", cells)
    assert [part.value for part in found.parts] == ["DE", "FR", "US"]
    many = broken_down(trial(), [BUY], "country", [*cells, *exposed(90_000, 90_000, value=REST)])
    assert [part.value for part in many.parts] == ["DE", "FR", "US", REST]
    assert found.differs["buy", "treatment"].p < 1e-6
