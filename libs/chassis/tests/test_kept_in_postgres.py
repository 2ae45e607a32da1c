"""What the chassis keeps: transactions, leases, idempotent answers, the outbox. Over a real PostgreSQL."""

import asyncio
from dataclasses import replace
from hashlib import sha256
from uuid import uuid4

import asyncpg
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.orm import Mapped, mapped_column
from starlette.responses import JSONResponse

from chassis.db import after_commit, base_for, database, transaction
from chassis.errors import Broken, Conflict, Invalid, Unavailable
from chassis.facts import Actor, Fact, Target
from chassis.idempotency import (
    BadIdempotencyKey,
    Idempotency,
    IdempotencyRow,
    KeyInUse,
    KeyReused,
    Retry,
)
from chassis.leases import LeaseRow, hold
from chassis.outbox import ATTEMPTS, OutboxRow, Relay, record

pytestmark = pytest.mark.store
SECRETS = (b"a secret of tests",)
BACKEND = text("SELECT pg_backend_pid()")


class Room:
    """A schema of its own, so that tests can run beside each other."""

    def __init__(self):
        self.schema = f"chassis_{uuid4().hex[:12]}"
        self.Base = base = base_for(self.schema)

        class Outbox(OutboxRow, base):
            pass

        class Lease(LeaseRow, base):
            pass

        class Kept(IdempotencyRow, base):
            pass

        class Thing(base):
            __tablename__ = "thing"
            name: Mapped[str] = mapped_column(primary_key=True)

        self.Outbox, self.Lease, self.Kept, self.Thing = Outbox, Lease, Kept, Thing


@pytest.fixture
async def room(admin_url):
    made = Room()
    async with database(admin_url, made.schema) as sessions:
        async with transaction(sessions) as session:
            await session.execute(text(f"CREATE SCHEMA {made.schema}"))
            await (await session.connection()).run_sync(made.Base.metadata.create_all)
        made.sessions, made.url = sessions, admin_url
        yield made
        async with transaction(sessions) as session:
            await session.execute(text(f"DROP SCHEMA {made.schema} CASCADE"))


async def count(room, row):
    async with transaction(room.sessions) as session:
        return await session.scalar(select(func.count()).select_from(row))


class TestTransactions:
    async def test_a_server_that_dies_as_one_begins_is_away(self, room, monkeypatch):
        begin, lost = AsyncAdapt_asyncpg_connection._start_transaction, []

        async def dying(lent):
            if not lost:
                lost.append(lent.driver_connection.get_server_pid())
                killer = await asyncpg.connect(room.url)
                await killer.execute("SELECT pg_terminate_backend($1, 5000)", lost[0])
                await killer.close()
            await begin(lent)

        monkeypatch.setattr(AsyncAdapt_asyncpg_connection, "_start_transaction", dying)
        with pytest.raises(Unavailable, match="does not answer"):
            async with transaction(room.sessions) as session:
                session.add(room.Thing(name="x"))
        async with transaction(room.sessions) as session:
            assert await session.scalar(BACKEND) not in lost
        assert await count(room, room.Thing) == 0

    async def test_what_ends_badly_leaves_nothing_and_tells_nobody(self, room):
        told = []
        with pytest.raises(ZeroDivisionError):
            async with transaction(room.sessions) as session:
                session.add(room.Thing(name="x"))
                after_commit(session, lambda: told.append(1))
                raise ZeroDivisionError
        assert (await count(room, room.Thing), told) == (0, [])

    async def test_who_waits_for_the_commit_is_told_after_it(self, room):
        told = []
        async with transaction(room.sessions) as session:
            session.add(room.Thing(name="x"))
            after_commit(session, lambda: told.append(1))
            assert told == []
        assert told == [1]

    async def test_a_database_that_is_not_there_is_unavailable(self, unused_tcp_port):
        url = f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/none"
        async with database(url, "x") as sessions:
            with pytest.raises(Unavailable, match="database"):
                async with transaction(sessions) as session:
                    await session.execute(text("SELECT 1"))

    async def test_a_connection_that_the_server_closed_is_not_lent_again(self, room, admin_url):
        async with database(admin_url, room.schema, pool=1) as sessions:
            async with transaction(sessions) as session:
                raw = await (await session.connection()).get_raw_connection()
                driver, pid = raw.driver_connection, await session.scalar(BACKEND)
            async with transaction(room.sessions) as session:
                await session.execute(text(f"SELECT pg_terminate_backend({pid})"))
            async with asyncio.timeout(20):
                while not driver.is_closed():
                    await asyncio.sleep(0.01)
            async with transaction(sessions) as session:
                assert await session.scalar(BACKEND) != pid

    async def test_what_is_lent_when_the_database_is_closed_is_closed_too(self, room, admin_url):
        async with database(admin_url, room.schema, pool=1) as sessions:
            late = sessions()
            raw = await (await late.connection()).get_raw_connection()
        assert raw.driver_connection.is_closed()
        await late.close()

    async def test_a_bug_in_sql_is_not_renamed(self, room):
        from sqlalchemy.exc import ProgrammingError

        with pytest.raises(ProgrammingError):
            async with transaction(room.sessions) as session:
                await session.execute(text("SELECT nonsense"))


