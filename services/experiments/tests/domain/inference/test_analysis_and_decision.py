"""From a plan and what was seen to a sentence."""

from dataclasses import replace
from math import inf

import pytest

from experiments.domain.errors import BadPlan
from experiments.domain.inference import grouped, histogram, moments, quantiles
from experiments.domain.inference.analysis import Observed, analysed
from experiments.domain.inference.decision import Verdict, decided
from experiments.domain.inference.judgement import to_pause, watched
from experiments.domain.inference.mismatch import Phase
from experiments.domain.inference.plans import (
    Adjustment,
    Correction,
    Method,
    MetricPlan,
    Plan,
    Role,
)


def said(plan, observed, **how):
    return decided(plan, observed, analysed(plan, observed), **how)


class TestTheSentence:
    def test_says_ship_when_a_success_metric_is_better_and_guardrails_hold(self, lab):
        found = said(lab.plan(), lab.observed(lift=0.1, n=40_000))
        assert found.verdict is Verdict.SHIP
        assert found.variant == "treatment"
        assert found.sentence.startswith("Ship treatment: it makes signup better by 10.0% (+")
        assert found.sentence.endswith(", and the guardrail holds.")
        assert found.better == (("treatment", "signup"),)

    def test_says_keep_running_when_nothing_is_known_yet(self, lab):
        found = said(lab.plan(units=100_000), lab.observed())
        assert found.verdict is Verdict.KEEP_RUNNING
        assert found.sentence == (
            "Keep running: no success metric has become better so far (20% of the planned units are in)."
        )

    def test_says_do_not_act_when_the_split_is_wrong_whatever_else_there_is(self, lab):
        observed = lab.observed(lift=0.1, n=40_000, phases=(Phase((40_000, 42_000), (1, 1)),))
        found = said(lab.plan(), observed)
        assert found.verdict is Verdict.DO_NOT_ACT
        assert found.sentence.startswith(
            "Do not act: the traffic split is wrong (40,000 / 42,000 units"
        )

    def test_says_do_not_act_when_units_crossed_over(self, lab):
        found = said(lab.plan(), lab.observed(lift=0.1, n=40_000, crossed=4000))
        assert found.verdict is Verdict.DO_NOT_ACT
        assert "4.8% of the units were seen in several variants" in found.sentence

    def test_says_stop_when_a_guardrail_is_harmed(self, lab):
        found = said(lab.plan(), lab.observed(lift=0.1, slower=0.05, n=40_000))
        assert found.verdict is Verdict.STOP
        assert found.sentence.startswith("Stop: treatment makes latency worse by 5.0%")
        assert found.worse == (("treatment", "latency"),)

    def test_says_do_not_ship_when_it_is_over_and_harmed(self, lab):
        found = said(lab.plan(), lab.observed(slower=0.05, n=40_000), over=True)
        assert found.verdict is Verdict.DO_NOT_SHIP
        assert found.sentence.startswith("Do not ship: treatment makes latency worse")

    def test_says_do_not_ship_when_it_is_over_and_nothing_is_better(self, lab):
        found = said(lab.plan(), lab.observed(n=40_000), over=True)
        assert found.verdict is Verdict.DO_NOT_SHIP
        assert found.sentence == "Do not ship: no success metric has become better."

    def test_waits_for_a_guardrail_that_may_still_be_harmed(self, lab):
        tight = replace(lab.latency, margin=0.002)
        found = said(lab.plan(lab.signup, tight), lab.observed(lift=0.1, n=40_000))
        assert found.verdict is Verdict.KEEP_RUNNING
        assert "but latency may still be harmed" in found.sentence
        assert found.unproven == (("treatment", "latency"),)
        over = said(lab.plan(lab.signup, tight), lab.observed(lift=0.1, n=40_000), over=True)
        assert over.verdict is Verdict.DO_NOT_SHIP

    def test_says_that_nobody_has_been_exposed(self, lab):
        empty = lab.observed(n=0)
        assert said(lab.plan(), empty).sentence == "Keep running: nobody has been exposed yet."
        assert (
            said(lab.plan(), replace(empty, metrics={}, phases=())).verdict is Verdict.KEEP_RUNNING
        )

    def test_asks_for_patience_with_a_fixed_test_until_it_is_over(self, lab):
        plan = lab.plan(method=Method.FIXED)
        running = said(plan, lab.observed(lift=0.1, n=40_000))
        assert running.verdict is Verdict.KEEP_RUNNING
        assert "one look, and that is at its end" in running.sentence
        assert said(plan, lab.observed(lift=0.1, n=40_000), over=True).verdict is Verdict.SHIP

    def test_can_be_made_by_planned_looks(self, lab):
        plan = lab.plan(method=Method.GROUPED, looks=(0.5,))
        assert said(plan, lab.observed(lift=0.1, n=40_000)).verdict is Verdict.SHIP
        assert said(plan, lab.observed(lift=0.005, n=40_000)).verdict is Verdict.KEEP_RUNNING

    def test_ships_the_best_treatment_that_harms_nothing(self, lab):
        n = 40_000
        base = lab.observed(n=n).metrics
        metrics = {
            "signup": (base["signup"][0], moments.counted(9200, n), moments.counted(8800, n)),
            "latency": (
                base["latency"][0],
                moments.valued(n, 106.0, 900.0 * n),
                base["latency"][0],
            ),
        }
        observed = Observed(("control", "fast", "good"), metrics, (Phase((n, n, n), (1, 1, 1)),))
        found = said(lab.plan(), observed)
        assert (found.verdict, found.variant) == (Verdict.SHIP, "good")
        assert found.worse == (("fast", "latency"),)

    def test_does_not_ship_what_is_better_in_one_and_worse_in_another(self, lab):
        n = 40_000
        base = lab.observed(n=n).metrics
        metrics = {
            "signup": (base["signup"][0], moments.counted(9200, n), moments.counted(8000, n)),
            "latency": (
                base["latency"][0],
                moments.valued(n, 106.0, 900.0 * n),
                base["latency"][0],
            ),
        }
        observed = Observed(("control", "fast", "same"), metrics, (Phase((n, n, n), (1, 1, 1)),))
        found = said(lab.plan(), observed)
        assert found.verdict is Verdict.KEEP_RUNNING
        assert "but latency worse by 6.0%" in found.sentence

    def test_counts_all_guardrails(self, lab):
        errors = MetricPlan(key="errors", role=Role.GUARDRAIL, margin=0.1, more_is_better=False)
        observed = lab.observed(lift=0.1, n=40_000)
        metrics = {**observed.metrics, "errors": (moments.counted(4000, 40_000),) * 2}
        found = said(lab.plan(lab.signup, lab.latency, errors), replace(observed, metrics=metrics))
        assert found.sentence.endswith(", and all 2 guardrails hold.")

    def test_ignores_what_is_only_information(self, lab):
        note = replace(lab.latency, role=Role.INFORMATION)
        found = said(lab.plan(lab.signup, note), lab.observed(lift=0.1, slower=0.3, n=40_000))
        assert found.verdict is Verdict.SHIP
        assert found.sentence.endswith(").")


