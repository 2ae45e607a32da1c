"""One contract for the log, kept by the log in memory and by the one in PostgreSQL."""

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import visitors
from uuid_utils.compat import uuid7

from audit.clients.seal import AesVault
from audit.domain.entry import PLATFORM, instant, names, read, words
from audit.domain.errors import TooDeep
from audit.domain.merkle import Frontier, leaf_hash
from audit.domain.strands import STRANDS
from audit.domain.wanted import Wanted
from audit.ports import Span
from audit.store.listing import _looked_at, _matching
from audit.store.tables import Base, EntryRow
from audit.store.work import sql_work
from audit.usecases.reader import Reader
from audit.usecases.recorder import Recorder
from chassis.caller import Caller
from chassis.db import database, transaction
from chassis.facts import Actor, Outcome, Target
from chassis.pages import PageAsk

VAULT = AesVault("a secret of tests: at least 32 characters")

KINDS = [pytest.param("memory"), pytest.param("postgres", marks=pytest.mark.store)]


@pytest.fixture(scope="session")
def audit_url(service_url):
    return service_url("audit")


@pytest.fixture
async def sessions(audit_url):
    async with database(audit_url, "audit", pool=10) as opened:
        yield opened


@pytest.fixture(params=KINDS)
def open_work(request, work):
    if request.param == "memory":
        return work
    return sql_work(request.getfixturevalue("sessions"), VAULT)


async def put(open_work, events, clock):
    """Put events into their logs; return the entries as they are read again."""
    async with open_work() as work:
        receipts = await Recorder(open_work, clock, os.urandom, VAULT).record(work, *events)
    async with open_work() as work:
        return [await work.log.get(e.tenant, e.id) for e in events], receipts


class TestContract:
    async def test_a_new_log_begins_at_nothing(self, open_work, tenant):
        async with open_work() as work:
            head = (await work.log.lock({tenant}))[tenant]
            span = await work.log.span(tenant, None, None)
        assert (head.tenant, head.seq, len(span)) == (tenant, 0, 0)

    async def test_what_is_appended_is_found_byte_for_byte(self, open_work, event, clock, tenant):
        sent = event(before={"n": 10**30, "f": 1.0, "é": None}, reason="naïve 🙂")
        ((entry,), _) = await put(open_work, [sent], clock)
        async with open_work() as work:
            found = await work.log.get(tenant, sent.id)
            assert await work.log.get(tenant, uuid7()) is None
            assert await work.log.get(uuid7(), sent.id) is None
        assert found == entry
        assert (found.event, found.erased) == (sent, ())

    @pytest.mark.parametrize(
        "turn", [datetime(2026, 2, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)]
    )
    async def test_the_turn_of_a_month_is_no_event(self, open_work, event, clock, tenant, turn):
        seqs = []
        for moment in (turn - timedelta(microseconds=1), turn, turn + timedelta(days=62)):
            clock.at = moment
            ((entry,), _) = await put(open_work, [event()], clock)
            seqs.append(entry.seq)
        assert seqs == [1, 2, 3]
        async with open_work() as work:
            before = await work.log.span(tenant, None, turn - timedelta(microseconds=1))
            month = await work.log.span(tenant, turn, turn + timedelta(days=27))
            later = await work.log.span(tenant, turn + timedelta(days=28), None)
        assert [(s.low, s.high) for s in (before, month, later)] == [(1, 1), (2, 2), (3, 3)]

    async def test_what_is_there_is_not_entered_twice(self, open_work, event, clock, tenant, draft):
        service = Caller(subject="flags", tenant=PLATFORM, permissions=frozenset({"audit:append"}))
        recorder = Recorder(open_work, clock, os.urandom, VAULT)
        sent = [draft() for _ in range(3)]
        await recorder.append(service, sent[:2])
        again = await recorder.append(service, [sent[2], *sent, sent[2]])
        assert [(r.seq, r.seen_before) for r in again] == [
            *((3, False), (1, True), (2, True), (3, True), (3, True))
        ]
        async with open_work() as work:
            assert (await work.log.lock({tenant}))[tenant].seq == 3

    async def test_the_head_moves_and_the_seen_are_known(
        self, open_work, event, clock, tenant, written
    ):
        first, second, third = event(), event(), event()
        await put(open_work, [first, second], clock)
        async with open_work() as work:
            head = (await work.log.lock({tenant}))[tenant]
            seen = await work.log.seen([written(second), written(third)])
        assert (head.seq, head.ts, head.leaves) == (2, clock.at, 2)
        assert seen == {(tenant, second.id): 2}

    async def test_the_same_event_id_in_two_tenants_is_two_events(self, open_work, event, clock):
        one = event()
        other = event(id=one.id, tenant=uuid7())
        _, receipts = await put(open_work, [one, other], clock)
        assert [r.seen_before for r in receipts] == [False, False]

    async def test_a_range_of_time_becomes_a_range_of_numbers(
        self, open_work, event, clock, tenant
    ):
        for count in (1, 3, 2):
            await put(open_work, [event() for _ in range(count)], clock)
            clock.tick(10)
        at = [clock.at - timedelta(seconds=s) for s in (30, 20, 10)]
        little = timedelta(microseconds=1)
        async with open_work() as work:
            span = work.log.span
            assert await span(tenant, None, None) == await span(tenant, at[0], at[2])
            assert (await span(tenant, at[1], at[1])).low == 2
            assert (await span(tenant, at[1], at[1])).high == 4
            assert len(await span(tenant, at[1] + little, None)) == 2
            assert len(await span(tenant, None, at[1] - little)) == 1
            assert len(await span(tenant, at[2] + little, None)) == 0
            assert len(await span(tenant, None, at[0] - little)) == 0
            assert len(await span(tenant, at[0] + little, at[1] - little)) == 0


