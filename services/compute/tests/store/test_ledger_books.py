"""One contract for the ledger and the meter: those in memory and those in PostgreSQL."""

import asyncio
import random
from datetime import timedelta
from itertools import combinations
from uuid import UUID, uuid4

import pytest

from chassis.errors import Unavailable
from chassis.pages import PageAsk
from compute.domain.metering import Interval
from compute.domain.usage import DIMENSIONS, Kind, Record, summed, total
from compute.ports.ledger import UsageWanted
from compute.usecases import metering
from compute.usecases.metering import Run

AGENTS = [None, UUID(int=1), UUID(int=2)]


@pytest.fixture
def make(tenant, clock):
    def record(event_id=None, **said):
        given = {
            "id": uuid4(),
            "tenant": tenant,
            "source": "app",
            "event_id": event_id or uuid4().hex,
            "kind": Kind.AGENT_CALL,
            "occurred_at": clock(),
            "recorded_at": clock(),
            "recorded_by": "ana",
        }
        return Record(**given | said)

    return record


@pytest.fixture
def whole(clock):
    def wanted(**said):
        day = timedelta(days=400)
        given = {"ask": PageAsk(), "since": clock() - day, "until": clock() + day}
        return UsageWanted(**given | said)

    return wanted


async def enter(open_work, *records):
    """Append in a transaction; ask again while the database is too busy, as a client would."""
    try:
        async with open_work() as work:
            return await work.ledger.enter(records)
    except Unavailable:
        return await enter(open_work, *records)


async def test_what_was_appended_comes_back_whole_and_stays(open_work, make, tenant, whole):
    first = make(
        "e", calls=10**9, token_count=10**12, cost_micros=10**15, agent_id=uuid4(), vm_id=uuid4()
    )
    assert await enter(open_work, first) == [first]
    later = make("e", token_count=1)
    fresh = make("f", seconds=3600)
    assert await enter(open_work, fresh, later) == [fresh, first]
    async with open_work() as work:
        found = (await work.ledger.list(tenant, whole())).items
        assert sorted(found, key=lambda r: r.event_id) == [first, fresh]
        assert (await work.ledger.list(uuid4(), whole())).items == []
        assert await work.ledger.enter([]) == []


async def test_a_record_is_taken_with_its_corrections_and_only_by_its_tenant(
    open_work, make, tenant
):
    first = make()
    fix = make(corrects=first.id, token_count=-1)
    await enter(open_work, first, fix, make())
    async with open_work() as work:
        assert list(await work.ledger.take(tenant, [first.id])) == [first, fix]
        assert list(await work.ledger.take(uuid4(), [first.id])) == []


async def test_summaries_say_what_the_domain_says_for_every_grouping(
    open_work, make, tenant, clock, whole
):
    """SQL and the domain, asked about the same three hundred records of any kind."""
    dice = random.Random(7)
    records = [
        make(
            kind=dice.choice(list(Kind)),
            agent_id=dice.choice(AGENTS),
            vm_id=dice.choice(AGENTS),
            occurred_at=clock() + timedelta(seconds=dice.randrange(-5_000_000, 5_000_000)),
            calls=dice.randrange(100),
            seconds=dice.randrange(3600),
            token_count=dice.choice([None, dice.randrange(10**12)]),
            cost_micros=dice.choice([None, dice.randrange(10**15)]),
        )
        for _ in range(260)
    ]
    records += [
        make(corrects=of.id, kind=of.kind, agent_id=of.agent_id, vm_id=of.vm_id, occurred_at=of.occurred_at,
             token_count=dice.choice([None, -1]), cost_micros=dice.choice([None, -1]))
        for of in dice.sample(records, 40)
    ]  # fmt: skip
    await enter(open_work, *records)
    groupings = [by for n in range(5) for by in combinations(DIMENSIONS, n)]
    async with open_work() as work:
        for n, by in enumerate(groupings):
            period = ("hour", "day", "month")[n % 3]
            expected = summed(records, by, period)
            got, after = [], None
            while True:
                ask = PageAsk(limit=100, after=after)
                wanted = whole(by=by, period=period, ask=ask)
                part, totals = await work.ledger.summary(tenant, wanted)
                assert (totals, part.total) == (total(records), len(expected))
                got, after = [*got, *part.items], part.next
                if after is None:
                    break
            assert got == expected