def test_only_harmed_guardrails_pause_an_experiment(lab):
    plan = lab.plan()
    assert to_pause(plan, analysed(plan, lab.observed(slower=0.05, n=40_000))) == (
        ("treatment", "latency"),
    )
    kept = analysed(plan, lab.observed(slower=-0.05, n=40_000))
    assert (to_pause(plan, kept), watched(plan, kept), watched(plan, ())) == ((), ("latency",), ())
    assert to_pause(plan, analysed(plan, lab.observed(lift=-0.5, n=40_000))) == ()


class TestWatched:
    """A guardrail is watched when its harm would be seen: whoever asks may then go on."""

    fails = MetricPlan(key="fails", role=Role.GUARDRAIL, more_is_better=False, proportion=True)

    def watched(self, lab, *arms, **settings):
        plan = lab.plan(self.fails, **settings)
        n = [arm.n for arm in arms]
        variants = ("control", "a", "b")[: len(arms)]
        observed = Observed(variants, {"fails": arms}, (Phase(tuple(n), (1,) * len(n)),))
        return watched(plan, analysed(plan, observed))

    def test_not_before_there_are_units_enough_in_both_arms(self, lab):
        assert self.watched(lab, moments.counted(0, 99), moments.counted(99, 99)) == ()
        assert self.watched(lab, moments.counted(5, 5000), moments.counted(99, 99)) == ()
        assert self.watched(lab, moments.counted(0, 100), moments.counted(1, 100)) == ("fails",)
        few = (moments.counted(1, 40), moments.counted(2, 40))
        assert self.watched(lab, *few, burn_in=40) == ("fails",)

    def test_in_every_treatment_that_somebody_was_shown(self, lab):
        enough, few = moments.counted(10, 500), moments.counted(9, 9)
        assert self.watched(lab, enough, enough, few) == ()
        assert self.watched(lab, enough, enough, moments.nothing()) == ("fails",)

    def test_not_where_arms_without_variation_differ(self, lab):
        guard = replace(lab.latency, margin=0.0)
        plan = lab.plan(guard)
        for other, said in ((5.0, ("latency",)), (9.0, ())):
            arms = (moments.valued(500, 5.0, 0.0), moments.valued(500, other, 0.0))
            assert watched(plan, analysed(plan, lab.observed(metrics={"latency": arms}))) == said


