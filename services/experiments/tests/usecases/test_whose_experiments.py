"""Who may do what to whose experiments, and what others are told."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chassis.errors import Forbidden
from chassis.pages import PageAsk
from experiments.domain.analysis import Analysis
from experiments.domain.errors import ExperimentNotFound, OtherPlace
from experiments.domain.experiment import Changes, Status
from experiments.domain.trial import Span, Trial
from experiments.ports import Wanted
from experiments.usecases.experiments import Draft, Intent

CHANGES = {
    "update": lambda book, _, who, it: book.update(who, it, Changes(name="x")),
    "start": lambda book, _, who, it: book.move(who, it, "start"),
    "unschedule": lambda _, schedules, who, it: schedules.remove(who, it),
    "delete": lambda book, _, who, it: book.delete(who, it),
}


@pytest.fixture
def maker(someone, tenant):
    """Somebody who may make experiments and nothing else to those of others."""
    return someone(tenant, "experiment:create")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
class TestChanges:
    async def test_the_owner_may_without_a_role_for_it(self, change, experiments, schedules, maker):
        made = await experiments.create(maker, Draft(key="mine", name="Mine"))
        assert made.owner_id == maker.subject
        await change(experiments, schedules, maker, Intent(experiment="mine"))

    async def test_of_anothers_experiment_the_maker_of_some_learns_nothing(
        self, change, experiments, schedules, maker, draft, work
    ):
        with pytest.raises(ExperimentNotFound, match="no experiment 'checkout'"):
            await change(experiments, schedules, maker, Intent(experiment="checkout"))
        with pytest.raises(ExperimentNotFound, match="no experiment 'none'"):
            await change(experiments, schedules, maker, Intent(experiment="none"))
        assert work.facts == []

    async def test_who_may_read_it_is_told_what_is_lacking(
        self, change, experiments, schedules, someone, tenant, draft
    ):
        reader = someone(tenant, "experiment:read", "experiment:create")
        with pytest.raises(Forbidden, match="Insufficient permissions: experiment:"):
            await change(experiments, schedules, reader, Intent(experiment="checkout"))

    async def test_a_role_over_one_experiment_reaches_no_other(
        self, change, experiments, schedules, someone, ana, tenant, draft
    ):
        await experiments.create(ana, Draft(key="other", name="Other"))
        every = [f"experiment:{v}" for v in ("read", "update", "delete", "schedule")]
        keeper = someone(tenant, *every, level="object", where=str(draft.id))
        with pytest.raises(ExperimentNotFound):
            await change(experiments, schedules, keeper, Intent(experiment="other"))
        await change(experiments, schedules, keeper, Intent(experiment="checkout"))


async def test_one_reads_and_lists_ones_own(experiments, maker, draft):
    await experiments.create(maker, Draft(key="mine", name="Mine"))
    assert (await experiments.read(maker, "mine")).name == "Mine"
    with pytest.raises(ExperimentNotFound):
        await experiments.read(maker, "checkout")
    part = await experiments.list(maker, Wanted(ask=PageAsk(), now=experiments.now()))
    assert ([e.key for e in part.items], part.total) == (["mine"], 1)


class TestProjects:
    """A role in a project reaches its experiments, those of all who work there, and no others."""

    @pytest.fixture
    def webber(self, someone, tenant):
        every = [f"experiment:{v}" for v in ("read", "create", "update", "delete", "schedule")]
        return someone(tenant, *every, level="project", where="web")

    async def test_a_role_there_makes_reads_lists_and_changes(
        self, experiments, ana, webber, draft
    ):
        await experiments.create(ana, Draft(key="hers", name="Hers", project="web"))
        await experiments.create(webber, Draft(key="own", name="Own", project="web"))
        assert (await experiments.read(webber, "hers")).name == "Hers"
        await experiments.move(webber, Intent(experiment="hers"), "start")
        part = await experiments.list(webber, Wanted(ask=PageAsk(), now=experiments.now()))
        assert (sorted(e.key for e in part.items), part.total) == (["hers", "own"], 2)
        await experiments.delete(webber, Intent(experiment="own"))

    async def test_and_nothing_elsewhere(self, experiments, webber, draft, work):
        with pytest.raises(Forbidden, match="experiment:create required"):
            await experiments.create(webber, Draft(key="own", name="Own"))
        with pytest.raises(ExperimentNotFound):
            await experiments.read(webber, "checkout")
        await experiments.create(webber, Draft(key="own", name="Own", project="web"))
        with pytest.raises(Forbidden, match="experiment:create required"):
            away = Changes(project="default")
            await experiments.update(webber, Intent(experiment="own"), away)
        assert work.actions == ["experiment.created"]

    async def test_a_list_can_be_of_one_project(self, experiments, ana, draft):
        await experiments.create(ana, Draft(key="web", name="Web", project="web"))
        wanted = Wanted(ask=PageAsk(), now=experiments.now(), project="web")
        assert [e.key for e in (await experiments.list(ana, wanted)).items] == ["web"]


class TestBoundKeys:
    """An API key that is bound to a place reaches no experiment of another one."""

    @pytest.fixture
    def key(self, ana):
        return replace(ana, kind="api_key", environment="development")

    async def test_reads_lists_and_changes_those_of_its_place_only(
        self, experiments, results, ana, key, draft
    ):
        there = Draft(key="there", name="There", environment="development")
        await experiments.create(ana, there)
        assert (await experiments.read(key, "there")).name == "There"
        for refused in (
            experiments.read(key, "checkout"),
            experiments.move(key, Intent(experiment="checkout"), "start"),
        ):
            with pytest.raises(ExperimentNotFound):
                await refused
        part = await experiments.list(key, Wanted(ask=PageAsk(), now=experiments.now()))
        assert ([e.key for e in part.items], part.total) == (["there"], 1)

    @pytest.mark.parametrize("place", [{"environment": "production"}, {"project": "web"}])
    async def test_lists_no_other_place_whatever_it_asks_for(self, experiments, key, draft, place):
        bound = replace(key, project="default")
        with pytest.raises(OtherPlace, match="bound to development of default"):
            await experiments.list(bound, Wanted(ask=PageAsk(), now=experiments.now(), **place))
        same = Wanted(ask=PageAsk(), now=experiments.now(), environment="development")
        assert (await experiments.list(bound, same)).total == 0

    async def test_makes_none_elsewhere(self, experiments, key, work):
        with pytest.raises(OtherPlace, match="bound to development"):
            await experiments.create(key, Draft(key="new", name="New"))
        assert work.facts == []

    async def test_exposes_in_its_place_only(self, intakes, key, ana, draft, work, clock):
        since = Span(1, clock() - timedelta(days=1), None, (1, 1))
        work.trials.kept.append(
            Trial(
                id=draft.id, tenant=draft.tenant, key=draft.key, owner_id="ana",
                status=Status.ACTIVE, variants=("control", "treatment"), spans=(since,), uses=(),
                analysis=Analysis(),
            )
        )  # fmt: skip
        seen = {
            "experiment": "checkout", "variant": "control", "unit": "u",
            "timestamp": clock().isoformat(),
        }  # fmt: skip
        refused = await intakes.exposures(key, [seen], durable=False)
        assert [(it.code, it.index) for it in refused.rejected] == [("other_place", 0)]
        assert "'production' of project 'default'" in refused.rejected[0].message
        at_home = replace(key, environment="production", project="default")
        assert (await intakes.exposures(at_home, [seen], durable=False)).accepted == 1


async def test_only_who_holds_it_everywhere_moves_the_clocks_of_other_tenants(
    experiments, schedules, someone, tenant, work
):
    asked = []

    async def take_due(now, tenant):
        asked.append(tenant)

    work.experiments.take_due = take_due
    await schedules.process(someone(tenant, "experiment:process"))
    await schedules.process(someone(tenant, "experiment:process", level="platform"))
    assert asked == [tenant, None]
