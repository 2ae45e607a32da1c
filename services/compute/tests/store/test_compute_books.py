"""One contract for all books of compute: those in memory and those in PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import product
from uuid import uuid4

import pytest
from sqlalchemy import select

from chassis.db import database
from chassis.errors import Unavailable
from chassis.facts import Actor, Fact, Target
from chassis.pages import PageAsk
from compute.domain.errors import ChangedMeanwhile, QuotaExceeded
from compute.domain.order import SourceType
from compute.domain.quota import Amount, Limits, Quota
from compute.domain.vm import Status, Step, Wish
from compute.ports import Wanted
from compute.store.tables import Outbox
from compute.store.work import sql_work

LIMIT = Amount(vms=10, cpu=1000, memory_gb=1000, disk_gb=1000)
ONE = Amount(vms=1, cpu=1, memory_gb=2, disk_gb=3)


@pytest.fixture
async def offer(open_work):
    """Put templates where the store finds them."""

    async def put(*templates):
        async with open_work() as work:
            for it in templates:
                await work.templates.put(it)

    return put


async def kept(open_work, *vms):
    async with open_work() as work:
        for vm in vms:
            await work.vms.add(vm)


async def names(open_work, tenant, **wanted):
    async with open_work() as work:
        part = await work.vms.list(tenant, Wanted(ask=wanted.pop("ask", PageAsk()), **wanted))
    return [vm.name for vm in part.items]


async def test_what_was_added_comes_back_whole(open_work, make_vm, tenant, clock):
    vm = make_vm(
        name="Größer 更好 🙂",
        source_type=SourceType.TEMPLATE,
        template_id=uuid4(),
        template_name="debian",
        iso_url=None,
        user_data="#cloud-config",
        ssh_keys=("ssh-ed25519 AAAA",),
        labels={"team": "blau", "a/b": ""},
        ip_address="fd00::1",
        wish=Wish.STOP,
        step=Step.HALT,
        trouble="t",
        version=7,
    )
    await kept(open_work, vm)
    async with open_work() as work:
        assert await work.vms.find(tenant, vm.id) == vm
        assert await work.vms.take(tenant, vm.id) == vm
        assert await work.vms.find(uuid4(), vm.id) is None
        assert await work.vms.take(uuid4(), vm.id) is None


async def test_a_machine_that_was_changed_meanwhile_is_not_overwritten(
    open_work, make_vm, tenant, clock
):
    first = make_vm()
    await kept(open_work, first)
    second = first.changed({"name": "second"}, clock())
    async with open_work() as work:
        await work.vms.put(first, second)
    with pytest.raises(ChangedMeanwhile):
        async with open_work() as work:
            await work.vms.put(first, first.changed({"name": "late"}, clock()))
    async with open_work() as work:
        assert await work.vms.find(tenant, first.id) == second


async def test_what_was_removed_is_gone(open_work, make_vm, tenant):
    vm = make_vm()
    await kept(open_work, vm)
    async with open_work() as work:
        await work.vms.remove(vm)
    async with open_work() as work:
        assert await work.vms.find(tenant, vm.id) is None


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("-created_at", ["b", "c", "a"]),
        ("created_at", ["a", "c", "b"]),
        ("name", ["a", "b", "c"]),
        ("-number", ["b", "c", "a"]),
        ("-updated_at", ["a", "b", "c"]),
        ("updated_at", ["c", "b", "a"]),
    ],
)
async def test_cursors_and_numbered_pages_show_the_same_list(
    open_work, make_vm, tenant, clock, sort, expected
):
    await kept(
        open_work,
        replace(make_vm("a"), updated_at=clock() + timedelta(hours=1)),
        make_vm("c", at=clock.forward(seconds=1)),
        make_vm("b", at=clock.forward(seconds=1)),
        make_vm("elsewhere", tenant=uuid4()),
    )
    walked, after = [], None
    for page in (1, 2, 3):
        async with open_work() as work:
            ask = PageAsk(limit=1, after=after)
            part = await work.vms.list(tenant, Wanted(ask=ask, sort=sort))
        assert part.total == 3
        here = [vm.name for vm in part.items]
        assert here == await names(open_work, tenant, sort=sort, ask=PageAsk(limit=1, page=page))
        walked, after = walked + here, part.next
    assert (walked, after) == (expected, None)


@pytest.mark.parametrize(
    ("search", "expected"),
    [("WEB", ["web"]), ("debian", ["db"]), ("10.0", ["db"]), ("%", []), ("", ["db", "web"])],
)
async def test_a_search_looks_at_name_template_and_address(
    open_work, make_vm, tenant, search, expected
):
    await kept(
        open_work, make_vm("web"), make_vm("db", template_name="Debian", ip_address="10.0.0.7")
    )
    assert await names(open_work, tenant, search=search, sort="name") == expected


async def test_the_status_in_a_filter_is_the_status_that_people_see(open_work, make_vm, tenant):
    """SQL says again what the domain says; here both are asked about every step."""
    states = product(Step, (None, "the image is damaged"))
    every = [make_vm(f"{step} {trouble}", step=step, trouble=trouble) for step, trouble in states]
    await kept(open_work, *every)
    for status in Status:
        expected = {vm.name for vm in every if vm.status is status}
        assert set(await names(open_work, tenant, status=status)) == expected
        assert expected


async def test_a_template_is_seen_by_its_tenant_and_a_global_one_by_all(
    open_work, offer, template, tenant
):
    own = replace(template, id=uuid4(), tenant=tenant, name=f"own {tenant}")
    other = replace(template, id=uuid4(), tenant=uuid4())
    await offer(template, own, other)
    async with open_work() as work:
        assert await work.templates.find(tenant, template.id) == template
        assert await work.templates.find(tenant, own.id) == own
        assert await work.templates.find(tenant, other.id) is None
        wanted = Wanted(ask=PageAsk(), search=str(tenant), sort="name")
        assert (await work.templates.list(tenant, wanted)).items == [own]
        assert (await work.templates.list(uuid4(), wanted)).items == []


async def test_nobody_has_anything_at_first(open_work, tenant):
    async with open_work() as work:
        assert await work.quotas.find(tenant, LIMIT) == Quota(LIMIT, Amount())


async def test_taking_counts_and_giving_back_uncounts_but_no_number_comes_twice(open_work, tenant):
    async with open_work() as work:
        assert [await work.quotas.take(tenant, LIMIT, ONE) for _ in range(3)] == [1, 2, 3]
        await work.quotas.give_back(tenant, ONE)
        assert (await work.quotas.find(tenant, LIMIT)).used == ONE + ONE
        assert await work.quotas.take(tenant, LIMIT, ONE) == 4


@pytest.mark.parametrize("name", ["vms", "cpu", "memory_gb", "disk_gb"])
async def test_too_much_of_any_one_thing_is_refused_and_nothing_is_taken(open_work, tenant, name):
    much = replace(ONE, **{name: getattr(LIMIT, name) + 1})
    async with open_work() as work:
        with pytest.raises(QuotaExceeded, match=name):
            await work.quotas.take(tenant, LIMIT, much)
        assert (await work.quotas.find(tenant, LIMIT)).used == Amount()


@pytest.mark.parametrize("seats", [10])
async def test_forty_at_once_get_no_more_than_the_ten_that_there_are(open_work, tenant, seats):
    async def one():
        try:
            async with open_work() as work:
                return await work.quotas.take(tenant, replace(LIMIT, vms=seats), ONE)
        except (
            Unavailable
        ):  # no connection within two seconds, on a busy machine: as a client, ask again
            return await one()

    got = await asyncio.gather(*(one() for _ in range(40)), return_exceptions=True)
    numbers = [it for it in got if isinstance(it, int)]
    assert sorted(numbers) == list(range(1, seats + 1))
    assert sum(isinstance(it, QuotaExceeded) for it in got) == 30


async def set_limits(open_work, tenant, **said):
    async with open_work() as work:
        before = await work.quotas.lock(tenant, LIMIT)
        await work.quotas.put(tenant, before.limited(Limits(**said), LIMIT))


async def test_a_tenants_own_limits_hold_before_the_default_and_can_be_taken_back(
    open_work, tenant
):
    await set_limits(open_work, tenant, vms=1)
    async with open_work() as work:
        await work.quotas.take(tenant, LIMIT, ONE)
        with pytest.raises(QuotaExceeded, match="vms 1 of 1 used"):
            await work.quotas.take(tenant, LIMIT, ONE)
    await set_limits(open_work, tenant, cpu=0)
    async with open_work() as work:
        found = await work.quotas.find(tenant, LIMIT)
        assert (found.limit, found.used, found.version) == (replace(LIMIT, cpu=0), ONE, 3)
        with pytest.raises(QuotaExceeded, match="cpu 1 of 0 used"):
            await work.quotas.take(tenant, LIMIT, ONE)
        assert await work.quotas.take(tenant, LIMIT, replace(ONE, cpu=0)) == 2


async def test_a_limit_that_changes_while_many_take_is_never_overrun(open_work, tenant):
    """Thirty takers, and meanwhile the limit goes down to five and up to eight: what was given fits what held then."""

    async def one():
        try:
            async with open_work() as work:
                return await work.quotas.take(tenant, LIMIT, ONE)
        except Unavailable:
            return await one()

    takers = [one() for _ in range(30)]
    lowered = [set_limits(open_work, tenant, vms=5), set_limits(open_work, tenant, vms=8)]
    got = await asyncio.gather(
        *takers[:10], lowered[0], *takers[10:], lowered[1], return_exceptions=True
    )
    numbers = [it for it in got if isinstance(it, int)]
    async with open_work() as work:
        found = await work.quotas.find(tenant, LIMIT)
    assert sorted(numbers) == list(range(1, found.used.vms + 1))
    assert found.used.vms <= LIMIT.vms
    assert found.limit.vms in (5, 8)


@pytest.mark.store
async def test_a_fact_is_kept_with_its_change_or_not_at_all(database_url, tenant):
    fact = Fact(
        tenant=tenant, actor=Actor("user", "ana"), action="vm.created", target=Target("vm", "1")
    )
    async with database(database_url, "compute") as sessions:
        work_of = sql_work(sessions, lambda: None)
        async with work_of() as work:
            work.record(fact)
        with pytest.raises(RuntimeError):
            async with work_of() as work:
                work.record(fact)
                raise RuntimeError
        async with sessions() as session:
            bodies = (await session.scalars(select(Outbox.body))).all()
    assert [b["action"] for b in bodies if b["tenant"] == str(tenant)] == ["vm.created"]
