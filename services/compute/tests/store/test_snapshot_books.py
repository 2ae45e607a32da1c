"""One contract for the books of snapshots: the one in memory and the one in PostgreSQL."""

from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.pages import PageAsk
from compute.domain.quota import Amount
from compute.domain.snapshot import Snapshot, Task


@pytest.fixture
def make_snapshot(tenant, clock):
    def make(vm, name="x"):
        now = clock.forward(seconds=1)
        return Snapshot(
            id=uuid4(),
            tenant=tenant,
            vm_id=vm.id,
            name=name,
            created_by="Ana",
            created_at=now,
            updated_at=now,
            operation_id=uuid4(),
            disk_gb=20,
        )

    return make


@pytest.fixture
async def vm(open_work, make_vm):
    """A machine on a host of its own."""
    vm = make_vm(host=uuid4().hex, made=True)
    async with open_work() as work:
        await work.vms.add(vm)
    return vm


async def kept(open_work, *snapshots):
    async with open_work() as work:
        for snapshot in snapshots:
            await work.snapshots.add(snapshot)


async def test_what_was_added_comes_back_whole_and_changed_and_is_removed(
    open_work, vm, make_snapshot, clock
):
    first = make_snapshot(vm, "Größer 更好 🙂")
    await kept(open_work, first)
    async with open_work() as work:
        assert await work.snapshots.find(vm.id, first.id) == first
        assert await work.snapshots.find(uuid4(), first.id) is None
        assert await work.snapshots.take(uuid4(), first.id) is None
    second = first.failed("no space", clock())
    async with open_work() as work:
        assert await work.snapshots.take(vm.id, first.id) == first
        await work.snapshots.put(second)
        assert await work.snapshots.take(vm.id, first.id) == second
    ready = second.done(clock())
    async with open_work() as work:
        await work.snapshots.put(ready)
    async with open_work() as work:
        assert await work.snapshots.find(vm.id, first.id) == ready
        await work.snapshots.remove(ready)
    async with open_work() as work:
        assert await work.snapshots.find(vm.id, first.id) is None


async def test_pages_and_cursors_show_the_newest_first_and_count_only_the_machines_own(
    open_work, vm, make_vm, make_snapshot
):
    await kept(open_work, *(make_snapshot(vm, name) for name in "abc"), make_snapshot(make_vm()))
    walked, after = [], None
    for page in (1, 2, 3):
        async with open_work() as work:
            assert await work.snapshots.count(vm.id) == 3
            part = await work.snapshots.list(vm.id, PageAsk(limit=1, after=after))
            numbered = await work.snapshots.list(vm.id, PageAsk(limit=1, page=page))
        assert ([it.name for it in part.items], part.total) == (
            [it.name for it in numbered.items],
            3,
        )
        walked, after = walked + [it.name for it in part.items], part.next
    assert (walked, after) == (["c", "b", "a"], None)
    async with open_work() as work:
        assert (await work.snapshots.list(uuid4(), PageAsk())).items == []


async def test_what_is_to_be_done_is_found_at_its_host_and_when_it_is_time(
    open_work, vm, make_snapshot, clock
):
    fresh, ready = make_snapshot(vm, "fresh"), make_snapshot(vm, "ready").done(clock())
    await kept(open_work, fresh, ready)
    async with open_work() as work:
        assert [it.name for it in await work.snapshots.open_of(vm.id)] == ["fresh"]
        assert await work.snapshots.due(vm.host, clock()) == {vm.id}
        assert await work.snapshots.due("elsewhere", clock()) == set()
        later = fresh.failed("busy", clock())
        await work.snapshots.put(later)
    async with open_work() as work:
        assert await work.snapshots.due(vm.host, clock()) == set()
        assert await work.snapshots.due(vm.host, clock() + timedelta(seconds=1)) == {vm.id}
        await work.snapshots.put(ready.asked(Task.DROP, uuid4(), clock()))
    async with open_work() as work:
        assert len(await work.snapshots.open_of(vm.id)) == 2


async def test_a_machine_that_is_gone_takes_its_snapshots_and_nobody_elses(
    open_work, vm, make_vm, make_snapshot
):
    other = make_vm()
    mine, theirs = make_snapshot(vm), make_snapshot(other)
    await kept(open_work, mine, theirs)
    async with open_work() as work:
        assert await work.snapshots.forget(vm.id) == Amount(disk_gb=20)
        assert await work.snapshots.forget(vm.id) == Amount()
    async with open_work() as work:
        assert await work.snapshots.find(vm.id, mine.id) is None
        assert await work.snapshots.find(other.id, theirs.id) == theirs
