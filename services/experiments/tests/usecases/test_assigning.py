"""From an experiment to what flags has to know: phases, plans, layers, holdouts, and telling it."""

from datetime import timedelta

import pytest

from chassis.errors import Conflict, Invalid, Unavailable
from experiments.domain.analysis import Analysis, MetricRole, MetricUse
from experiments.domain.errors import (
    BadPlan,
    BadRange,
    LayerInUse,
    LayerNotFound,
    PlanFrozen,
    RangeTaken,
    UnknownMetric,
    WrongState,
)
from experiments.domain.experiment import Status, Variant
from experiments.domain.metric import Definition, MetricKind
from experiments.domain.planned import digest_of
from experiments.domain.publication import Told
from experiments.domain.schedule import Plan
from experiments.domain.trial import Frozen
from experiments.jobs import Publisher
from experiments.usecases.experiments import Draft, Intent, Places
from experiments.usecases.layers import Aim, Named
from experiments.usecases.metrics import MetricDraft, MetricIntent
from experiments.usecases.publishing import Publishing

IT = Intent(experiment="checkout", reason="go")
UNEVEN = (Variant("control", 90_000), Variant("treatment", 10_000))
PRO = {"op": "eq", "attribute": "plan", "value": "pro"}
TOMORROW = Plan(start="2026-06-02T12:00", end="2026-06-03T12:00")


@pytest.fixture
async def signup(metrics, ana):
    definition = Definition(kind=MetricKind.PROPORTION, event="signup")
    return await metrics.create(ana, MetricDraft(key="signup", name="S", definition=definition))


@pytest.fixture
def publishing(work, flags, clock):
    return Publishing(work, flags, clock)


async def wanted(work, experiment):
    found = await work.publications.of(experiment.id)
    return found.document["allocation"] if found else None


async def spans(history, ana):
    found = await history.phases(ana, "checkout")
    return [(p.number, p.started_at, p.ended_at) for p in found]


class TestPhases:
    async def test_each_active_span_and_each_change_of_who_gets_what_is_one(
        self, experiments, ana, draft, clock, history
    ):
        start = clock()
        await experiments.move(ana, IT, "start")
        pause = clock.forward(hours=1)
        await experiments.move(ana, IT, "pause")
        resume = clock.forward(hours=1)
        await experiments.move(ana, IT, "resume")
        change = clock.forward(hours=1)
        await experiments.update(ana, IT, {"variants": UNEVEN})
        await experiments.update(ana, IT, {"name": "Other words"})
        end = clock.forward(hours=1)
        await experiments.move(ana, IT, "complete")
        assert await spans(history, ana) == [
            (1, start, pause),
            (2, resume, change),
            (3, change, end),
        ]
        found = await history.phases(ana, "checkout")
        assert (found[1].variants[0].weight, found[2].variants) == (50_000, UNEVEN)
        assert found[2].control == "control"

    async def test_a_phase_of_the_clock_begins_when_it_should_have_not_when_it_was_seen(
        self, experiments, schedules, ana, draft, clock, history
    ):
        await schedules.set(ana, IT, TOMORROW)
        start, end = clock() + timedelta(days=1), clock() + timedelta(days=2)
        clock.forward(days=5)
        await schedules.process(ana)
        assert await spans(history, ana) == [(1, start, end)]

    @pytest.mark.parametrize(
        "changes", [{"unit": "account"}, {"flag_key": "x"}, {"environment": "development"}]
    )
    async def test_what_is_settled_by_the_start_stays(self, experiments, ana, draft, changes):
        await experiments.move(ana, IT, "start")
        with pytest.raises(PlanFrozen) as refused:
            await experiments.update(ana, IT, changes)
        assert refused.value.errors[0].pointer == f"/{next(iter(changes))}"
        with pytest.raises(PlanFrozen):
            await experiments.update(ana, IT, {"variants": (Variant("a", 10_000), UNEVEN[0])})

    async def test_nobody_is_assigned_anew_once_it_is_over(self, experiments, ana, draft):
        await experiments.move(ana, IT, "start")
        await experiments.move(ana, IT, "complete")
        with pytest.raises(WrongState, match="nobody is assigned"):
            await experiments.update(ana, IT, {"traffic": 5})


