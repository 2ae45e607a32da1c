import os

import pytest
from uuid_utils.compat import uuid7

from audit.clients.seal import AesVault
from audit.domain.errors import NoSuchEntry, OtherTenant
from audit.domain.wanted import Wanted
from audit.usecases.reader import Reader
from audit.usecases.recorder import Recorder
from chassis.caller import Caller
from chassis.errors import Forbidden
from chassis.pages import PageAsk

VAULT = AesVault("a secret of tests: at least 32 characters")


@pytest.fixture
async def reader(work, clock, flags_service, draft):
    recorder = Recorder(work, clock, os.urandom, VAULT)
    for number in range(25):
        clock.tick()
        action = "flag.updated" if number % 5 else "flag.created"
        await recorder.append(flags_service, [draft(action=action)])
    return Reader(work)


@pytest.fixture
def stranger():
    return Caller(subject="eve", tenant=uuid7(), permissions=frozenset({"audit:read"}))


async def search(reader, *asked):
    return (await reader.search(*asked)).part


async def test_pages_have_every_entry_once_and_an_exact_total(reader, ana):
    pages = [await search(reader, ana, Wanted(), PageAsk(limit=10, page=n)) for n in (1, 2, 3, 4)]
    assert [e.seq for p in pages for e in p.items] == list(range(25, 0, -1))
    assert [p.total for p in pages] == [25] * 4
    assert [p.next is None for p in pages] == [False, False, True, True]


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(action_type="created"), Wanted(q="ana")])
async def test_following_cursors_gives_what_pages_give(reader, ana, wanted):
    whole = await search(reader, ana, wanted, PageAsk(limit=100))
    found, ask = [], PageAsk(limit=3)
    while True:
        part = await search(reader, ana, wanted, ask)
        found += part.items
        if part.next is None:
            break
        ask = PageAsk(limit=3, after=part.next)
    assert found == list(whole.items)
    assert len(found) == whole.total


async def test_following_a_cursor_counts_nothing(reader, ana):
    first = await search(reader, ana, Wanted(), PageAsk(limit=3))
    assert (await search(reader, ana, Wanted(), PageAsk(limit=3, after=first.next))).total is None


async def test_nobody_reads_without_permission(reader, tenant):
    nobody = Caller(subject="x", tenant=tenant)
    with pytest.raises(Forbidden):
        await search(reader, nobody, Wanted(), PageAsk())
    with pytest.raises(Forbidden):
        await reader.entry(nobody, uuid7())


async def test_a_tenant_sees_nothing_of_another(reader, stranger, ana, tenant):
    assert (await search(reader, stranger, Wanted(), PageAsk())).total == 0
    event_id = (await search(reader, ana, Wanted(), PageAsk(limit=1))).items[0].event.id
    with pytest.raises(NoSuchEntry):
        await reader.entry(stranger, event_id)
    with pytest.raises(OtherTenant):
        await search(reader, stranger, Wanted(tenant=tenant), PageAsk())
    with pytest.raises(OtherTenant):
        await reader.entry(stranger, event_id, tenant)


async def test_the_platform_reads_the_log_of_any_tenant(reader, tenant):
    root = Caller(
        subject="root", tenant=uuid7(), permissions=frozenset({"audit:read"}), platform=True
    )
    found = await search(reader, root, Wanted(tenant=tenant), PageAsk(limit=1))
    assert found.total == 25
    event_id = found.items[0].event.id
    assert (await reader.entry(root, event_id, tenant)).event.id == event_id
    assert (await search(reader, root, Wanted(), PageAsk())).total == 0


async def test_asking_for_ones_own_tenant_by_name_is_fine(reader, ana, tenant):
    assert (await search(reader, ana, Wanted(tenant=tenant), PageAsk())).total == 25


async def test_a_range_of_dates_is_counted_exactly(reader, ana, clock):
    whole = (await search(reader, ana, Wanted(), PageAsk())).items
    wanted = Wanted(from_date=whole[9].ts, to_date=whole[3].ts)
    found = await search(reader, ana, wanted, PageAsk(limit=3, page=2))
    assert (found.total, [e.seq for e in found.items]) == (7, [e.seq for e in whole[6:9]])


async def test_another_tenants_log_is_for_who_holds_it_everywhere(reader, ana, someone):
    elsewhere = uuid7()
    wide = someone(elsewhere, "audit:read", level="platform")
    assert (await search(reader, wide, Wanted(tenant=ana.tenant), PageAsk())).total == 25
    for narrow in (
        someone(elsewhere, "audit:read"),
        someone(elsewhere, "audit:read", level="project", where="p"),
    ):
        with pytest.raises(Forbidden):
            await search(reader, narrow, Wanted(tenant=ana.tenant), PageAsk())