async def test_filters_and_numbered_pages_show_what_they_say(open_work, make, tenant, clock, whole):
    rows = [
        make(
            f"e{n}",
            occurred_at=clock() + timedelta(hours=n),
            kind=list(Kind)[n % 3],
            vm_id=AGENTS[n % 3],
        )
        for n in range(6)
    ]
    await enter(open_work, *rows)
    async with open_work() as work:
        ledger = work.ledger
        first = await ledger.list(tenant, whole(ask=PageAsk(limit=4)))
        rest = await ledger.list(tenant, whole(ask=PageAsk(limit=4, after=first.next)))
        assert [*first.items, *rest.items] == rows[::-1]
        assert (await ledger.list(tenant, whole(ask=PageAsk(limit=4, page=2)))).items == rest.items
        some = whole(since=rows[1].occurred_at, until=rows[3].occurred_at)
        assert (await ledger.list(tenant, some)).items == [rows[2], rows[1]]
        vm = whole(vm_id=AGENTS[1])
        assert (await ledger.list(tenant, vm)).items == [rows[4], rows[1]]
        two = whole(ask=PageAsk(limit=2, page=2), by=("kind",))
        part, _ = await ledger.summary(tenant, two)
        assert ([line.kind for line in part.items], part.next) == ([Kind.VM_RUNNING], None)


async def test_forty_writers_at_once_add_up_to_the_cent_and_repeats_count_once(
    open_work, make, tenant, whole
):
    """Forty writers, each with its own events and all of them with the same five, some in another order."""
    shared = [make(f"shared-{n}", cost_micros=1) for n in range(5)]

    async def writer(n):
        own = [make(f"{n}-{i}", cost_micros=n * 10_000 + i, token_count=i) for i in range(5)]
        batch = [*own, *shared]
        random.Random(n).shuffle(batch)
        await enter(open_work, *batch)

    await asyncio.gather(*(writer(n) for n in range(40)))
    async with open_work() as work:
        _, totals = await work.ledger.summary(tenant, whole())
    exact = sum(n * 10_000 + i for n in range(40) for i in range(5)) + 5
    assert (totals.records, totals.cost_micros) == (205, exact)
    assert totals.cost_cents == 3900
    assert totals.token_count == 400


# --- the meter --------------------------------------------------------------------------------------------------------


async def test_an_interval_is_kept_seen_and_forgotten(open_work, tenant, clock):
    vm_id, start = uuid4(), clock()
    one = Interval(vm_id=vm_id, tenant=tenant, started_at=start, seen_at=start)
    async with open_work() as work:
        await work.meter.put(one)
        await work.meter.beat([vm_id, uuid4()], start + timedelta(minutes=5))
        await work.meter.beat([vm_id], start + timedelta(minutes=4))
    async with open_work() as work:
        assert await work.meter.open_of([vm_id, uuid4()]) == {vm_id}
        assert await work.meter.take(vm_id) == one.seen(start + timedelta(minutes=5))
        assert vm_id not in [it.vm_id for it in await work.meter.due(10_000)]
        await work.meter.beat([vm_id], start + timedelta(hours=1))
        assert vm_id in [it.vm_id for it in await work.meter.due(10_000)]
        await work.meter.drop(vm_id)
        assert await work.meter.take(vm_id) is None


async def test_a_machine_that_two_observers_bill_at_once_is_billed_once(
    open_work, tenant, clock, whole
):
    seen = Run(vm_id=uuid4(), tenant=tenant, at=clock())
    async with open_work() as work:
        await metering.started(work, seen, uuid4)
    end = clock.forward(hours=3, minutes=30)

    async def observer():
        async with open_work() as work:
            await metering.stopped(work, seen.vm_id, end, uuid4, end)

    await asyncio.gather(*(observer() for _ in range(6)))
    async with open_work() as work:
        _, totals = await work.ledger.summary(tenant, whole(vm_id=seen.vm_id))
    assert (totals.records, totals.seconds) == (4, 3.5 * 3600)
