"""Connections that are opened beside the work: how many words that takes, and who waits, is refused, or is served."""

import asyncio
import random
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from sqlalchemy import text

from schemas import connections
from schemas.connections import Away, Busy, connected
from tests.faults.wire import Wire
from tests.waiting import until

MOST, SOON = 2, 60
PID = text("SELECT pg_backend_pid()")


class Counted(Wire):
    """A wire that counts how often an answer follows a question: the round trips."""

    trips, _asked = 0, False

    async def _pump(self, reader, writer, ends, *, answers=False):
        while data := await reader.read(65_536):
            self.trips += answers and self._asked
            self._asked = not answers
            writer.write(data)
        writer.close()


@pytest.fixture
async def wire(admin_url):
    env = {"URL": admin_url}
    made = Counted.spliced(env, "URL")
    made.url = env["URL"]
    async with made.joined():
        yield made


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """The machines that run tests are busy: nobody's turn comes too late unless a test says so."""
    monkeypatch.setattr(connections, "WAITING", SOON)
    monkeypatch.setattr(connections, "OPENING", SOON)


@asynccontextmanager
async def opened(url, most=MOST):
    """Lend the engine and its pool."""
    async with connected(url, most, {"application_name": uuid4().hex}) as engine:
        yield engine, engine.pool


async def pid(engine):
    async with engine.connect() as connection:
        return await connection.scalar(PID)


async def all_are_lent(engine, stack):
    for _ in range(MOST):
        await stack.enter_async_context(engine.connect())


@pytest.mark.store
class TestOpening:
    async def test_the_first_one_and_every_other_takes_four_round_trips_and_nobody_waits(
        self, wire
    ):
        """TLS or not, hello, and two for the password; what SQLAlchemy would ask next, the greeting says."""
        async with opened(wire.url) as (engine, pool):
            await until(lambda: pool.idle == 1, SOON, "one is there before it is wanted")
            assert wire.trips == 4
            async with engine.connect():
                assert wire.trips == 4
                async with engine.connect():
                    assert wire.trips == 8

    async def test_sqlalchemy_knows_what_it_would_have_asked(self, admin_url):
        async with opened(admin_url) as (engine, _):
            async with engine.connect() as connection:
                version = await connection.scalar(text("SHOW server_version_num"))
                assert (
                    await connection.scalar(text(r"SELECT '\n' || :x"), {"x": "\\"}) == r"\n" + "\\"
                )
                level = await connection.scalar(text("SHOW transaction_isolation"))
            assert engine.dialect.server_version_info[0] == int(version) // 10_000
            assert level.upper() == engine.dialect.default_isolation_level

    async def test_what_is_lost_is_opened_again_with_nobody_asking(self, admin_url):
        async with opened(admin_url) as (engine, pool), opened(admin_url) as (other, _):
            lost = await pid(engine)
            async with other.connect() as connection:
                await connection.execute(text(f"SELECT pg_terminate_backend({lost}, 5000)"))
            async with engine.connect() as connection:
                assert await connection.scalar(PID) != lost
            assert pool.idle == 1

    async def test_what_a_rush_needed_is_closed_when_nobody_has_borrowed_it_for_long(
        self, admin_url, monkeypatch
    ):
        now = 0.0
        monkeypatch.setattr(connections, "monotonic", lambda: now)
        monkeypatch.setattr(connections, "RESTING", 0.05)
        async with opened(admin_url) as (engine, pool):
            async with engine.connect(), engine.connect():
                now = 1.0
            assert pool.idle == MOST
            now = 2.0
            await until(lambda: pool.idle == 1, SOON, "one is left")
            assert pool._open == pool._wanted == 1
            async with engine.connect() as one, engine.connect() as two:
                assert await one.scalar(PID) != await two.scalar(PID)

    async def test_one_that_is_reset_says_nothing_of_the_others(self, admin_url):
        async with opened(admin_url) as (engine, pool):
            async with engine.connect() as lost, engine.connect() as kept:
                stays = await kept.scalar(PID)
                (await lost.get_raw_connection()).driver_connection.terminate()
                with pytest.raises(Exception, match="closed"):
                    await lost.scalar(PID)
            await until(lambda: pool.idle == MOST, SOON, "the one that was lost is replaced")
            async with engine.connect() as one, engine.connect() as two:
                assert stays in [await one.scalar(PID), await two.scalar(PID)]

    async def test_who_is_called_away_takes_no_connection_along(self, admin_url):
        async with opened(admin_url) as (engine, pool):

            async def borrow():
                async with engine.connect() as connection:
                    await connection.scalar(PID)
                    await asyncio.sleep(random.random() / 100)

            for _ in range(10):
                tasks = [asyncio.create_task(borrow()) for _ in range(8)]
                for task in random.sample(tasks, 6):
                    await asyncio.sleep(random.random() / 100)
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await until(lambda: pool.idle == MOST, SOON, "all are there again")
            async with engine.connect() as one, engine.connect() as two:
                assert await one.scalar(PID) != await two.scalar(PID)


