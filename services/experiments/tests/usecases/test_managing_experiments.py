"""Managing experiments, on a book in memory."""

from dataclasses import replace

import pytest

from chassis.errors import Forbidden
from chassis.pages import PageAsk
from experiments.domain.errors import (
    ExperimentNotFound,
    KeyTaken,
    PlanFrozen,
    VersionStale,
    WrongState,
)
from experiments.domain.experiment import Status
from experiments.domain.moves import MOVES
from experiments.domain.schedule import Plan
from experiments.ports import Wanted
from experiments.usecases.experiments import Draft, Intent

IT = Intent(experiment="checkout")


async def test_a_new_experiment_is_a_draft_on_the_flag_of_its_key(experiments, ana, work):
    made = await experiments.create(ana, Draft(key="checkout", name="New checkout"))
    assert (made.status, made.flag_key, made.unit) == (Status.DRAFT, "checkout", "targetingKey")
    assert (made.owner_id, made.tenant) == ("ana", ana.tenant)
    [fact] = work.facts
    assert (fact.action, fact.actor.id, fact.target.name) == (
        "experiment.created",
        "ana",
        "checkout",
    )
    assert fact.before is None
    assert fact.after["variants"] == [
        {"key": "control", "weight": 50_000, "serves": ""},
        {"key": "treatment", "weight": 50_000, "serves": ""},
    ]


async def test_a_key_is_taken_only_in_its_own_tenant(experiments, ana, otto, draft):
    with pytest.raises(KeyTaken):
        await experiments.create(ana, Draft(key="checkout", name="Again"))
    assert (await experiments.create(otto, Draft(key="checkout", name="Mine"))).owner_id == "otto"


async def test_an_experiment_is_found_by_its_id_and_by_its_key(experiments, ana, draft):
    assert await experiments.read(ana, str(draft.id)) == await experiments.read(ana, "checkout")


async def test_another_tenant_sees_and_changes_nothing(experiments, otto, draft, work):
    with pytest.raises(ExperimentNotFound):
        await experiments.read(otto, str(draft.id))
    with pytest.raises(ExperimentNotFound):
        await experiments.delete(otto, Intent(experiment=str(draft.id)))
    part = await experiments.list(otto, Wanted(ask=PageAsk(), now=experiments.now()))
    assert (part.items, part.total) == ([], 0)
    assert work.facts == []


async def test_every_verb_asks_for_its_permission_before_it_looks(
    experiments, schedules, nora, work
):
    nowhere = Intent(experiment="nowhere")
    wanted = Wanted(ask=PageAsk(), now=experiments.now())
    for permission, verb in [
        ("create", experiments.create(nora, Draft(key="k", name="n"))),
        ("read", experiments.read(nora, "nowhere")),
        ("read", experiments.list(nora, wanted)),
        ("update", experiments.update(nora, nowhere, {})),
        ("update", experiments.move(nora, nowhere, "start")),
        ("delete", experiments.delete(nora, nowhere)),
        ("schedule", schedules.set(nora, nowhere, Plan())),
        ("schedule", schedules.remove(nora, nowhere)),
        ("process", schedules.process(nora)),
    ]:
        with pytest.raises(Forbidden, match=f"experiment:{permission} required"):
            await verb
    assert work.facts == []


async def test_an_update_leaves_before_and_after_and_why(experiments, ana, draft, work):
    intent = replace(IT, reason="typo")
    after = await experiments.update(ana, intent, {"name": "Newer checkout"})
    [fact] = work.facts
    assert (fact.action, fact.reason, after.version) == ("experiment.updated", "typo", 2)
    assert (fact.before["name"], fact.after["name"]) == ("New checkout", "Newer checkout")


async def test_an_update_that_changes_nothing_leaves_no_fact(experiments, ana, draft, work):
    after = await experiments.update(ana, IT, {"name": "New checkout"})
    assert (after.version, work.facts) == (1, [])


async def test_a_stale_update_changes_nothing(experiments, ana, draft, work):
    await experiments.update(ana, IT, {"name": "First"})
    with pytest.raises(VersionStale):
        await experiments.update(ana, replace(IT, version=1), {"name": "Second"})
    assert (await experiments.read(ana, "checkout")).name == "First"
    assert len(work.facts) == 1


async def test_an_experiment_goes_through_its_whole_life(experiments, ana, draft, work):
    for move in ("start", "pause", "resume", "complete", "archive"):
        after = (await experiments.move(ana, replace(IT, reason=f"to {move}"), move)).experiment
        assert after.status is MOVES[move].to
    assert work.actions == [
        f"experiment.{past}" for past in ("started", "paused", "resumed", "completed", "archived")
    ]
    assert work.facts[0].reason == "to start"
    await experiments.delete(ana, IT)
    with pytest.raises(ExperimentNotFound):
        await experiments.read(ana, "checkout")


async def test_a_refused_move_leaves_no_fact(experiments, ana, draft, work):
    with pytest.raises(WrongState, match="it can start"):
        await experiments.move(ana, IT, "pause")
    assert work.facts == []


async def test_the_plan_is_settled_once_it_runs(experiments, ana, draft):
    await experiments.move(ana, IT, "start")
    with pytest.raises(PlanFrozen):
        await experiments.update(ana, IT, {"unit": "account"})


async def test_a_deleted_key_is_free_again(experiments, ana, draft, work):
    await experiments.delete(ana, IT)
    [fact] = work.facts
    assert (fact.action, fact.after, fact.before["key"]) == ("experiment.deleted", None, "checkout")
    await experiments.create(ana, Draft(key="checkout", name="Again"))


async def test_what_runs_cannot_be_deleted(experiments, ana, draft):
    await experiments.move(ana, IT, "start")
    with pytest.raises(WrongState, match="only a DRAFT or an ARCHIVED"):
        await experiments.delete(ana, IT)
