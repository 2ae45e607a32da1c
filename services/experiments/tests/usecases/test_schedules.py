"""Schedules, on a book in memory and a clock that stands."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chassis.errors import Unavailable
from chassis.pages import PageAsk
from experiments.domain.errors import BadSchedule, VersionStale, WrongState
from experiments.domain.experiment import Status
from experiments.domain.schedule import Plan
from experiments.jobs import LEASE, Scheduler
from experiments.ports import Wanted
from experiments.usecases.experiments import Draft, Intent

IT = Intent(experiment="checkout")
PLAN = Plan(start="2026-06-01T13:00", end="2026-06-01T15:00")


@pytest.fixture
async def planned(schedules, ana, draft, work):
    it = await schedules.set(ana, IT, PLAN)
    work.facts.clear()
    return it


async def test_a_schedule_leaves_a_fact_with_instant_and_wall_time(schedules, ana, draft, work):
    plan = Plan(start="2026-07-01T09:00", zone="Europe/Berlin")
    after = await schedules.set(ana, replace(IT, reason="after the freeze"), plan)
    [fact] = work.facts
    assert (fact.action, fact.reason, after.version) == (
        "experiment.scheduled",
        "after the freeze",
        2,
    )
    assert fact.before["schedule"] is None
    assert fact.after["schedule"] == {
        "start": {"at": "2026-07-01T07:00:00+00:00", "local": "2026-07-01T09:00:00"},
        "end": None,
        "time_zone": "Europe/Berlin",
    }


async def test_a_start_that_has_passed_means_now_in_the_answer_too(
    schedules, experiments, ana, draft, clock
):
    plan = Plan(start=(clock() - timedelta(hours=2)).isoformat())
    after = await schedules.set(ana, IT, plan)
    assert (after.status, after.started_at) == (Status.ACTIVE, clock())
    assert after == await experiments.read(ana, "checkout")


async def test_an_impossible_schedule_changes_nothing(schedules, experiments, ana, draft, work):
    with pytest.raises(BadSchedule):
        await schedules.set(ana, IT, Plan(end="2020-01-01T00:00"))
    assert (await experiments.read(ana, "checkout")).schedule is None
    assert work.facts == []


async def test_what_runs_cannot_be_scheduled(schedules, experiments, ana, draft):
    await experiments.move(ana, IT, "start")
    with pytest.raises(WrongState, match="DRAFT or PAUSED"):
        await schedules.set(ana, IT, PLAN)


async def test_a_schedule_can_be_taken_off_once(schedules, ana, planned, work):
    assert (await schedules.remove(ana, IT)).schedule is None
    await schedules.remove(ana, IT)
    assert work.actions == ["experiment.unscheduled"]


async def test_everybody_sees_the_new_state_before_the_scheduler_has_come(
    experiments, ana, planned, clock, work
):
    clock.forward(hours=1)
    seen = await experiments.read(ana, "checkout")
    [listed] = (await experiments.list(ana, Wanted(ask=PageAsk(), now=clock()))).items
    assert (seen.status, seen.version) == (Status.ACTIVE, 3)
    assert listed == seen
    assert work.facts == []


async def test_the_scheduler_writes_down_exactly_what_was_seen(
    experiments, schedules, ana, planned, clock, work
):
    clock.forward(hours=1)
    seen = await experiments.read(ana, "checkout")
    [step] = await schedules.process(ana)
    assert work.experiments.kept[planned.id] == seen == step.after
    assert await schedules.process(ana) == []
    [fact] = work.facts
    assert (fact.action, fact.actor.name, fact.tenant) == (
        "experiment.started",
        "scheduler",
        ana.tenant,
    )
    assert fact.reason == "its start date was reached"


async def test_a_scheduler_that_slept_through_leaves_a_fact_for_each_move(
    schedules, ana, planned, clock, work
):
    clock.forward(days=1)
    await schedules.process(ana)
    assert work.actions == ["experiment.started", "experiment.completed"]
    assert work.facts[1].reason == "its end date was reached"


async def test_a_change_by_hand_first_writes_down_what_the_clock_did(
    experiments, ana, planned, clock, work
):
    clock.forward(hours=1)
    after = (await experiments.move(ana, replace(IT, version=3), "pause")).experiment
    assert work.actions == ["experiment.started", "experiment.paused"]
    assert after.version == 4


async def test_the_version_before_the_clock_moved_it_is_stale(experiments, ana, planned, clock):
    clock.forward(hours=1)
    with pytest.raises(VersionStale):
        await experiments.update(ana, replace(IT, version=planned.version), {"name": "x"})


async def test_processing_reaches_no_further_than_the_tenant(schedules, otto, planned, clock):
    clock.forward(hours=1)
    assert await schedules.process(otto) == []
    assert len(await schedules.process(replace(otto, platform=True))) == 1


async def test_the_scheduler_sleeps_until_the_next_date(work, clock, planned):
    scheduler = Scheduler(work, clock, interval=900)
    assert await scheduler.round() == 900
    clock.forward(minutes=59, seconds=50)
    assert await scheduler.round() == 10
    assert work.facts == []
    clock.forward(seconds=10)
    assert await scheduler.round() == 900
    assert work.actions == ["experiment.started"]


async def test_without_dates_the_scheduler_sleeps_its_whole_interval(work, clock):
    assert await Scheduler(work, clock, interval=900).round() == 900


async def test_a_scheduler_without_the_lease_leaves_the_work_to_the_other(work, clock, planned):
    clock.forward(hours=1)
    work.leads = False
    assert await Scheduler(work, clock).round() == LEASE
    assert work.facts == []


async def test_a_failure_in_between_leaves_nothing_half_written(
    schedules, experiments, ana, planned, clock, work
):
    await experiments.create(ana, Draft(key="other", name="Other"))
    work.facts.clear()
    clock.forward(days=1)
    put = work.experiments.put

    async def put_once(before, after):
        work.experiments.put = broken
        await put(before, after)

    async def broken(before, after):
        raise Unavailable("the database is away")

    work.experiments.put = put_once
    with pytest.raises(Unavailable):
        await schedules.process(ana)
    assert work.facts == []
    assert work.experiments.kept[planned.id].status is Status.DRAFT
