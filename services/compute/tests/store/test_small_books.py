"""What was asked, what happened, who may touch a machine and who may sit at its console: the books of each."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from chassis.db import database, transaction
from chassis.errors import Unavailable
from compute.domain.happening import Happening, Level
from compute.domain.operation import Operation, Outcome
from compute.domain.ticket import LIFE, Ticket, digest_of
from compute.store.leases import SqlLeases
from compute.store.work import sql_work


@pytest.fixture
def make_operation(tenant, clock):
    def make(vm_id, **said):
        return Operation(
            **{"id": uuid4(), "tenant": tenant, "action": "stop", "generation": 2} | said,
            vm_id=vm_id,
            owner_id="ana",
            asked_by="Größe 🙂",
            created_at=clock(),
        )

    return make


async def kept(open_work, *operations):
    async with open_work() as work:
        for operation in operations:
            await work.operations.add(operation)


class TestOperations:
    async def test_one_comes_back_whole_to_its_own_tenant(self, open_work, make_operation, tenant):
        plain, of_snapshot = make_operation(uuid4()), make_operation(uuid4(), snapshot_id=uuid4())
        await kept(open_work, plain, of_snapshot)
        async with open_work() as work:
            for operation in (plain, of_snapshot):
                assert await work.operations.find(tenant, operation.id) == operation
                assert await work.operations.find(uuid4(), operation.id) is None
            assert await work.operations.find(tenant, uuid4()) is None

    async def test_what_has_ended_is_kept_and_no_longer_open(
        self, open_work, make_operation, tenant, clock
    ):
        vm_id = uuid4()
        first, second, other = make_operation(vm_id), make_operation(vm_id), make_operation(uuid4())
        await kept(open_work, first, second, other)
        failed = first.ended("no space left on device", clock.forward(seconds=1))
        async with open_work() as work:
            assert {it.id for it in await work.operations.open_of(vm_id)} == {first.id, second.id}
            await work.operations.put(failed)
        async with open_work() as work:
            assert await work.operations.open_of(vm_id) == [second]
            found = await work.operations.find(tenant, first.id)
        assert (found, found.status, found.version) == (failed, Outcome.FAILED, 2)

    async def test_who_waits_in_one_transaction_sees_what_another_wrote(
        self, open_work, make_operation, tenant, clock
    ):
        operation = make_operation(uuid4())
        await kept(open_work, operation)
        async with open_work() as watching:
            assert (await watching.operations.find(tenant, operation.id)).status == "RUNNING"
            async with open_work() as work:
                await work.operations.put(operation.ended(None, clock()))
            assert (await watching.operations.find(tenant, operation.id)).status == "SUCCEEDED"

    async def test_what_ended_long_ago_is_forgotten_and_what_is_open_never(
        self, open_work, make_operation, tenant, clock
    ):
        open_, early, late = (make_operation(uuid4()) for _ in range(3))
        await kept(open_work, open_, early.ended(None, clock()))
        limit = clock.forward(days=30)
        await kept(open_work, late.ended(None, limit))
        async with open_work() as work:
            await work.operations.forget(limit)
            found = [await work.operations.find(tenant, it.id) for it in (open_, early, late)]
        assert [it is not None for it in found] == [True, False, True]


class TestLog:
    async def test_the_last_of_it_comes_the_oldest_first_and_each_machine_has_its_own(
        self, open_work, clock
    ):
        vm_id, other = uuid4(), uuid4()
        happened = [Happening(clock(), level, f"{level} 🙂") for level in Level]
        async with open_work() as work:
            for happening in happened:
                await work.log.add(vm_id, happening)
            await work.log.add(other, Happening(clock(), Level.INFO, "elsewhere"))
        async with open_work() as work:
            assert await work.log.last(vm_id, 100) == happened
            assert await work.log.last(vm_id, 2) == happened[-2:]
            assert await work.log.last(uuid4(), 5) == []

    async def test_what_happened_at_one_time_stays_in_the_order_in_which_it_was_told(
        self, open_work, clock
    ):
        vm_id = uuid4()
        async with open_work() as work:
            for number in range(20):
                await work.log.add(vm_id, Happening(clock(), Level.INFO, str(number)))
            told = [it.message for it in await work.log.last(vm_id, 5)]
        assert told == ["15", "16", "17", "18", "19"]

    async def test_what_is_old_is_dropped_and_all_of_a_machine_that_is_gone(self, open_work, clock):
        long, short, gone = uuid4(), uuid4(), uuid4()
        async with open_work() as work:
            for number in range(5):
                for vm_id in (long, gone):
                    await work.log.add(vm_id, Happening(clock(), Level.INFO, str(number)))
            await work.log.add(short, Happening(clock(), Level.INFO, "0"))
            await work.log.forget(gone)
            await work.log.trim(3)
        async with open_work() as work:
            left = [[it.message for it in await work.log.last(i, 9)] for i in (long, short, gone)]
        assert left == [["2", "3", "4"], ["0"], []]


class TestTickets:
    @pytest.fixture
    def ticket(self, tenant, clock):
        shown = uuid4().hex
        return Ticket(
            digest=digest_of(shown),
            tenant=tenant,
            vm_id=uuid4(),
            subject="ana",
            until=clock() + LIFE,
        )

    async def test_one_is_good_once(self, open_work, ticket, clock):
        async with open_work() as work:
            await work.tickets.add(ticket)
        async with open_work() as work:
            assert await work.tickets.redeem(ticket.lasting(clock()))
        async with open_work() as work:
            assert not await work.tickets.redeem(ticket.lasting(clock()))

    @pytest.mark.parametrize("change", ["digest", "tenant", "vm_id", "subject"])
    async def test_it_is_good_for_whom_and_what_it_was_made_for(
        self, open_work, ticket, clock, change
    ):
        other = {"digest": digest_of("x"), "tenant": uuid4(), "vm_id": uuid4(), "subject": "otto"}
        async with open_work() as work:
            await work.tickets.add(ticket)
            wrong = replace(ticket.lasting(clock()), **{change: other[change]})
            assert not await work.tickets.redeem(wrong)
            assert await work.tickets.redeem(ticket.lasting(clock())), "the wrong one used nothing"

    async def test_it_is_good_for_its_time_and_forgotten_after_it(self, open_work, ticket, clock):
        async with open_work() as work:
            await work.tickets.add(ticket)
            assert not await work.tickets.redeem(ticket.lasting(ticket.until))
            await work.tickets.forget(ticket.until)
            just_before = ticket.lasting(ticket.until - timedelta(microseconds=1))
            await work.tickets.forget(ticket.until + timedelta(seconds=1))
            assert not await work.tickets.redeem(just_before)

    @pytest.mark.store
    async def test_of_many_who_show_one_ticket_at_once_one_gets_in(self, database_url, ticket):
        async with database(database_url, "compute", pool=10) as sessions:
            open_work = sql_work(sessions, lambda: None)
            async with open_work() as work:
                await work.tickets.add(ticket)

            async def show():
                try:
                    async with open_work() as work:
                        return await work.tickets.redeem(ticket.lasting(ticket.until - LIFE))
                except Unavailable:  # no connection in time: as a client, show it again
                    return await show()

            assert sum(await asyncio.gather(*(show() for _ in range(10)))) == 1


@pytest.mark.store
class TestLeases:
    """Only in PostgreSQL: two workers, each with a name of its own."""

    @pytest.fixture
    async def sessions(self, database_url, monkeypatch):
        monkeypatch.setattr("compute.store.leases.SECONDS", 3600.0)  # none is over before we say so
        async with database(database_url, "compute") as sessions:
            yield sessions

    @pytest.fixture
    def ask(self, sessions):
        async def ask(holder, verb, *said):
            async with transaction(sessions) as session:
                return await getattr(SqlLeases(session, holder), verb)(*said)

        return ask

    async def expired(self, sessions, vm_id):
        """Let the lease on a machine be over, without waiting for it."""
        over = text(
            "update compute.lease set until = now() - interval '1 second' where name = :name"
        )
        async with transaction(sessions) as session:
            await session.execute(over, {"name": f"vm:{vm_id}"})

    async def test_one_worker_holds_a_machine_and_renews_with_the_same_fence(self, ask):
        vm_id = uuid4()
        fence = await ask("a", "hold", vm_id)
        assert await ask("a", "hold", vm_id) == fence
        assert await ask("b", "hold", vm_id) is None
        assert await ask("b", "hold", uuid4()) is not None, "others are free"

    async def test_who_takes_over_gets_a_higher_fence_and_the_late_one_holds_nothing(
        self, ask, sessions
    ):
        vm_id = uuid4()
        first = await ask("a", "hold", vm_id)
        await self.expired(sessions, vm_id)
        second = await ask("b", "hold", vm_id)
        assert second > first
        assert await ask("b", "renew", vm_id, second)
        for holder, fence in (("a", first), ("a", second), ("b", first)):
            assert not await ask(holder, "renew", vm_id, fence)

    async def test_one_that_is_over_is_ours_until_another_takes_it_and_renewed_nobody_does(
        self, ask, sessions
    ):
        vm_id = uuid4()
        fence = await ask("a", "hold", vm_id)
        await self.expired(sessions, vm_id)
        assert await ask("a", "renew", vm_id, fence)
        assert await ask("b", "hold", vm_id) is None
        assert await ask("a", "hold", vm_id) == fence

    async def test_what_was_dropped_is_free(self, ask):
        vm_id = uuid4()
        fence = await ask("a", "hold", vm_id)
        await ask("a", "drop", vm_id)
        assert not await ask("a", "renew", vm_id, fence), "nor does renewing it bring it back"
        assert await ask("b", "hold", vm_id) is not None

    async def test_of_many_who_want_one_machine_at_once_one_gets_it(self, ask):
        vm_id = uuid4()

        async def want(holder):
            try:
                return await ask(holder, "hold", vm_id)
            except Unavailable:
                return await want(holder)

        got = await asyncio.gather(*(want(str(number)) for number in range(8)))
        assert sum(fence is not None for fence in got) == 1
