"""Recording usage: once, by whom it may be, of agents that one may know of; and metering machines across crashes."""

from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.errors import Forbidden
from chassis.pages import PageAsk
from compute.domain.agent_errors import NoSuchAgent
from compute.domain.guest import Power, Seen
from compute.domain.usage import METER, Kind
from compute.domain.usage_errors import (
    BadCorrection,
    NoSuchRecord,
    NotYet,
    ReservedSource,
    UsageConflict,
)
from compute.ports.ledger import UsageWanted
from compute.usecases import metering
from compute.usecases.agents import AgentAim, NewAgent
from compute.usecases.metering import Meter, Run
from compute.usecases.usage import Told

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
async def agent(agents, ana):
    return await agents.create(
        ana, NewAgent(agent_type="writer", name="Writer", configuration_template={})
    )


@pytest.fixture
def told(agent):
    def tell(event_id="e1", **said):
        given = {
            "source": "app",
            "event_id": event_id,
            "agent_id": agent.id,
            "calls": 1,
            "token_count": 10,
            "cost_micros": 2_500,
        }
        return Told(**given | said)

    return tell


def correction(of, event_id="c1", **said):
    given = {"calls": 0, "token_count": None, "cost_micros": None}
    return Told(source="app", event_id=event_id, corrects=of, **given | said)


@pytest.fixture
def whole(clock):
    return UsageWanted(ask=PageAsk(), since=clock() - 30 * HOUR, until=clock() + 30 * HOUR)


async def test_an_event_counts_once_however_often_it_is_told(usage, ana, told, whole, clock, work):
    first = await usage.record(ana, [told(), told("e2", token_count=None)])
    clock.forward(minutes=3)
    again = await usage.record(ana, [told("e2", token_count=None), told("e3"), told()])
    assert (len(first.fresh), len(again.fresh)) == (2, 1)
    assert [r.event_id for r in again.records] == ["e2", "e3", "e1"]
    assert again.records[2] == first.records[0]
    _, sums = await usage.summary(ana, whole)
    assert (sums.records, sums.token_count, sums.records_without_tokens) == (3, 20, 1)
    assert [f.action for f in work.facts].count("usage.recorded") == 2


async def test_an_event_told_otherwise_is_a_conflict_and_nothing_of_its_batch_is_kept(
    usage, ana, told, work
):
    await usage.record(ana, [told()])
    with pytest.raises(UsageConflict) as conflict:
        await usage.record(ana, [told("e2"), told(token_count=11)])
    assert conflict.value.errors[0].pointer == "/records/1/event_id"
    assert len(work.ledger.kept) == 1


async def test_usage_of_a_foreign_agent_is_told_like_that_of_none(usage, ana, otto, told, work):
    for agent_id in (told().agent_id, uuid4()):
        with pytest.raises(NoSuchAgent) as refused:
            await usage.record(otto, [told(agent_id=agent_id)])
        assert refused.value.detail == f"there is no agent {agent_id}"
    assert work.ledger.kept == {}


async def test_usage_of_an_agent_that_was_deactivated_meanwhile_is_kept(usage, agents, ana, told):
    await agents.deactivate(ana, AgentAim(agent=told().agent_id))
    assert (await usage.record(ana, [told()])).fresh


async def test_tenants_do_not_see_each_others_usage(usage, ana, otto, told, whole):
    await usage.record(ana, [told()])
    assert (await usage.list(otto, whole)).items == []
    assert (await usage.summary(otto, whole))[1].records == 0


async def test_a_correction_is_a_row_of_its_own_in_the_period_that_it_corrects(
    usage, ana, told, whole, clock
):
    first = (await usage.record(ana, [told()])).records[0]
    clock.forward(hours=5)
    fix = correction(first.id, token_count=-4, cost_micros=-500)
    made = (await usage.record(ana, [fix])).records[0]
    assert (made.agent_id, made.occurred_at) == (first.agent_id, first.occurred_at)
    assert not (await usage.record(ana, [fix])).fresh
    _, sums = await usage.summary(ana, whole)
    assert (sums.records, sums.corrections, sums.token_count, sums.cost_micros) == (1, 1, 6, 2_000)


async def test_corrections_leave_no_less_than_nothing_and_correct_only_what_is_there(
    usage, ana, otto, told, work
):
    first = (await usage.record(ana, [told()])).records[0]
    fix = (await usage.record(ana, [correction(first.id, token_count=-6)])).records[0]
    with pytest.raises(BadCorrection):
        await usage.record(ana, [correction(first.id, "c2", token_count=-5)])
    with pytest.raises(BadCorrection):
        halves = [correction(first.id, name, token_count=-3) for name in ("c2", "c3")]
        await usage.record(ana, halves)
    for caller, aim in ((ana, uuid4()), (otto, first.id), (ana, fix.id)):
        with pytest.raises(NoSuchRecord):
            await usage.record(caller, [correction(aim, "c2", token_count=1)])
    assert len(work.ledger.kept) == 2


async def test_only_the_platform_corrects_what_the_platform_metered(
    usage, ana, root, work, tenant, clock
):
    seen = Run(vm_id=uuid4(), tenant=root.tenant, at=clock())
    ours = Run(vm_id=uuid4(), tenant=tenant, at=clock())
    for one in (seen, ours):
        await metering.started(work, one, uuid4)
        await metering.stopped(work, one.vm_id, clock() + MINUTE, uuid4, clock())
    rows = {r.tenant: r for r in work.ledger.kept.values()}
    with pytest.raises(BadCorrection):
        await usage.record(ana, [correction(rows[tenant].id, cost_micros=1)])
    assert (await usage.record(root, [correction(rows[root.tenant].id, cost_micros=1)])).fresh