class TestMetricsThatHaveGone:
    async def test_nothing_starts_without_a_metric_that_it_names(
        self, experiments, schedules, metrics, ana, draft, signup, work
    ):
        await experiments.update(ana, IT, {"metrics": (MetricUse(key="signup"),)})
        await metrics.delete(ana, MetricIntent(metric="signup"))
        work.facts.clear()
        for start in (experiments.move(ana, IT, "start"), schedules.set(ana, IT, TOMORROW)):
            with pytest.raises(UnknownMetric, match="no metric 'signup' any more") as refused:
                await start
            assert refused.value.errors[0].pointer == "/metrics/0/key"
        assert (work.facts, (await experiments.read(ana, "checkout")).version) == ([], 2)


class TestTheEnd:
    async def test_is_told_to_what_is_measured_as_soon_as_it_is_known(
        self, experiments, schedules, ana, draft, work, clock
    ):
        await schedules.set(ana, IT, TOMORROW)
        end = TOMORROW.scheduled(clock()).end.at
        assert work.intake.closed == [(draft.id, end, end)]
        clock.forward(days=1, hours=1)
        at = clock()
        await experiments.move(ana, IT, "complete")
        assert work.intake.closed[1:] == [(draft.id, at, at)]
        await experiments.move(ana, IT, "archive")
        await experiments.delete(ana, IT)
        assert len(work.intake.closed) == 2
        assert work.intake.forgotten == [draft.id]

    async def test_that_the_clock_reaches_changes_nothing(self, schedules, ana, draft, work, clock):
        await schedules.set(ana, IT, TOMORROW)
        clock.forward(days=3)
        assert [step.move.name for step in await schedules.process(ana)] == ["start", "complete"]
        assert len(work.intake.closed) == 1


class TestWarnings:
    async def test_a_disabled_flag_is_warned_of_while_the_experiment_runs(
        self, experiments, ana, draft, flags
    ):
        flags.enabled = False
        [said] = (await experiments.move(ana, IT, "start")).warnings
        assert said.startswith("flag 'checkout' is disabled in environment 'production'")
        assert (await experiments.move(ana, IT, "pause")).warnings == ()
        flags.enabled = True
        assert (await experiments.move(ana, IT, "resume")).warnings == ()

    async def test_flags_is_asked_once_and_while_nothing_is_changed_or_locked(
        self, experiments, ana, draft, flags, work
    ):
        order, check, take = [], flags.check, work.experiments.take

        async def checked(*asked):
            order.append("flags")
            return await check(*asked)

        async def taken(*asked):
            order.append("lock")
            return await take(*asked)

        flags.check, work.experiments.take = checked, taken
        await experiments.move(ana, IT, "start")
        assert order == ["flags", "lock"]


