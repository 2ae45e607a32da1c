import asyncio
import os
from uuid import UUID

import pytest

from audit.clients.seal import AesVault
from audit.domain.draft import MOST_EVENTS
from audit.domain.errors import BadEvent, TooManyEvents
from audit.usecases.recorder import Recorder
from chassis.db import DatabaseAway
from chassis.errors import Forbidden
from chassis.facts import Actor

VAULT = AesVault("a secret of tests: at least 32 characters")


@pytest.fixture
def recorder(work, clock):
    return Recorder(work, clock, os.urandom, VAULT)


def stored(work, tenant):
    return work.log.entries.get(tenant, [])


async def test_only_services_may_append(recorder, ana, draft):
    with pytest.raises(Forbidden):
        await recorder.append(ana, [draft()])


async def test_events_are_stored_in_the_order_given(recorder, flags_service, draft, work, tenant):
    drafts = [draft() for _ in range(5)]
    receipts = await recorder.append(flags_service, drafts)
    assert [r.seq for r in receipts] == [1, 2, 3, 4, 5]
    assert [str(e.event.id) for e in stored(work, tenant)] == [d.event_id for d in drafts]


async def test_an_event_that_was_seen_before_is_a_no_op(
    recorder, flags_service, draft, work, tenant
):
    drafts = [draft(), draft()]
    first = await recorder.append(flags_service, drafts)
    again = await recorder.append(flags_service, [*drafts, drafts[0]])
    assert [r.seq for r in again] == [first[0].seq, first[1].seq, first[0].seq]
    assert all(r.seen_before for r in again)
    assert len(stored(work, tenant)) == 2


async def test_one_bad_event_keeps_the_whole_batch_out(
    recorder, flags_service, draft, work, tenant
):
    with pytest.raises(BadEvent, match=r"events\[1\]\.action"):
        await recorder.append(flags_service, [draft(), draft(action="bad")])
    assert stored(work, tenant) == []


async def test_a_bad_event_far_into_a_batch_is_named_by_its_number(
    recorder, flags_service, draft, work, tenant
):
    drafts = [draft() for _ in range(120)]
    drafts[77] = draft(action="bad")
    with pytest.raises(BadEvent, match=r"events\[77\]\.action"):
        await recorder.append(flags_service, drafts)
    assert stored(work, tenant) == []


async def test_a_long_batch_keeps_its_order_and_salts_each_person_anew(
    recorder, flags_service, draft, work, tenant
):
    drafts = [draft() for _ in range(120)]
    await recorder.append(flags_service, drafts)
    entries = stored(work, tenant)
    assert [str(entry.event.id) for entry in entries] == [one.event_id for one in drafts]
    assert len({entry.secrets["actor"] for entry in entries}) == 120


async def test_whom_we_know_is_sealed_without_asking_for_their_key(
    recorder, flags_service, draft, work, tenant
):
    for _ in range(
        2
    ):  # what this process made itself it believes once another transaction shows it
        await recorder.append(flags_service, [draft()])
    asked, find = [], work.people.find

    async def told(ids):
        asked.extend(ids)
        return await find(ids)

    work.people.find = told
    await recorder.append(flags_service, [draft()])
    assert asked == []
    await recorder.append(flags_service, [draft(actor=Actor("user", "u-2", "Bea"))])
    assert asked == [(tenant, "u-2")]
    assert [e.event.actor.name for e in stored(work, tenant)][-2:] == ["ana@example.com", "Bea"]


async def test_too_many_events_are_refused(recorder, flags_service, draft):
    with pytest.raises(TooManyEvents):
        await recorder.append(flags_service, [draft()] * (MOST_EVENTS + 1))


async def test_no_events_need_no_transaction(recorder, flags_service, work):
    assert await recorder.append(flags_service, []) == []
    assert work.opened == 0


async def test_a_clock_that_goes_back_does_not_take_the_log_along(
    recorder, flags_service, draft, work, tenant, clock
):
    await recorder.append(flags_service, [draft()])
    clock.tick(-60)
    await recorder.append(flags_service, [draft()])
    first, second = stored(work, tenant)
    assert second.ts == first.ts


async def test_appends_that_come_together_share_a_transaction(recorder, flags_service, draft, work):
    drafts = [draft() for _ in range(50)]
    receipts = await asyncio.gather(*(recorder.append(flags_service, [d]) for d in drafts))
    assert [r.seq for (r,) in receipts] == list(range(1, 51))
    assert work.opened == 1


async def test_a_transaction_takes_no_more_than_it_should(recorder, flags_service, draft, work):
    batches = [[draft() for _ in range(800)] for _ in range(5)]
    await asyncio.gather(*(recorder.append(flags_service, batch) for batch in batches))
    assert work.opened == 5


async def test_when_the_database_is_away_all_are_told(recorder, flags_service, draft, work):
    work.trouble = DatabaseAway("away")
    told = await asyncio.gather(
        *(recorder.append(flags_service, [draft()]) for _ in range(3)), return_exceptions=True
    )
    assert [type(t) for t in told] == [DatabaseAway] * 3
    work.trouble = None
    assert len(await recorder.append(flags_service, [draft()])) == 1


async def test_a_bug_in_one_append_does_not_fail_its_neighbours(
    recorder, flags_service, draft, work, tenant
):
    good, bad = draft(), draft()
    enter = work.log.enter

    async def picky(kept, heads):
        if any(one.leaf.one.event.id == UUID(bad.event_id) for one in kept):
            raise RuntimeError("a bug")
        return await enter(kept, heads)

    work.log.enter = picky
    told = await asyncio.gather(
        *(recorder.append(flags_service, [d]) for d in (good, bad, draft())),
        return_exceptions=True,
    )
    assert [type(t) for t in told] == [list, RuntimeError, list]
    assert len(stored(work, tenant)) == 2


async def test_one_who_hangs_up_does_not_disturb_the_others(
    recorder, flags_service, draft, work, tenant
):
    first = asyncio.create_task(recorder.append(flags_service, [draft()]))
    second = asyncio.create_task(recorder.append(flags_service, [draft()]))
    await asyncio.sleep(0)
    first.cancel()
    assert [r.seq for r in await second] == [2]
    assert len(stored(work, tenant)) == 2