WORDS = ["alpha", "Beta", "50%", "under_score", "a/b"]
EVENTS = st.lists(
    st.builds(
        dict,
        actor=st.builds(
            Actor, st.just("user"), st.sampled_from(["u1", "u2"]), st.sampled_from(WORDS)
        ),
        action=st.sampled_from(["flag.created", "flag.updated", "vm.created"]),
        target=st.builds(
            Target,
            st.sampled_from(["flag", "vm"]),
            st.sampled_from(["e1", "e2", "e3"]),
            st.sampled_from(WORDS),
        ),
        reason=st.sampled_from(["", *WORDS]),
        outcome=st.sampled_from(Outcome),
    ),
    max_size=25,
)
OFFSETS = st.none() | st.integers(-1, 27)
ASKED = st.builds(
    dict,
    user_id=st.sampled_from(["", "u1", "u3"]),
    entity_id=st.sampled_from(["", "", "e1", "e2"]),
    entity_type=st.sampled_from(["", "", "flag"]),
    action_type=st.sampled_from(["", "", "created", "vm.created", "flag.created"]),
    outcome=st.sampled_from(["", "", "success", "denied"]),
    q=st.sampled_from(["", "", "ALPHA", "%", "_", "a/b", "beta alpha", "\\", "created"]),
    since=OFFSETS,
    until=OFFSETS,
    limit=st.integers(1, 10),
)


class Truth:
    """Every entry that was put in, and every name of every person: what a list is held against."""

    def __init__(self):
        self.entries, self.called = [], {}

    def add(self, entries):
        self.entries += entries
        for entry in entries:
            for who, name in names(entry.event).items():
                self.called.setdefault(who, []).append(name)

    def wanted(self, wanted):
        def people(entry):
            both = {entry.event.actor.id, entry.event.target.id}
            return " ".join(name for who in both for name in self.called.get(who, ()))

        return [e for e in reversed(self.entries) if wanted.matches(e, people(e))]


def wanted_of(ask, start):
    since, until = ask["since"], ask["until"]
    if since is not None and until is not None and since > until:
        since, until = until, since
    return Wanted(
        **{name: ask[name] for name in ask if name not in ("since", "until", "limit")},
        from_date=None if since is None else start + timedelta(seconds=since),
        to_date=None if until is None else start + timedelta(seconds=until),
    )