async def test_the_future_and_the_meters_own_name_are_refused(usage, ana, told, clock):
    with pytest.raises(NotYet):
        await usage.record(ana, [told(occurred_at=clock() + HOUR)])
    with pytest.raises(ReservedSource):
        await usage.record(ana, [told(source=METER)])


async def test_without_permission_nothing_is_recorded_or_told(usage, vera, nora, told, whole):
    with pytest.raises(Forbidden):
        await usage.record(vera, [told()])
    for call in (usage.list(nora, whole), usage.summary(nora, whole)):
        with pytest.raises(Forbidden):
            await call


# --- machines -------------------------------------------------------------------------------------------------------


@pytest.fixture
def seen(tenant, clock):
    vm_id = uuid4()
    return lambda **said: Run(**{"vm_id": vm_id, "tenant": tenant, "at": clock()} | said)


def billed(work):
    return sorted((r.occurred_at, r.seconds) for r in work.ledger.kept.values())


async def test_a_machine_is_billed_from_start_to_stop_by_the_hour(work, seen, clock):
    start = clock()
    await metering.started(work, seen(), uuid4)
    clock.forward(minutes=90)
    await metering.started(work, seen(), uuid4)
    assert await metering.cut(work, uuid4, clock()) == 1
    assert await metering.cut(work, uuid4, clock()) == 0
    await metering.stopped(work, seen().vm_id, clock(), uuid4, clock())
    await metering.stopped(work, seen().vm_id, clock(), uuid4, clock())
    assert billed(work) == [(start, 3600), (start + HOUR, 1800)]
    assert {r.kind for r in work.ledger.kept.values()} == {Kind.VM_RUNNING}
    assert work.meter.kept == {}


async def test_after_a_crash_what_nobody_watched_is_not_billed(work, seen, clock):
    start = clock()
    await metering.started(work, seen(), uuid4)
    await work.meter.beat([seen().vm_id, uuid4()], clock.forward(minutes=10))
    clock.forward(hours=8)  # whoever meters was dead, and so was the guest
    await metering.stopped(work, seen().vm_id, None, uuid4, clock())
    assert billed(work) == [(start, 600)]


async def test_a_guest_that_outlived_the_crash_is_billed_through(work, seen, clock):
    start = clock()
    await metering.started(work, seen(booted_at=start), uuid4)
    clock.forward(minutes=50)
    await metering.started(work, seen(booted_at=start), uuid4)
    await metering.stopped(work, seen().vm_id, clock(), uuid4, clock())
    assert billed(work) == [(start, 3000)]


async def test_a_guest_that_was_booted_anew_meanwhile_is_another_run(work, seen, clock):
    start = clock()
    await metering.started(work, seen(booted_at=start), uuid4)
    await work.meter.beat([seen().vm_id], clock.forward(minutes=5))
    boot = clock.forward(minutes=20)
    clock.forward(minutes=1)
    await metering.started(work, seen(booted_at=boot), uuid4)
    await metering.stopped(work, seen().vm_id, clock(), uuid4, clock())
    assert billed(work) == [(start, 300), (boot, 60)]


# --- looking at a host ----------------------------------------------------------------------------------------------


@pytest.fixture
def look(work, clock, make_vm):
    """Look at a host with one machine; a new `meter` is a process that was started anew."""
    vm = make_vm()
    meters = {"now": Meter(uuid4, clock)}

    async def looking(power, seconds=1, *, anew=False):
        clock.forward(seconds=seconds)
        if anew:
            meters["now"] = Meter(uuid4, clock)
        await meters["now"].observe(work, [vm], {vm.id: Seen(power=power)} if power else {})

    return looking


async def test_who_looks_all_the_time_bills_to_the_look(look, work):
    for power in (None, Power.OFF, Power.RUNNING):
        await look(power)
    for _ in range(30):
        await look(Power.RUNNING)
    await look(Power.OFF)
    assert [seconds for _, seconds in billed(work)] == [31]
    await look(Power.OFF)
    assert (len(work.ledger.kept), work.meter.kept) == (1, {})


async def test_who_was_away_bills_a_dead_guest_until_it_was_seen_and_a_living_one_through(
    look, work
):
    for _ in range(13):
        await look(Power.RUNNING)
    await look(Power.OFF, 7200, anew=True)
    [(_, seconds)] = billed(work)
    assert 0 < seconds <= 12, "a heartbeat is written every ten seconds"
    await look(Power.RUNNING)
    await look(Power.RUNNING, 1800, anew=True)
    await look(Power.OFF)
    assert sum(s for _, s in billed(work)) == seconds + 1801


async def test_a_guest_that_does_not_answer_is_neither_started_nor_stopped(look, work):
    await look(Power.UNKNOWN)
    assert work.meter.kept == {}
    await look(Power.RUNNING)
    await look(Power.UNKNOWN)
    await look(Power.RUNNING)
    assert (len(work.meter.kept), billed(work)) == (1, [])


async def test_a_paused_guest_is_not_billed(look, work):
    for power in (Power.RUNNING, Power.PAUSED, Power.PAUSED, Power.RUNNING, Power.OFF):
        await look(power, 5)
    assert [seconds for _, seconds in billed(work)] == [5, 5]


async def test_hours_are_cut_while_a_machine_runs(look, work):
    for _ in range(5):
        await look(Power.RUNNING, 1800)
    assert [seconds for _, seconds in billed(work)][:1] == [1800]
    assert len(billed(work)) == 2