class TestPlan:
    async def test_the_start_settles_it_and_tells_its_hash(
        self, experiments, ana, draft, work, history, signup
    ):
        use = MetricUse(key="signup", role=MetricRole.GUARDRAIL, margin=0.02)
        await experiments.update(ana, IT, {"metrics": (use,), "hypothesis": "It helps"})
        started = await experiments.move(ana, IT, "start")
        it, [plan] = await history.plans(ana, "checkout")
        assert (
            started.experiment.plan_hash == plan.digest == digest_of(plan.document) == it.plan_hash
        )
        assert (plan.number, plan.by, plan.reason) == (1, "ana", "go")
        assert plan.document["metrics"][0]["margin"] == 0.02
        assert work.facts[-1].after["plan"]["settled"] == started.experiment.plan_hash
        assert len(started.experiment.plan_hash) == 64

    async def test_a_later_change_is_kept_beside_it_and_changes_no_hash_of_the_start(
        self, experiments, ana, draft, history, signup, work
    ):
        started = await experiments.move(ana, IT, "start")
        why = Intent(experiment="checkout", reason="forgot it")
        after = await experiments.update(ana, why, {"metrics": (MetricUse(key="signup"),)})
        _, [first, second] = await history.plans(ana, "checkout")
        assert after.plan_hash == started.experiment.plan_hash == first.digest != second.digest
        assert (second.number, second.reason) == (2, "forgot it")
        fact = work.facts[-1]
        assert fact.before["plan"]["now"] != fact.after["plan"]["now"]

    async def test_weights_and_words_are_no_part_of_it(self, experiments, ana, draft, history):
        await experiments.move(ana, IT, "start")
        await experiments.update(ana, IT, {"variants": UNEVEN, "name": "N", "tags": ("a",)})
        assert len((await history.plans(ana, "checkout"))[1]) == 1

    async def test_a_metric_that_comes_after_the_first_data_is_refused_and_one_that_is_measured_may_come_back(
        self, experiments, ana, draft, signup, work
    ):
        definition = Definition(kind=MetricKind.PROPORTION, event="x")
        work.trials.metrics = [Frozen(number=1, key="other", definition=definition)]
        changes = {"metrics": (MetricUse(key="signup"),)}
        with pytest.raises(PlanFrozen, match="make another experiment to measure it") as refused:
            await experiments.update(ana, IT, changes)
        assert refused.value.errors[0].pointer == "/metrics/0/key"
        work.trials.metrics = [Frozen(number=1, key="signup", definition=definition)]
        assert (await experiments.update(ana, IT, changes)).metrics[0].key == "signup"

    async def test_a_metric_that_does_not_exist_is_refused_with_a_pointer(
        self, experiments, ana, draft, work
    ):
        with pytest.raises(UnknownMetric) as refused:
            await experiments.update(ana, IT, {"metrics": (MetricUse(key="gone"),)})
        assert refused.value.errors[0].pointer == "/metrics/0/key"
        assert work.facts == []

    @pytest.mark.parametrize(
        ("words", "pointer"),
        [
            ({"metrics": (MetricUse(key="a"), MetricUse(key="a"))}, "/metrics/1/key"),
            ({"metrics": (MetricUse(key="a", margin=0.1),)}, "/metrics/0/margin"),
            (
                {"metrics": (MetricUse(key="a", role=MetricRole.GUARDRAIL, margin=1.0),)},
                "/metrics/0/margin",
            ),
            ({"metrics": (MetricUse(key="a", weight=0.0),)}, "/metrics/0/weight"),
            ({"metrics": (MetricUse(key="a", weight=5e-324),)}, "/metrics/0/weight"),
            ({"metrics": tuple(MetricUse(key=f"m{n}") for n in range(51))}, "/metrics"),
            ({"analysis": Analysis(alpha=0.7)}, "/analysis"),
            ({"analysis": Analysis(looks=(1.0, 0.5))}, "/analysis"),
        ],
    )
    async def test_a_plan_that_contradicts_itself_is_refused(
        self, experiments, ana, words, pointer
    ):
        with pytest.raises(BadPlan) as refused:
            await experiments.create(ana, Draft(key="k", name="n", **words))
        assert refused.value.errors[0].pointer == pointer