async def pages_hold(reader, caller, wanted, limit, expected):
    """Each page is what slicing gives, and its total what counting gives, or less where several filters meet."""
    several = len(wanted.strands) > 1 or wanted.terms
    for page in (1, 2, 3):
        try:
            one = await reader.search(caller, wanted, PageAsk(limit=limit, page=page))
        except TooDeep:
            assert several
            assert reader.window < len(expected) or page > 1
            continue
        if one.relation == "eq":
            assert one.part.total == len(expected)
        else:
            assert several
            assert reader.window < 100
            assert one.part.total <= len(expected)
        assert list(one.part.items) == expected[(page - 1) * limit : page * limit]


async def followed(reader, caller, wanted, limit):
    part = (await reader.search(caller, wanted, PageAsk(limit=limit))).part
    found = list(part.items)
    while part.next:
        part = (await reader.search(caller, wanted, PageAsk(limit=limit, after=part.next))).part
        found += part.items
    return found


@given(EVENTS, st.lists(ASKED, min_size=1, max_size=4), st.sampled_from([1, 3, 1000]))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_a_list_with_any_filter_is_a_plain_filter_over_all_events(
    open_work, event, clock, said, asked, window
):
    """Pages, cursors and totals of the log against Python over everything that was put in."""
    tenant, start, truth = uuid7(), clock.at, Truth()
    for one in said:
        truth.add((await put(open_work, [event(tenant=tenant, **one)], clock))[0])
        clock.tick()
    reader = Reader(open_work, window)
    caller = Caller(subject="ana", tenant=tenant, permissions=frozenset({"audit:read"}))
    for ask in asked:
        wanted = wanted_of(ask, start)
        expected = truth.wanted(wanted)
        await pages_hold(reader, caller, wanted, ask["limit"], expected)
        assert await followed(reader, caller, wanted, ask["limit"]) == expected


@pytest.mark.store
class TestWriters:
    async def test_eight_writers_at_once_leave_no_gap_and_nothing_twice(
        self, sessions, draft, clock, flags_service
    ):
        """Eight recorders are eight replicas: they share nothing but the database. Their batches overlap."""
        tenants = [uuid7() for _ in range(3)]
        drafts = [draft(tenant=tenants[n % 3]) for n in range(240)]
        drafts += [draft(tenant_id="") for _ in range(10)]

        async def write(number):
            recorder = Recorder(sql_work(sessions, VAULT), clock, os.urandom, VAULT)
            mine = drafts[number * 20 :] + drafts[: number * 20]
            parts = [mine[at : at + 25] for at in range(0, 250, 25)]
            return [r for part in parts for r in await recorder.append(flags_service, part)]

        told = await asyncio.gather(*(write(number) for number in range(8)))
        fresh = [r.event_id for one in told for r in one if not r.seen_before]
        assert sorted(map(str, fresh)) == sorted(d.event_id for d in drafts)
        numbers = {}
        for receipt in (r for one in told for r in one):
            assert numbers.setdefault(receipt.event_id, receipt.seq) == receipt.seq
        async with sql_work(sessions, VAULT)() as work:
            for tenant in tenants:
                span = await work.log.span(tenant, None, None)
                log = await work.log.newest(tenant, span, Wanted(), 1000)
                assert [e.seq for e in log] == list(range(80, 0, -1))
                assert len({e.event.id for e in log}) == 80
                assert [e.ts for e in log] == sorted((e.ts for e in log), reverse=True)
                tree = Frontier()
                for entry in reversed(log):
                    tree.grow(leaf_hash(entry.body))
                head = (await work.log.lock({tenant}))[tenant]
                assert (head.leaves, head.edge) == (80, tree.packed())
            assert len(await work.log.seen([])) == 0

    async def test_writers_that_begin_many_new_logs_at_once_do_not_deadlock(
        self, sessions, draft, clock, flags_service
    ):
        tenants = [uuid7() for _ in range(30)]

        async def write(order):
            recorder = Recorder(sql_work(sessions, VAULT), clock, os.urandom, VAULT)
            return await recorder.append(flags_service, [draft(tenant=t) for t in order])

        orders = [tenants[n:] + tenants[:n] for n in range(8)]
        told = await asyncio.gather(*(write(order) for order in orders))
        assert sum(r.seq for one in told for r in one) == 30 * sum(range(1, 9))

    async def test_a_failed_batch_leaves_neither_entries_nor_a_moved_head(
        self, sessions, event, clock, tenant
    ):
        open_work = sql_work(sessions, VAULT)
        recorder = Recorder(open_work, clock, os.urandom, VAULT)
        with pytest.raises(RuntimeError, match="crash"):
            async with open_work() as work:
                await recorder.record(work, event())
                raise RuntimeError("crash")
        async with open_work() as work:
            assert (await work.log.lock({tenant}))[tenant].seq == 0
            assert len(await work.log.span(tenant, None, None)) == 0
            assert await work.people.find([(tenant, "u-1")]) == {}
        async with open_work() as work:
            await recorder.record(work, event())
        async with open_work() as work:
            (entry,) = await work.log.newest(tenant, Span(1, 9), Wanted(), 9)
        assert entry.event.actor.name == "ana@example.com"  # under a key that was not rolled back

    async def test_the_platform_has_a_log_of_its_own(self, sessions, draft, clock, flags_service):
        sent = draft(tenant_id="")
        await Recorder(sql_work(sessions, VAULT), clock, os.urandom, VAULT).append(
            flags_service, [sent]
        )
        async with sql_work(sessions, VAULT)() as work:
            assert (await work.log.get(PLATFORM, UUID(sent.event_id))).event.tenant == PLATFORM


