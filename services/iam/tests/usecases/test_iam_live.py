"""Who hears of what, on fakes: everything that the WebSocket tells is decided here."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from authz.verbs import WIRE_MODIFY
from iam.domain.acl import EntryDraft
from iam.domain.errors import Behind
from iam.domain.gitops import C, Draft, Ref
from iam.domain.socket_errors import SocketsFull, TooManySockets
from iam.domain.user import Grant
from iam.usecases import board as boards
from iam.usecases.hall import Hall
from iam.usecases.live import Wanted, called, present
from iam.usecases.users import UserChange

FETCH, LIST, NOTIFY = 1, 2, 4
EVERYTHING = Wanted().covers


@pytest.fixture
def tenant(iam):
    return iam.tenant()


@pytest.fixture
def boss(iam, tenant):
    return iam.user(tenant, "boss@acme.test", username="boss", roles=["admin"])


@pytest.fixture
def ann(iam, tenant):
    return iam.user(tenant, username="ann")


@asynccontextmanager
async def running(iam):
    """Have the board read while the block runs, as in a process that serves."""
    task = asyncio.create_task(iam.board.run())
    try:
        with iam.board.listening():
            await iam.board.look()
            yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Ear:
    """Somebody who listens from now on."""

    def __init__(self, iam, caller, covers=EVERYTHING):
        self._iam, self.caller, self._covers = iam, caller, covers
        self.position = None

    async def begin(self, since=None):
        self.position = await self._iam.live.begin(self.caller, since)
        return self

    async def heard(self):
        """Return what was heard, once the board knows everything."""
        await self._iam.board.look()
        told = []
        while True:
            later, posted = await self._iam.live.heard(self.caller, self._covers, self.position, 0)
            told += [(one.happening.note.verb.value, called(one)) for one in posted]
            if later == self.position:
                return told
            self.position = later


@pytest.fixture
def ear(iam, make):
    async def listen(user, covers=EVERYTHING, since=None, **more):
        return await Ear(iam, make.caller(user, **more), covers).begin(since)

    return listen


def group(acl=(), **fields):
    return Draft(key="g_ops", fields=fields, acl=acl)


def entry(bits, *who):
    return EntryDraft(bits, who)


async def test_who_may_be_notified_hears_and_who_may_not_does_not(
    iam, make, boss, ann, tenant, ear
):
    bob = iam.user(tenant, "bob@acme.test", username="bob")
    async with running(iam):
        ears = [await ear(person) for person in (boss, ann, bob)]
        await iam.gitops.create(make.caller(boss), C.GROUPS, group([entry(NOTIFY, "u_ann")]))
        told = [await one.heard() for one in ears]
    assert told == [[("created", "g_ops")], [("created", "g_ops")], []]


@pytest.mark.parametrize("bits", [FETCH, LIST, FETCH | LIST, WIRE_MODIFY])
async def test_other_rights_are_not_enough(iam, make, boss, ann, ear, bits):
    async with running(iam):
        anns = await ear(ann)
        await iam.gitops.create(make.caller(boss), C.GROUPS, group([entry(bits, "u_ann")]))
        assert await anns.heard() == []


async def test_nobody_of_another_tenant_hears_whatever_the_list_says(iam, make, boss, ann, ear):
    stranger = iam.user(iam.tenant("other"), "boss@other.test", username="boss", roles=["admin"])
    async with running(iam):
        theirs = await ear(stranger)
        made = await iam.gitops.create(make.caller(boss), C.GROUPS, group())
        async with (
            iam.work() as work
        ):  # no door writes this; whoever gets it into the table gains nothing
            acl = made.entity.acl.with_root(stranger.id, iam.clock())
            moved = replace(made.entity, acl=acl)
            await work.entities.put(moved, acl)
        await iam.gitops.upsert(make.caller(boss), Ref(C.GROUPS, "g_ops"), Draft(labels={"a": "b"}))
        await iam.gitops.delete(make.caller(boss), Ref(C.GROUPS, "g_ops"))
        await iam.gitops.create(make.caller(stranger), C.GROUPS, Draft(key="g_own"))
        assert await theirs.heard() == [("created", "g_own")]


async def test_the_platform_hears_of_every_tenant(iam, make, boss, ear):
    root = iam.user(
        iam.tenant("platform"), "root@x.test", grants=(Grant("adm_godmode", "platform"),)
    )
    async with running(iam):
        roots, narrow = await ear(root), await ear(root, scope=frozenset({"flag:read"}))
        await iam.gitops.create(make.caller(boss), C.GROUPS, group())
        assert await roots.heard() == [("created", "g_ops")]
        assert await narrow.heard() == []  # a key that may only read flags stays one


async def test_a_list_that_changes_counts_at_once(iam, make, boss, ann, ear):
    async with running(iam):
        anns, at = await ear(ann), Ref(C.GROUPS, "g_ops")
        await iam.gitops.create(make.caller(boss), C.GROUPS, group())
        assert await anns.heard() == []
        await iam.gitops.upsert(make.caller(boss), at, Draft(acl=[entry(NOTIFY, "u_ann")]))
        assert await anns.heard() == [("updated", "g_ops")]
        await iam.gitops.upsert(make.caller(boss), at, Draft(acl=[entry(LIST, "u_ann")]))
        await iam.gitops.upsert(make.caller(boss), at, Draft(labels={"a": "b"}))
        assert await anns.heard() == []


async def test_rights_through_nested_groups_come_and_go(iam, make, boss, ann, ear):
    root = make.caller(boss)
    for key in ("g_in", "g_out"):
        await iam.gitops.create(root, C.GROUPS, Draft(key=key))
    await iam.gitops.create(root, C.GROUPS, group([entry(NOTIFY, "g_out")]))
    await iam.gitops.create(root, C.MEMBERSHIPS, Draft(key="g_in::g_out"))
    async with running(iam):
        anns, at = await ear(ann), Ref(C.GROUPS, "g_ops")
        await iam.gitops.upsert(root, at, Draft(labels={"n": "1"}))
        assert await anns.heard() == []
        await iam.gitops.create(root, C.MEMBERSHIPS, Draft(key="u_ann::g_in"))
        await iam.gitops.upsert(root, at, Draft(labels={"n": "2"}))
        assert ("updated", "g_ops") in await anns.heard()
        await iam.gitops.delete(root, Ref(C.MEMBERSHIPS, "g_in::g_out"))
        await iam.gitops.upsert(root, at, Draft(labels={"n": "3"}))
        assert await anns.heard() == []


async def test_what_a_project_lends_is_heard_and_its_deletion_too(iam, make, boss, ann, ear):
    root = make.caller(boss)
    lends = [EntryDraft(NOTIFY, ("u_ann",), "pipeline_accounts")]
    await iam.gitops.create(root, C.PROJECTS, Draft(key="web", acl=lends))
    async with running(iam):
        anns = await ear(ann)
        draft = Draft(key="pa_ci", fields={"project": "web"})
        await iam.gitops.create(root, C.PIPELINE_ACCOUNTS, draft)
        assert await anns.heard() == [("created", "pa_ci")]
        await iam.gitops.delete(root, Ref(C.PROJECTS, "web"))
        assert await anns.heard() == [("deleted", "pa_ci")]


async def test_a_membership_is_heard_by_whom_its_group_is(iam, make, boss, ann, ear):
    root = make.caller(boss)
    await iam.gitops.create(root, C.GROUPS, group([entry(NOTIFY, "u_ann")]))
    async with running(iam):
        anns = await ear(ann)
        await iam.gitops.create(root, C.MEMBERSHIPS, Draft(key="u_boss::g_ops"))
        assert await anns.heard() == [("created", "u_boss::g_ops")]
        await iam.gitops.delete(root, Ref(C.GROUPS, "g_ops"))
        assert sorted(await anns.heard()) == [("deleted", "g_ops"), ("deleted", "u_boss::g_ops")]


async def test_a_change_at_another_door_is_heard_as_well(iam, make, boss, ann, ear, tenant):
    bob = iam.user(tenant, "bob@acme.test", username="bob")
    async with running(iam):
        bosses, anns, bobs = await ear(boss), await ear(ann), await ear(bob)
        change = UserChange(fields={"first_name": "Änne"})
        await iam.users.update(make.caller(boss), ann.id, change)
        assert await bosses.heard() == [("updated", "u_ann")]
        assert await anns.heard() == [("updated", "u_ann")]  # what is one's own one may know
        assert await bobs.heard() == []


async def test_whoever_lost_their_role_hears_no_more(iam, make, boss, ear):
    second = iam.user(iam.world.tenants[boss.tenant], "two@acme.test", roles=["admin"])
    async with running(iam):
        theirs = await ear(second)
        await iam.gitops.create(make.caller(boss), C.GROUPS, group())
        assert await theirs.heard() == [("created", "g_ops")]
        change = UserChange(fields={}, roles=["user"])
        await iam.users.update(make.caller(boss), second.id, change)
        await iam.gitops.upsert(make.caller(boss), Ref(C.GROUPS, "g_ops"), Draft(labels={"a": "b"}))
        assert await theirs.heard() == [("updated", "u_two@acme.test")]  # of oneself, at most


async def test_super_permissions_are_heard_by_those_who_look_after_the_platform(
    iam, make, boss, ear
):
    god = Grant("adm_godmode", "platform")
    root = iam.user(iam.tenant("platform"), "root@x.test", grants=(god,))
    async with running(iam):
        roots, bosses = await ear(root), await ear(boss)
        draft = Draft(fields={"principals": [str(boss.id)]})
        caller = make.caller(root)
        await iam.supers.write(caller, Ref(C.PERMISSIONS, "usr_create_groups"), draft, whole=True)
        assert ("updated", "usr_create_groups") in await roots.heard()
        assert ("updated", "usr_create_groups") not in await bosses.heard()


async def test_only_what_is_wanted_is_told(iam, make, boss, ear):
    root = make.caller(boss)
    async with running(iam):
        groups = await ear(boss, Wanted(kinds={"groups"}).covers)
        one = await ear(boss, Wanted(ids={"web"}).covers)
        nothing = await ear(boss, Wanted(kinds=frozenset()).covers)
        await iam.gitops.create(root, C.GROUPS, group())
        made = await iam.gitops.create(root, C.PROJECTS, Draft(key="web"))
        by_id = await ear(boss, Wanted(ids={str(made.entity.id)}).covers, since=0)
        assert await groups.heard() == [("created", "g_ops")]
        assert await one.heard() == [("created", "web")]
        assert await by_id.heard() == [("created", "web")]
        assert await nothing.heard() == []


async def test_listening_goes_on_where_it_stopped(iam, make, boss, ear):
    root = make.caller(boss)
    async with running(iam):
        first = await ear(boss)
        await iam.gitops.create(root, C.GROUPS, group())
        assert await first.heard() == [("created", "g_ops")]
    for number in range(250):  # more than one look at the log, and while nobody listens
        await iam.gitops.create(root, C.GROUPS, Draft(key=f"g_{number}"))
    async with running(iam):
        again = await ear(boss, since=first.position)
        assert await again.heard() == [("created", f"g_{number}") for number in range(250)]
        assert await again.heard() == []


async def test_a_position_that_the_log_does_not_reach_is_refused(iam, make, boss, ear):
    root = make.caller(boss)
    for number in range(5):
        await iam.gitops.create(root, C.GROUPS, Draft(key=f"g_{number}"))
    iam.clock.forward(days=2)
    async with iam.work() as work:
        assert await work.happenings.trim(iam.clock() - timedelta(days=1)) == 4
    async with running(iam):
        for since in (0, 2, 6, 1 << 40):
            with pytest.raises(Behind):
                await ear(boss, since=since)
        assert await (await ear(boss, since=4)).heard() == [("created", "g_4")]


async def test_a_slow_listener_reads_from_the_log_when_the_ring_has_moved_on(
    iam, make, boss, ear, monkeypatch
):
    monkeypatch.setattr(boards.Board, "most", 3)
    root = make.caller(boss)
    async with running(iam):
        slow = await ear(boss)
        for number in range(10):
            await iam.gitops.create(root, C.GROUPS, Draft(key=f"g_{number}"))
        assert await slow.heard() == [("created", f"g_{number}") for number in range(10)]


async def test_what_is_gone_is_told_without_what_it_was(iam, make, boss, ear):
    root = make.caller(boss)
    async with running(iam):
        listening = await ear(boss)
        await iam.gitops.create(root, C.GROUPS, group(description="secret plans"))
        await iam.gitops.delete(root, Ref(C.GROUPS, "g_ops"))
        await iam.board.look()
        _, posted = await iam.live.heard(listening.caller, EVERYTHING, listening.position, 0)
    assert [one.happening.note.verb for one in posted] == ["created", "deleted"]
    assert [present(one) for one in posted] == [False, False]


async def test_nothing_is_read_while_nobody_listens(iam, make, boss):
    looks = []
    iam.board._work = lambda: looks.append(1) or iam.work()
    task = asyncio.create_task(iam.board.run())
    for _ in range(3):
        await iam.gitops.create(make.caller(boss), C.GROUPS, Draft(key=f"g_{len(looks)}{_}"))
        await asyncio.sleep(0)
    assert looks == []
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert iam.board.closed


async def test_waiting_ends_as_soon_as_something_happens(iam, make, boss, ear):
    async with running(iam):
        listening = await ear(boss)
        waiting = asyncio.create_task(
            iam.live.heard(listening.caller, EVERYTHING, listening.position, 30)
        )
        await iam.gitops.create(make.caller(boss), C.GROUPS, group())
        async with asyncio.timeout(20):
            _, posted = await waiting
    assert [called(one) for one in posted] == ["g_ops"]


def test_a_hall_has_so_many_seats_and_no_more():
    hall = Hall(per_account=2, per_process=3)
    with hall.seat("ann"), hall.seat("ann"):
        with pytest.raises(TooManySockets), hall.seat("ann"):
            pass
        with hall.seat("bob"), pytest.raises(SocketsFull), hall.seat("cleo"):
            pass
        assert hall.sockets == 2
    with hall.seat("ann"):
        assert hall.sockets == 1
    assert (hall.sockets, dict(hall._taken)) == (0, {})