class TestTellingFlags:
    async def test_a_start_is_told_and_a_pause_withdraws(
        self, experiments, ana, draft, work, flags, publishing
    ):
        await experiments.move(ana, IT, "start")
        said = await wanted(work, draft)
        assert [arm["key"] for arm in said["arms"]] == ["control", "treatment"]
        assert (said["phase"], said["starts_at"], said["gates"]) == (1, None, [])
        assert await publishing.round() == 1
        await experiments.move(ana, IT, "pause")
        assert await wanted(work, draft) is None
        assert await publishing.round() == 1
        assert [it.version for it in flags.told] == [2, 3]
        assert (await work.publications.of(draft.id)).state is Told.PUBLISHED

    async def test_dates_travel_before_they_come(self, schedules, ana, draft, work, flags):
        await schedules.set(ana, IT, TOMORROW)
        said = await wanted(work, draft)
        assert (said["phase"], said["starts_at"], said["ends_at"]) == (
            1,
            "2026-06-02T12:00:00+00:00",
            "2026-06-03T12:00:00+00:00",
        )
        assert len(flags.checked) == 1
        await schedules.remove(ana, IT)
        assert await wanted(work, draft) is None

    async def test_what_has_a_date_is_not_moved_to_another_flag(
        self, experiments, schedules, ana, draft
    ):
        await schedules.set(ana, IT, TOMORROW)
        with pytest.raises(WrongState, match="take its schedule off"):
            await experiments.update(ana, IT, {"flag_key": "other"})

    async def test_deleting_what_has_a_date_withdraws_it(
        self, experiments, schedules, ana, draft, work
    ):
        await schedules.set(ana, IT, TOMORROW)
        await experiments.delete(ana, IT)
        found = await work.publications.of(draft.id)
        assert (found.document["allocation"], found.version) == (None, 3)

    async def test_drafts_and_mere_words_are_not_told(self, experiments, ana, draft, work, flags):
        await experiments.update(ana, IT, {"traffic": 500, "targeting": PRO})
        assert work.publications.kept == {}
        await experiments.move(ana, IT, "start")
        before = await work.publications.of(draft.id)
        await experiments.update(ana, IT, {"name": "Words", "hypothesis": "More"})
        assert await work.publications.of(draft.id) == before
        assert (await wanted(work, draft))["targeting"] == PRO
        assert [g["name"] for g in (await wanted(work, draft))["gates"]] == ["traffic"]

    @pytest.mark.parametrize("fault", [Invalid("targeting: no"), Unavailable("away")])
    async def test_what_flags_refuses_beforehand_changes_nothing(
        self, experiments, schedules, ana, draft, work, flags, fault
    ):
        flags.fault = fault
        with pytest.raises(type(fault)):
            await experiments.move(ana, IT, "start")
        with pytest.raises(type(fault)):
            await schedules.set(ana, IT, TOMORROW)
        assert (await experiments.read(ana, "checkout")).status is Status.DRAFT
        assert (work.facts, work.publications.kept) == ([], {})

    async def test_while_flags_is_away_it_is_told_again_later_and_later(
        self, experiments, ana, draft, work, flags, publishing, clock
    ):
        await experiments.move(ana, IT, "start")
        flags.fault, waits = Unavailable("away"), []
        for _ in range(9):
            assert await publishing.round() == 0
            found = await work.publications.of(draft.id)
            waits.append((found.next_at - clock()).total_seconds())
            clock.at = found.next_at
        assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
        assert found.state is Told.PENDING
        flags.fault = None
        assert await publishing.round() == 1

    async def test_a_refusal_is_shown_and_a_change_tries_at_once(
        self, experiments, ana, draft, flags, publishing, history
    ):
        await experiments.move(ana, IT, "start")
        flags.fault = Conflict("the variant is gone")
        await publishing.round()
        _, found = await history.publication(ana, "checkout")
        assert (found.state, found.trouble) == (Told.REFUSED, "the variant is gone")
        flags.fault = None
        await experiments.update(ana, IT, {"traffic": 7})
        assert await publishing.round() == 1

    async def test_what_changes_while_it_is_told_is_told_after_it(
        self, experiments, ana, draft, work, flags, publishing, clock
    ):
        await experiments.move(ana, IT, "start")
        due = await work.publications.claim(clock(), clock.forward(seconds=10))
        await experiments.update(ana, IT, {"traffic": 7})
        await work.publications.sent(due, clock())
        found = await work.publications.of(draft.id)
        assert (found.sent, found.version, found.state) == (2, 3, Told.PENDING)
        assert await publishing.round() == 1

    async def test_the_publisher_tells_what_it_is_woken_for(
        self, experiments, ana, draft, flags, publishing
    ):
        import asyncio

        publisher = Publisher(publishing, interval=60)
        running = asyncio.create_task(publisher.run())
        await experiments.move(ana, IT, "start")
        publisher.wake()
        async with asyncio.timeout(60):
            while not flags.told:
                await asyncio.sleep(0)
        running.cancel()