class TestLeases:
    async def test_one_holds_and_the_others_wait(self, room):
        async with transaction(room.sessions) as session:
            assert await hold(session, room.Lease, "l", 60, "a") == 1
            assert await hold(session, room.Lease, "l", 60, "b") is None
            assert await hold(session, room.Lease, "l", 60, "a") == 1

    async def test_a_lease_that_ran_out_goes_to_another_with_a_higher_fence(self, room):
        async with transaction(room.sessions) as session:
            await hold(session, room.Lease, "l", -1, "a")
            assert await hold(session, room.Lease, "l", 60, "b") == 2
            assert await hold(session, room.Lease, "l", 60, "a") is None


class TestIdempotency:
    @pytest.fixture
    def kept(self, room):
        return Idempotency(room.sessions, room.Kept, SECRETS)

    def answering(self, room, name, status=201, fail=None):
        async def answer():
            async with transaction(room.sessions) as session:
                session.add(room.Thing(name=name))
            if fail:
                raise fail
            return JSONResponse({"secret": "s3cret", "name": name}, status, {"etag": '"1"'})

        return answer

    async def test_a_repeated_request_has_one_effect_and_the_same_answer(self, room, kept):
        retry = Retry(scope="ana POST /x", key="k", body=b"{}")
        first = await kept.once(retry, self.answering(room, "x"))
        again = await kept.once(retry, self.answering(room, "x"))
        assert (again.status_code, again.body) == (first.status_code, first.body)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["etag"] == '"1"'
        assert await count(room, room.Thing) == 1

    async def test_another_body_under_the_same_key_is_refused(self, room, kept):
        await kept.once(Retry(scope="s", key="k", body=b"1"), self.answering(room, "x"))
        with pytest.raises(KeyReused):
            await kept.once(Retry(scope="s", key="k", body=b"2"), self.answering(room, "y"))

    async def test_the_same_key_of_somebody_else_is_another_key(self, room, kept):
        await kept.once(Retry(scope="ana", key="k", body=b"1"), self.answering(room, "x"))
        await kept.once(Retry(scope="bob", key="k", body=b"2"), self.answering(room, "y"))
        assert await count(room, room.Thing) == 2

    async def test_a_refusal_is_not_kept_and_changes_nothing(self, room, kept):
        retry = Retry(scope="s", key="k", body=b"1")
        with pytest.raises(Conflict):
            await kept.once(retry, self.answering(room, "x", fail=Conflict("no")))
        assert await count(room, room.Thing) == 0
        assert (await kept.once(retry, self.answering(room, "x"))).status_code == 201

    async def test_fifty_at_once_have_one_effect(self, room, kept):
        retry = Retry(scope="s", key="k", body=b"1")

        async def ask():
            try:
                return (await kept.once(retry, self.answering(room, "x"))).status_code
            except (KeyInUse, Unavailable):
                return 409

        answers = await asyncio.gather(*(ask() for _ in range(50)))
        assert set(answers) <= {201, 409}
        assert 201 in answers
        assert await count(room, room.Thing) == 1

    async def test_what_is_kept_cannot_be_read_in_the_database(self, room, kept):
        await kept.once(Retry(scope="s", key="k", body=b"1"), self.answering(room, "x"))
        async with transaction(room.sessions) as session:
            row = await session.scalar(select(room.Kept))
        assert b"s3cret" not in row.answer

    async def test_no_body_can_be_tried_by_who_reads_the_database(self, room, kept):
        retry = Retry(scope="s", key="1", body=b'{"password":"guess me"}')
        await kept.once(retry, self.answering(room, "x"))
        async with transaction(room.sessions) as session:
            row = await session.scalar(select(room.Kept))
        assert row.request != sha256(retry.body).digest()
        with pytest.raises(InvalidTag):
            retry.unseal(row.answer, b"another secret")

    async def test_the_same_key_seals_anew_when_its_answer_is_forgotten(self, room, kept):
        retry = Retry(scope="s", key="1", body=b"1")
        assert retry.seal(b"a", SECRETS[0]) != retry.seal(b"a", SECRETS[0])

    @pytest.mark.parametrize("kept_by", [(b"new", b"old"), (b"old",)])
    async def test_while_the_secret_is_turned_answers_are_given_again(self, room, kept_by):
        retry = Retry(scope="s", key="k", body=b"1")
        before = Idempotency(room.sessions, room.Kept, kept_by)
        await before.once(retry, self.answering(room, "x"))
        both = Idempotency(room.sessions, room.Kept, (b"new", b"old"))
        again = await both.once(retry, self.answering(room, "x"))
        assert again.headers["idempotent-replayed"] == "true"
        with pytest.raises(KeyReused):
            await both.once(replace(retry, body=b"2"), self.answering(room, "x"))

    async def test_what_a_release_before_0100_kept_is_given_again(self, room, kept):
        retry = Retry(scope="s", key="k", body=b"1")
        sealing = AESGCM(sha256(b"seal\ns\nk").digest())
        said = sealing.encrypt(bytes(12), b'[201, {}, "e30="]', retry.id)
        async with transaction(room.sessions) as session:
            old = {"id": retry.id, "request": sha256(b"1").digest(), "answer": said}
            session.add(room.Kept(**old))
        again = await kept.once(retry, self.answering(room, "x"))
        assert (again.status_code, again.body) == (201, b"{}")
        assert await count(room, room.Thing) == 0

    async def test_answers_are_forgotten_after_a_day(self, room, kept):
        retry = Retry(scope="s", key="k", body=b"1")
        await kept.once(retry, self.answering(room, "x"))
        async with transaction(room.sessions) as session:
            yesterday = func.now() - text("interval '25 hours'")
            await session.execute(update(room.Kept).values(made_at=yesterday))
        assert await kept.sweep() == 1
        await kept.once(Retry(scope="s", key="k", body=b"2"), self.answering(room, "y"))
        assert await count(room, room.Thing) == 2

    @pytest.mark.parametrize("key", ["", "x" * 256, "ü", "a\nb"])
    def test_a_key_that_is_none_is_refused(self, key):
        with pytest.raises(BadIdempotencyKey):
            Retry(scope="s", key=key, body=b"")