class TestJudgement:
    """The words of the table say what the sentence says."""

    def test_a_fixed_test_shows_nothing_before_its_end(self, lab):
        plan = lab.plan(method=Method.FIXED, units=800_000)
        observed = lab.observed(lift=0.1, n=40_000)
        found = analysed(plan, observed)
        early = decided(plan, observed, found).judgement
        assert [(early.state(c), early.significant(c)) for c in found] == [("open", False)] * 2
        late = decided(plan, observed, found, over=True).judgement
        assert [late.state(c) for c in found] == ["better", "not inferior"]

    def test_harm_is_shown_at_any_look(self, lab):
        plan = lab.plan(method=Method.FIXED, units=800_000)
        observed = lab.observed(slower=0.05, n=40_000)
        found = analysed(plan, observed)
        said = decided(plan, observed, found).judgement
        assert [said.state(c) for c in found] == ["open", "harmed"]
        assert said.significant(found[1])

    def test_planned_looks_show_nothing_before_the_first(self, lab):
        plan = lab.plan(method=Method.GROUPED, units=800_000, looks=(0.5,))
        observed = lab.observed(lift=-0.05, n=40_000)
        found = analysed(plan, observed)
        assert found[0].worse > plan.harm_alpha
        early = decided(plan, observed, found, early=True)
        assert (early.verdict, early.worse) == (Verdict.KEEP_RUNNING, ())
        assert early.sentence.startswith("Keep running: the first planned look is at 50% of the")
        assert early.judgement.state(found[0]) == "open"
        assert decided(plan, observed, found).judgement.state(found[0]) == "worse"

    @pytest.mark.parametrize("z", [2.1, 2.9, 3.0])
    def test_a_planned_look_is_passed_at_its_boundary_and_not_at_the_whole_error_rate(self, lab, z):
        n = 40_000
        plan = lab.plan(lab.revenue, method=Method.GROUPED, looks=(0.5,), units=160_000)
        arms = (
            moments.valued(n, 5.0, 100.0 * n),
            moments.valued(n, 5 + z * (200 / n) ** 0.5, 100.0 * n),
        )
        observed = lab.observed(metrics={"revenue": arms}, n=n)
        found = analysed(plan, observed)
        assert found[0].planned.p <= found[0].level
        passed = z > grouped.boundaries((0.5,), plan.alpha)[0]
        assert found[0].planned.difference.holds(0.0) is not passed
        said = decided(plan, observed, found)
        assert (said.verdict is Verdict.SHIP, said.judgement.significant(found[0])) == (
            passed,
            passed,
        )

    def test_what_a_correction_ships_is_significant(self, lab):
        metrics = [MetricPlan(key=f"m{n}", proportion=True) for n in range(10)]
        plan = lab.plan(*metrics, correction=Correction.BENJAMINI_HOCHBERG, method=Method.FIXED)
        arms = {
            m.key: (moments.counted(2000, 10_000), moments.counted(2150, 10_000)) for m in metrics
        }
        observed = lab.observed(metrics=arms)
        found = analysed(plan, observed)
        assert found[0].once.p > found[0].level
        said = decided(plan, observed, found, over=True)
        assert said.verdict is Verdict.SHIP
        assert all(said.judgement.significant(c) for c in found)
        assert {said.judgement.state(c) for c in found} == {"better"}