class TestRefusing:
    async def test_who_comes_while_there_is_no_database_is_told_at_once(self, unused_tcp_port):
        nowhere = f"postgresql://nobody:x@127.0.0.1:{unused_tcp_port}/none"
        async with opened(nowhere) as (engine, pool):
            for _ in range(3):
                with pytest.raises(Away):
                    await pid(engine)
            with pytest.raises(Away):
                pool.admit()

    @pytest.mark.store
    async def test_who_would_find_a_connection_or_have_one_opened_is_admitted(self, admin_url):
        async with opened(admin_url) as (engine, pool):
            pool.admit()
            await until(lambda: pool.idle == 1, SOON, "one is there")
            pool.admit()
            async with engine.connect():
                pool.admit()

    @pytest.mark.store
    async def test_a_database_that_comes_back_is_found_with_nobody_asking(self, wire):
        await wire.cut()
        async with opened(wire.url) as (engine, pool):
            with pytest.raises(Away):
                await pid(engine)
            await wire.join()
            await until(lambda: pool.idle == 1, SOON, "it is found")
            assert await pid(engine)

    @pytest.mark.store
    async def test_nobody_joins_a_line_that_is_longer_than_he_would_wait(
        self, admin_url, monkeypatch
    ):
        """Two connections, each lent for 45 s lately: the first two in line have their turn within 60 s."""
        now = 0.0
        monkeypatch.setattr(connections, "monotonic", lambda: now)
        async with opened(admin_url) as (engine, pool):
            async with engine.connect(), engine.connect():
                now = 10.0
            async with engine.connect(), engine.connect():
                pool._held = 45.0  # of twenty and more that were lent one would learn the same
                waiting = [asyncio.create_task(pid(engine)) for _ in range(2)]
                await until(lambda: len(pool._line) == 2, SOON, "two are in line")
                for refused in (
                    pool.admit,
                    lambda: pid(engine),
                ):  # before anything is made, and later
                    with pytest.raises(Busy):
                        await refused()
                assert not any(task.done() for task in waiting)
            assert all(await asyncio.gather(*waiting))

    @pytest.mark.store
    async def test_however_long_others_hold_theirs_one_more_is_opened_while_there_may_be_one(
        self, admin_url
    ):
        async with opened(admin_url) as (engine, pool), engine.connect():
            pool._held = 10.0 * SOON
            assert await pid(engine)

    @pytest.mark.store
    async def test_nobody_joins_a_line_that_does_not_move(self, admin_url, monkeypatch):
        now = 0.0
        monkeypatch.setattr(connections, "monotonic", lambda: now)
        async with opened(admin_url) as (engine, pool):
            async with engine.connect(), engine.connect():
                first = asyncio.create_task(pid(engine))
                await until(lambda: pool._line, SOON, "one is in line")
                now = connections.STALLED + 0.1
                with pytest.raises(Busy):
                    await pid(engine)
                assert not first.done()
            assert await first

    @pytest.mark.store
    async def test_who_waits_too_long_is_refused(self, admin_url, monkeypatch):
        async with opened(admin_url) as (engine, pool):
            async with engine.connect(), engine.connect():
                monkeypatch.setattr(connections, "WAITING", 0.05)
                with pytest.raises(Busy):
                    await pid(engine)
            assert await pid(engine)
            assert pool.idle == MOST