@pytest.mark.store
class TestThePast:
    @pytest.fixture
    async def logged(self, sessions, event, clock):
        sent = event()
        await put(sql_work(sessions, VAULT), [sent, event()], clock)
        return sent

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE audit.entry SET verb = 'x' WHERE tenant = :tenant",
            "UPDATE audit.entry SET body = '' WHERE tenant = :tenant AND seq = 1",
            "DELETE FROM audit.entry WHERE tenant = :tenant",
            "TRUNCATE audit.entry",
            "DELETE FROM audit.head WHERE tenant = :tenant",
            "TRUNCATE audit.head",
            "UPDATE audit.head SET seq = seq - 1 WHERE tenant = :tenant",
            "UPDATE audit.head SET ts = ts - interval '1 day' WHERE tenant = :tenant",
            "UPDATE audit.head SET tenant = gen_random_uuid() WHERE tenant = :tenant",
            "UPDATE audit.head SET leaves = 0 WHERE tenant = :tenant",
            "UPDATE audit.head SET edge = '' WHERE tenant = :tenant",
            "UPDATE audit.entry SET leaf = NULL WHERE tenant = :tenant",
            "INSERT INTO audit.entry SELECT * FROM audit.entry WHERE tenant = :tenant",
        ],
    )
    async def test_the_service_itself_cannot_change_the_past(
        self, sessions, logged, tenant, change
    ):
        values = {"tenant": tenant} if ":tenant" in change else {}
        with pytest.raises(DBAPIError, match=r"append-only|only goes onward|duplicate key"):
            async with transaction(sessions) as session:
                await session.execute(text(change), values)
        async with sql_work(sessions, VAULT)() as work:
            assert (await work.log.get(tenant, logged.id)).event == logged
            assert (await work.log.lock({tenant}))[tenant].seq == 2

    async def test_not_even_a_session_that_plays_replica(self, admin_url, sessions, logged, tenant):
        """A superuser who switches ordinary triggers off for a session meets these all the same."""

        async with database(admin_url, "audit") as superuser:
            with pytest.raises(DBAPIError, match="append-only"):
                async with transaction(superuser) as session:
                    await session.execute(text("SET LOCAL session_replication_role = replica"))
                    await session.execute(text("DELETE FROM audit.entry"))

    async def test_the_columns_are_what_the_bytes_say(self, sessions, logged, tenant):

        async with transaction(sessions) as session:
            row = await session.get(EntryRow, (tenant, 1))
            assert (await session.scalars(select(EntryRow).filter_by(tenant=tenant))).all()
        entry = read(row.body)
        assert (entry.seq, entry.ts, entry.event.tenant) == (row.seq, row.ts, row.tenant)
        assert (entry.event.id, entry.event.actor.id) == (row.id, row.actor_id)
        assert (entry.event.target.type, entry.event.target.id) == (row.entity_type, row.entity_id)
        assert (entry.event.action, entry.event.verb) == (row.action, row.verb)
        assert entry.event.outcome.value == row.outcome
        assert (row.leaf, row.n_actor, row.n_outcome) == (leaf_hash(row.body), 1, 1)
        assert words(entry.event) == row.words