@pytest.mark.parametrize(
    "correction",
    [
        Correction.SPLIT,
        Correction.HOLM,
        Correction.BENJAMINI_HOCHBERG,
        Correction.E_BENJAMINI_HOCHBERG,
    ],
)
def test_one_strong_success_among_several_is_enough_under_every_correction(lab, correction):
    plan = lab.plan(lab.signup, lab.revenue, correction=correction)
    assert said(plan, lab.observed(lift=0.12, n=40_000)).verdict is Verdict.SHIP
    assert said(plan, lab.observed(lift=0.01, n=40_000)).verdict is Verdict.KEEP_RUNNING


def test_success_metrics_share_the_error_rate_and_guardrails_do_not(lab):
    plan = lab.plan(lab.signup, replace(lab.revenue, weight=3.0), lab.latency)
    assert plan.level(lab.signup, 1) == pytest.approx(0.0125)
    assert plan.level(replace(lab.revenue, weight=3.0), 2) == pytest.approx(0.01875)
    assert plan.level(lab.latency, 1) == 0.05
    assert lab.plan(lab.latency).level(lab.latency, 1) == 0.05


class TestEveryComparison:
    def test_is_complete_whatever_the_method(self, lab):
        plan = lab.plan(
            lab.signup, lab.revenue, lab.latency, method=Method.GROUPED, looks=(0.3, 0.6)
        )
        for c in analysed(plan, lab.observed(lift=0.1)):
            assert c.once.difference.bounded
            assert c.always.difference.bounded
            assert c.planned.difference.bounded
            assert 0 <= c.belief.chance <= 1
            assert c.deciding(Method.GROUPED) is c.planned

    def test_tells_the_power_reached_where_an_effect_was_planned(self, lab):
        signup, latency = analysed(lab.plan(), lab.observed(n=30_000))
        assert 0.3 < signup.power < 0.9
        assert latency.power is None

    def test_of_small_counts_is_made_without_the_normal_curve(self, lab):
        few = lab.observed(metrics={"signup": (moments.counted(3, 1000), moments.counted(9, 1000))})
        (found,) = analysed(lab.plan(lab.signup), few)
        assert found.once.p == pytest.approx(0.0825, abs=0.03)
        assert found.once.difference.low > -0.01

    def test_uses_the_past_where_the_plan_says_so(self, lab):
        def units(shift, seed):
            values = lab.lognormal(seed=seed)
            return moments.of(
                [
                    (v + shift + w / 5, 1.0, v, 0.0)
                    for v, w in zip(values, lab.lognormal(seed=seed + 9), strict=True)
                ]
            )

        arms = {"revenue": (units(0, 1), units(0.05, 2))}
        errors = [
            analysed(lab.plan(replace(lab.revenue, adjustment=a)), lab.observed(metrics=arms))[
                0
            ].contrast.error
            for a in (Adjustment.NONE, Adjustment.CUPED, Adjustment.REGRESSION)
        ]
        assert errors[1] < errors[0] / 3
        assert errors[2] == pytest.approx(errors[1], rel=0.05)

    def test_turns_no_sign_of_what_it_shows(self, lab):
        (found,) = analysed(lab.plan(lab.latency), lab.observed(slower=0.05, n=40_000))
        assert found.contrast.difference == pytest.approx(5.0)
        assert found.gain == pytest.approx(-5.0)
        assert found.worse < 0.01
        assert found.unharmed > 0.5

    @pytest.mark.parametrize("method", Method)
    def test_shows_a_guardrail_unharmed_when_it_is(self, lab, method):
        plan = lab.plan(lab.latency, method=method)
        assert analysed(plan, lab.observed(n=40_000))[0].unharmed < 0.001
        assert analysed(plan, lab.observed(slower=0.06, n=40_000))[0].unharmed > 0.5

    def test_of_a_negative_control_keeps_its_margin_below_it(self, lab):
        loss = MetricPlan(key="loss", role=Role.GUARDRAIL, margin=0.1)
        arms = {
            "loss": (moments.valued(10_000, -5.0, 10_000.0), moments.valued(10_000, -5.2, 10_000.0))
        }
        (found,) = analysed(lab.plan(loss), lab.observed(metrics=arms))
        assert found.unharmed < 0.001
        worse = {"loss": (arms["loss"][0], moments.valued(10_000, -5.6, 10_000.0))}
        assert analysed(lab.plan(loss), lab.observed(metrics=worse))[0].unharmed > 0.5

    def test_passes_over_metrics_that_were_not_seen(self, lab):
        assert analysed(lab.plan(lab.signup), lab.observed(metrics={})) == ()


