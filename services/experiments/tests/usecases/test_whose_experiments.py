"""Who may do what to whose experiments, and what others are told."""

import pytest

from chassis.errors import Forbidden
from chassis.pages import PageAsk
from experiments.domain.errors import ExperimentNotFound
from experiments.domain.experiment import Changes
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