OLD = """
    INSERT INTO audit.entry (tenant, seq, id, ts, actor_id, entity_type, entity_id, noun, verb, words, body)
    VALUES (:tenant, :seq, :id, :ts, 'u-1', 'flag', 'f-1', 'flag', 'created', 'ana@example.com', :body)
"""


@pytest.mark.store
class TestLogsFromBeforeLogsWereTrees:
    """What yesterday's code wrote, and writes while today's is being rolled out."""

    @pytest.fixture
    def yesterday(self, sessions, event, tenant, clock):
        async def write(first, count):
            """Write entries as the first version of this service did."""
            events = [event() for _ in range(count)]
            async with transaction(sessions) as session:
                for seq, one in enumerate(events, first):
                    row = {"tenant": tenant, "seq": seq, "id": one.id, "ts": clock.at}
                    await session.execute(text(OLD), row | {"body": form_1(one, seq, clock.at)})
                head = (
                    "INSERT INTO audit.head VALUES (:tenant, :seq, :ts) "
                    "ON CONFLICT (tenant) DO UPDATE SET seq = :seq"
                )
                last = {"tenant": tenant, "seq": first + count - 1, "ts": clock.at}
                await session.execute(text(head), last)
            return events

        return write

    async def test_they_are_brought_into_the_tree_and_can_be_listed(
        self, sessions, yesterday, tenant, clock, ana, monkeypatch
    ):
        monkeypatch.setattr("audit.usecases.recorder._AT_ONCE", 2)
        old = await yesterday(1, 5)
        open_work = sql_work(sessions, VAULT)
        recorder = Recorder(open_work, clock, os.urandom, VAULT)
        await recorder.adopt()
        found = (await Reader(open_work).search(ana, Wanted(user_id="u-1"), PageAsk())).part
        assert found.total == 5
        assert [e.event for e in reversed(found.items)] == old
        async with open_work() as work:
            tree = Frontier()
            for entry in reversed(found.items):
                tree.grow(leaf_hash(entry.body))
                assert b"ana@" not in entry.body
            head = (await work.log.lock({tenant}))[tenant]
            assert (head.leaves, head.edge) == (5, tree.packed())
            assert tenant not in await work.log.behind()

    async def test_what_yesterdays_code_adds_meanwhile_is_brought_in_by_the_next_append(
        self, sessions, yesterday, event, clock, ana
    ):
        open_work = sql_work(sessions, VAULT)
        old = await yesterday(1, 2)
        _, (receipt,) = await put(open_work, [event()], clock)
        assert receipt.seq == 3
        more = await yesterday(4, 2)
        _, (receipt, again) = await put(open_work, [event(), more[0]], clock)
        assert (receipt.seq, again.seq, again.seen_before) == (6, 4, True)
        found = (await Reader(open_work).search(ana, Wanted(user_id="u-1"), PageAsk())).part
        assert found.total == 6
        assert found.items[-1].event == old[0]