class TestQuantiles:
    def arms(self, lab, factor):
        return {
            "wait": (
                quantiles.listed(lab.lognormal()),
                quantiles.listed(lab.lognormal(factor, seed=2)),
            )
        }

    def test_are_compared_by_ranks(self, lab):
        wait = MetricPlan(key="wait", quantile=0.5, more_is_better=False)
        plan = lab.plan(wait, units=8000)
        found = said(plan, lab.observed(metrics=self.arms(lab, 0.8)))
        assert found.verdict is Verdict.SHIP
        assert "wait better by" in found.sentence

    @pytest.mark.parametrize("method", Method)
    def test_can_be_guardrails(self, lab, method):
        wait = MetricPlan(
            key="wait", quantile=0.5, more_is_better=False, role=Role.GUARDRAIL, margin=0.2
        )
        plan = lab.plan(wait, units=8000, method=method)
        (same,) = analysed(plan, lab.observed(metrics=self.arms(lab, 1.0)))
        (slow,) = analysed(plan, lab.observed(metrics=self.arms(lab, 1.4)))
        assert same.unharmed < 0.05 < same.worse
        assert slow.worse < 0.01 < 0.5 < slow.unharmed

    def test_cannot_be_compared_with_means(self, lab):
        mixed = {"wait": (moments.counted(1, 2), quantiles.listed([1.0]))}
        with pytest.raises(TypeError, match="one kind"):
            analysed(lab.plan(MetricPlan(key="wait", quantile=0.5)), lab.observed(metrics=mixed))

    def test_of_a_histogram_serve_as_well(self, lab):
        states = tuple(
            histogram.ranks(histogram.of([(v, 1, 0, 0) for v in lab.lognormal(f, seed=s)]))
            for f, s in ((1, 1), (0.8, 2))
        )
        plan = lab.plan(MetricPlan(key="wait", quantile=0.5, more_is_better=False), units=8000)
        assert analysed(plan, lab.observed(metrics={"wait": states}))[0].always.p < 0.01


EDGES = [
    (moments.nothing(), moments.nothing()),
    (moments.single((1, 1, 0, 0)), moments.nothing()),
    (moments.counted(0, 500), moments.counted(0, 500)),
    (moments.counted(500, 500), moments.counted(500, 500)),
    (moments.counted(500, 500), moments.counted(0, 500)),
    (moments.valued(500, 1e15, 0.0), moments.valued(500, 1e15, 1e30)),
    (moments.valued(500, -3.0, 500.0), moments.valued(500, 3.0, 500.0)),
    (moments.valued(10**12, 1e-9, 1e-3), moments.valued(10**12, 2e-9, 1e-3)),
]