class TestLayersAndHoldouts:
    @pytest.fixture
    async def layer(self, layers, ana):
        return await layers.create(ana, Named(key="checkout-page", name="Checkout page"))

    async def test_places_are_a_gate_and_free_again_at_the_end(
        self, experiments, ana, layer, layers, work
    ):
        half = Places("checkout-page", 0, 50_000)
        made = await experiments.create(ana, Draft(key="checkout", name="n", places=half))
        with pytest.raises(RangeTaken, match="experiment 'checkout'"):
            places = Places(str(layer.id), 49_999, 60_000)
            await experiments.create(ana, Draft(key="b", name="n", places=places))
        beside = Places(str(layer.id), 50_000, 60_000)
        await experiments.create(ana, Draft(key="b", name="n", places=beside))
        await experiments.move(ana, IT, "start")
        [gate] = (await wanted(work, made))["gates"]
        assert gate == {
            "name": "layer",
            "salt": f"layer:{layer.id}",
            "start": 0,
            "end": 50_000,
        }
        assert [key for key, _ in (await layers.read(ana, "checkout-page"))[1]] == ["checkout", "b"]
        await experiments.move(ana, IT, "complete")
        await experiments.create(ana, Draft(key="c", name="n", places=half))
        with pytest.raises(LayerInUse):
            await layers.delete(ana, Aim(name="checkout-page"))

    @pytest.mark.parametrize(("start", "end"), [(5, 5), (6, 5), (0, 100_001), (-1, 5)])
    async def test_a_range_that_is_none_is_refused(self, experiments, ana, layer, start, end):
        with pytest.raises(BadRange):
            places = Places("checkout-page", start, end)
            await experiments.create(ana, Draft(key="b", name="n", places=places))

    async def test_a_layer_that_is_not_there_or_anothers_is_not_found(
        self, experiments, ana, otto, layer
    ):
        for who, key in ((ana, "none"), (otto, "checkout-page")):
            with pytest.raises(LayerNotFound):
                draft = Draft(key="b", name="n", places=Places(key, 0, 5))
                await experiments.create(who, draft)

    async def test_a_phase_keeps_the_holdouts_that_it_began_with(
        self, experiments, ana, draft, holdouts, work, history
    ):
        held = await holdouts.create(ana, Named(key="h", name="H", share=5_000))
        await experiments.move(ana, IT, "start")
        await holdouts.delete(ana, Aim(name="h"))
        [gate] = (await wanted(work, draft))["gates"]
        assert gate == {
            "name": "holdout",
            "salt": f"holdout:{held.id}",
            "start": 5_000,
            "end": 100_000,
        }
        await experiments.update(ana, IT, {"variants": UNEVEN})
        assert (await wanted(work, draft))["gates"] == []
        first, second = await history.phases(ana, "checkout")
        assert ([h.share for h in first.holdouts], second.holdouts) == ([5_000], ())

    @pytest.mark.parametrize("share", [0, 20_001])
    async def test_a_holdout_of_nobody_or_of_too_many_is_refused(self, holdouts, ana, share):
        with pytest.raises(BadRange):
            await holdouts.create(ana, Named(key="h", name="H", share=share))

    async def test_words_change_with_a_fact_and_a_version(self, layers, holdouts, ana, layer, work):
        await holdouts.create(ana, Named(key="h", name="H", share=5))
        for uses, name in ((layers, "checkout-page"), (holdouts, "h")):
            aim = Aim(name=name, version=1, reason="why")
            after = await uses.update(ana, aim, {"name": "New"})
            assert (after.name, after.version, work.facts[-1].reason) == ("New", 2, "why")
            facts = len(work.facts)
            await uses.update(ana, Aim(name=name), {"name": "New"})
            assert len(work.facts) == facts
            with pytest.raises(Exception, match="at version 2, not 1"):
                await uses.delete(ana, aim)
            await uses.delete(ana, Aim(name=name))
            with pytest.raises(Exception, match="there is no"):
                await uses.read(ana, name)