def form_1(event, seq, ts):
    """Write an entry as the first version did."""
    actor, target, origin = event.actor, event.target, event.origin
    said = {
        "action": event.action,
        "actor": {
            "id": actor.id,
            "name": actor.name,
            "token_id": actor.credential,
            "type": actor.type,
        },
        "after": event.after,
        "before": event.before,
        "context": {
            "ip": origin.ip,
            "request_id": origin.request_id,
            "service": origin.service,
            "trace_id": origin.trace_id,
            "user_agent": origin.user_agent,
        },
        "id": str(event.id),
        "occurred_at": instant(event.occurred_at),
        "outcome": event.outcome.value,
        "reason": event.reason,
        "seq": seq,
        "targets": [{"id": target.id, "name": target.name, "type": target.type}],
        "tenant": str(event.tenant),
        "ts": instant(ts),
        "v": 1,
    }
    return json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.store
async def test_the_migrated_schema_is_the_one_in_the_tables(audit_url):
    def compare(connection):
        options = {
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == "audit",
            "include_object": lambda _, name, kind, *__: (
                (kind, name) != ("table", "alembic_version")
            ),
            "compare_type": True,
        }
        context = MigrationContext.configure(connection, opts=options)
        return compare_metadata(context, Base.metadata)

    async with database(audit_url, "public") as sessions, transaction(sessions) as session:
        assert await (await session.connection()).run_sync(compare) == []


@pytest.mark.store
async def test_every_filter_has_an_index_that_finds_a_needle(sessions, event, clock, tenant):
    """One entry in a hundred has each thing that is asked for, and the planner knows it."""
    hay = [
        event(
            actor=Actor("user", f"u{n % 100}"),
            target=Target(f"kind{n % 100}", f"e{n % 100}"),
            action=f"flag.done{n % 100}",
            outcome=Outcome.SUCCESS if n % 100 else Outcome.DENIED,
        )
        for n in range(2000)
    ]
    await put(sql_work(sessions, VAULT), hay, clock)
    asked = {
        "entry_pkey": {},
        "entry_by_actor": {"user_id": "u7"},
        "entry_by_entity": {"entity_id": "e7"},
        "entry_by_entity_type": {"entity_type": "kind7"},
        "entry_by_verb": {"action_type": "done7"},
        "entry_by_action": {"action_type": "flag.done7"},
        "entry_by_outcome": {"outcome": "denied"},
    }
    async with transaction(sessions) as session:
        await session.execute(text("ANALYZE audit.entry"))
        for index, filters in asked.items():
            where = _matching(tenant, Span(1, 2000), Wanted(**filters))
            query = select(EntryRow.body).where(*where).order_by(EntryRow.seq.desc()).limit(50)
            sql = query.compile(
                dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}
            )
            plan = "\n".join(await session.scalars(text(f"EXPLAIN {sql}")))
            assert f" {index} " in plan, plan


@pytest.mark.parametrize(
    ("along", "others"),
    [
        ({"user_id": "u"}, {"action_type": "done"}),
        ({"user_id": "u"}, {"outcome": "denied", "entity_type": "flag"}),
        ({"entity_id": "e"}, {"entity_type": "flag"}),
        ({"entity_type": "flag"}, {"action_type": "flag.done"}),
        ({"action_type": "done"}, {"entity_type": "flag", "outcome": "denied"}),
        ({"action_type": "flag.done"}, {"outcome": "denied"}),
        ({"outcome": "denied"}, {"entity_type": "flag", "action_type": "done"}),
    ],
)
def test_two_filters_at_once_read_nothing_that_is_not_in_the_index(along, others, tenant):
    (strand,) = Wanted(**along).strands.items()
    query = _looked_at(tenant, Span(1, 10), Wanted(**along, **others), strand, 10)
    read_by_it = {
        one.name
        for one in visitors.iterate(query)
        if isinstance(one, Column) and one.table is EntryRow.__table__
    }
    name = f"entry_by_{STRANDS[strand[0]]}"
    (index,) = (one for one in EntryRow.__table__.indexes if one.name == name)
    held = {one.name for one in index.columns} | set(index.kwargs["postgresql_include"])
    assert {"tenant", "seq"} < read_by_it <= held