class Reader:
    """Somebody who reads letters, and may be away or refuse some."""

    def __init__(self):
        self.read = []
        self.away = False
        self.refuses = set()
        self.breaks_on = set()

    async def __call__(self, letters):
        if self.away:
            raise Unavailable("away")
        if any(letter.body["action"] in self.refuses for letter in letters):
            raise Invalid("poison")
        if any(letter.body["action"] in self.breaks_on for letter in letters):
            raise Broken("a bug")
        self.read += [letter.body["action"] for letter in letters]


class TestOutbox:
    @pytest.fixture
    def reader(self):
        return Reader()

    @pytest.fixture
    def relay(self, room, reader):
        return Relay(room.sessions, room.Outbox, room.Lease, reader)

    async def happen(self, room, relay, *actions):
        for action in actions:
            async with transaction(room.sessions) as session:
                fact = Fact(
                    tenant=uuid4(),
                    actor=Actor("user", "u1"),
                    action=action,
                    target=Target("thing", "t1"),
                    after={"a": 1},
                )
                record(session, room.Outbox, fact, relay.wake)

    async def test_facts_are_delivered_in_order_and_forgotten(self, room, relay, reader):
        await self.happen(room, relay, "a.one", "a.two", "a.three")
        assert await relay.deliver_batch() == 3
        assert reader.read == ["a.one", "a.two", "a.three"]
        assert await count(room, room.Outbox) == 0

    async def test_a_fact_of_a_change_that_failed_does_not_exist(self, room, relay):
        with pytest.raises(ZeroDivisionError):
            async with transaction(room.sessions) as session:
                fact = Fact(
                    tenant=None, actor=Actor("user", "u"), action="a.b", target=Target("t", "1")
                )
                record(session, room.Outbox, fact, relay.wake)
                raise ZeroDivisionError
        assert await count(room, room.Outbox) == 0

    async def test_nothing_is_lost_while_the_reader_is_away(self, room, relay, reader):
        reader.away = True
        await self.happen(room, relay, "a.one")
        with pytest.raises(Unavailable):
            await relay.deliver_batch()
        reader.away = False
        assert await relay.deliver_batch() == 1
        assert reader.read == ["a.one"]

    async def test_poison_is_parked_and_its_neighbours_go_on(self, room, relay, reader):
        reader.refuses = {"a.bad"}
        await self.happen(room, relay, "a.one", "a.bad", "a.two")
        for _ in range(ATTEMPTS):
            await relay.deliver_batch()
        assert reader.read == ["a.one", "a.two"]
        async with transaction(room.sessions) as session:
            [row] = (await session.scalars(select(room.Outbox))).all()
        assert (row.body["action"], row.trouble, row.attempts) == ("a.bad", "poison", ATTEMPTS)
        assert row.parked_at is not None
        assert await relay.deliver_batch() == 0

    async def test_a_letter_that_breaks_the_reader_is_parked_where_others_get_through(
        self, room, relay, reader
    ):
        reader.breaks_on = {"a.bad"}
        await self.happen(room, relay, "a.bad", *(f"a.n{n}" for n in range(3)))
        assert await relay.deliver_batch() == 3
        for n in range(ATTEMPTS - 1):
            await self.happen(room, relay, f"a.more{n}")
            await relay.deliver_batch()
        assert len(reader.read) == 3 + ATTEMPTS - 1
        assert await relay.deliver_batch() == 0
        assert await count(room, room.Outbox) == 1

    async def test_a_reader_that_breaks_on_everything_is_away_and_nothing_is_parked(
        self, room, relay, reader
    ):
        reader.breaks_on = {"a.one", "a.two"}
        await self.happen(room, relay, "a.one", "a.two")
        for _ in range(ATTEMPTS + 1):
            with pytest.raises(Broken):
                await relay.deliver_batch()
        reader.breaks_on = set()
        assert await relay.deliver_batch() == 2
        assert reader.read == ["a.one", "a.two"]

    async def test_a_relay_that_stops_leaves_the_lease_to_the_next(self, room, relay, reader):
        running = asyncio.create_task(relay.run(every=30))
        await self.happen(room, relay, "a.one")
        async with asyncio.timeout(20):
            while not reader.read:
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        async with transaction(room.sessions) as session:
            assert await hold(session, room.Lease, "relay", 60, "another process")

    async def test_only_the_holder_of_the_lease_delivers(self, room, relay, reader):
        async with transaction(room.sessions) as session:
            await hold(session, room.Lease, "relay", 60, "another process")
        await self.happen(room, relay, "a.one")
        assert await relay.deliver_batch() == 0
        assert reader.read == []

    async def test_the_relay_wakes_by_itself_after_a_commit(self, room, relay, reader):
        running = asyncio.create_task(relay.run(every=30))
        await asyncio.sleep(0)
        await self.happen(room, relay, "a.one")
        async with asyncio.timeout(20):
            while not reader.read:
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert reader.read == ["a.one"]