@pytest.mark.parametrize("arms", EDGES)
@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("adjustment", Adjustment)
@pytest.mark.parametrize("more", [True, False])
def test_no_data_makes_an_answer_that_is_no_number(lab, arms, method, adjustment, more):
    plan = lab.plan(
        MetricPlan(
            key="signup",
            proportion=arms[0].mean[0] in (0, 1),
            adjustment=adjustment,
            more_is_better=more,
            effect=0.1,
        ),
        MetricPlan(
            key="guard", role=Role.GUARDRAIL, margin=0.1, adjustment=adjustment, more_is_better=more
        ),
        method=method,
    )
    observed = lab.observed(metrics={"signup": arms, "guard": arms})
    for c in analysed(plan, observed):
        numbers = [
            c.worse,
            c.unharmed,
            c.log_e,
            c.belief.mean,
            c.belief.chance,
            c.contrast.difference,
        ]
        numbers += [c.power or 0.0, c.contrast.lift or 0.0, c.belief.risk, c.belief.risk_control]
        for e in (c.once, c.always, c.planned):
            numbers += [e.p, e.difference.low, e.difference.high, e.lift.low, e.lift.high]
            assert 0 <= e.p <= 1
            assert e.difference.low <= e.difference.high
            assert e.lift.low <= e.lift.high
        assert all(number == number for number in numbers)
    assert said(plan, observed, over=True).sentence.endswith(".")


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 0.0},
        {"harm_alpha": 0.9},
        {"looks": ()},
        {"correction": Correction.E_BENJAMINI_HOCHBERG, "method": Method.FIXED},
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(lab, wrong):
    with pytest.raises(BadPlan):
        lab.plan(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"margin": 1.0}, {"margin": -0.1}, {"effect": -1}, {"weight": 0}, {"quantile": 1.0}]
)
def test_a_metric_that_contradicts_itself_is_refused(wrong):
    with pytest.raises(BadPlan, match="metric 'x'"):
        MetricPlan(key="x", **wrong)


def test_a_metric_can_be_in_a_plan_once(lab):
    with pytest.raises(BadPlan, match="once"):
        Plan(metrics=(lab.signup, lab.signup))


def test_the_lift_over_nothing_is_not_known(lab):
    arms = {"revenue": (moments.valued(5000, 0.0, 5000.0), moments.valued(5000, 0.5, 5000.0))}
    (found,) = analysed(lab.plan(lab.revenue), lab.observed(metrics=arms))
    assert found.contrast.lift is None
    assert found.always.lift.high == inf
    assert (
        "revenue better by 0.5 (+"
        in said(lab.plan(lab.revenue), lab.observed(metrics=arms)).sentence
    )


class TestArmsOfOneKind:
    """Proportions of nothing but zeros or ones, which have no variance of their own."""

    @staticmethod
    def compared(treated, control, n, more_is_better=True):
        errors = MetricPlan(
            key="errors", role=Role.GUARDRAIL, more_is_better=more_is_better, proportion=True
        )
        arms = (moments.counted(control, n), moments.counted(treated, n))
        seen = Observed(("control", "treatment"), {"errors": arms}, (Phase((n, n), (1, 1)),))
        [found] = analysed(Plan(metrics=(errors,)), seen)
        return found

    def test_a_failure_of_everybody_is_a_harm_at_any_look(self):
        found = self.compared(200, 0, 200, more_is_better=False)
        assert found.worse < 1e-6
        assert found.always.p < 1e-6
        assert found.always.difference.low > 0.5

    def test_nobody_in_either_arm_is_no_evidence(self):
        found = self.compared(0, 0, 200)
        assert (found.worse, found.always.p) == (1.0, 1.0)
        assert found.always.difference.holds(0.0)
        assert found.always.difference.bounded

    def test_one_arm_of_zeros_is_not_taken_for_certain(self):
        # By the error of the other arm alone it would be further from nothing.
        found = self.compared(8, 0, 200)
        rate = 8 / 200
        assert found.contrast.z < rate / (rate * (1 - rate) / 199) ** 0.5
        assert found.contrast.df > 0

    def test_what_the_doubt_takes_vanishes_with_more_units(self):
        few, many = (self.compared(0, 0, n).contrast.error for n in (100, 10_000))
        assert few / many == pytest.approx(100, rel=0.02)
