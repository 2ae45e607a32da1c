"""Events and people, and a log in memory that keeps the same promises as the one in PostgreSQL."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from audit.clients.seal import AesVault
from audit.domain.draft import Draft
from audit.domain.entry import ACTOR, Event, Origin, read
from audit.domain.sequence import Head
from audit.domain.strands import values
from audit.domain.writing import prepared
from audit.ports import Person, SeenBefore, Span, Window
from audit.usecases.sealing import opened
from chassis.caller import Caller
from chassis.facts import Actor, Target

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


VAULT = AesVault("a secret of tests: at least 32 characters")


@dataclass
class MemoryPeople:
    known: dict = field(default_factory=dict)

    async def find(self, ids):
        return {who: self.known[who] for who in ids if who in self.known}

    async def keep(self, people):
        put = {}
        for new in people:
            who = (new.tenant, new.id)
            old = self.known.get(who)
            if old:
                names = new.names if old.key else ""
                new = Person(tenant=new.tenant, id=new.id, key=old.key, names=names)
            self.known[who] = put[who] = new
        return put

    def names(self, tenant, *ids):
        return "\n".join(self.known[tenant, i].names for i in ids if (tenant, i) in self.known)


@dataclass
class MemoryLog:
    people: MemoryPeople
    kept: dict = field(default_factory=dict)
    heads: dict = field(default_factory=dict)

    @property
    def entries(self):
        """Every entry, oldest first, as it can be read."""
        return {t: [self._opened(one) for one in log] for t, log in self.kept.items()}

    def _opened(self, one):
        event, tenant = one.leaf.one.event, one.leaf.tenant
        people = {part: event.doer if part == ACTOR else event.subject for part in one.sealed}
        known = {part: self.people.known[tenant, who] for part, who in people.items()}
        keys = {part: person.key for part, person in known.items() if person.key}
        return read(one.leaf.body, opened(VAULT, keys, one.sealed, event))

    async def lock(self, tenants):
        for tenant in tenants:
            self.heads.setdefault(tenant, Head(tenant=tenant, seq=0, ts=EPOCH))
        return {tenant: self.heads[tenant] for tenant in tenants}

    async def seen(self, events):
        stored = {(e.event.tenant, e.event.id): e.seq for log in self.entries.values() for e in log}
        asked = {(e.event.tenant, e.event.id) for e in events}
        return {name: seq for name, seq in stored.items() if name in asked}

    async def counts(self, strands):
        return {
            tenant: {
                (which, value): max(
                    (
                        one.leaf.ordinals[which]
                        for one in self.kept.get(tenant, ())
                        if values(one.leaf.one.event)[which] == value
                    ),
                    default=0,
                )
                for which, value in ours
            }
            for tenant, ours in strands.items()
        }

    async def enter(self, kept, heads):
        if await self.seen([one.leaf.one for one in kept]):
            raise SeenBefore
        for one in kept:
            self.kept.setdefault(one.leaf.tenant, []).append(one)
        self.heads |= {head.tenant: head for head in heads}
        return {}

    async def behind(self):
        return []

    async def get(self, tenant, event_id):
        return next((e for e in self.entries.get(tenant, ()) if e.event.id == event_id), None)

    async def span(self, tenant, since, until):
        log = self.entries.get(tenant, ())
        seqs = [
            e.seq
            for e in log
            if (since is None or e.ts >= since) and (until is None or e.ts <= until)
        ]
        return Span(min(seqs), max(seqs)) if seqs else Span(1, 0)

    def _strand(self, tenant, strand, span):
        which, value = strand
        return [
            (one.leaf.seq, one.leaf.ordinals[which])
            for one in self.kept.get(tenant, ())
            if span.low <= one.leaf.seq <= span.high and values(one.leaf.one.event)[which] == value
        ]

    async def stretch(self, tenant, strand, span):
        found = self._strand(tenant, strand, span)
        return Span(found[0][1], found[-1][1]) if found else Span(1, 0)

    async def place(self, tenant, strand, span, ordinal):
        return next(seq for seq, n in self._strand(tenant, strand, span) if n == ordinal)

    async def newest(self, tenant, span, wanted, limit):
        return self._matching(tenant, span, wanted)[:limit]

    async def window(self, tenant, span, wanted, along, most):
        log = [e for e in reversed(self.entries.get(tenant, ())) if span.low <= e.seq <= span.high]
        here = [e for e in log if along is None or values(e.event)[along[0]] == along[1]]
        here, more = here[:most], here[most:]
        return Window(
            seqs=[e.seq for e in here if self._fits(tenant, wanted, e)],
            down_to=here[-1].seq if here else span.low,
            whole=not more,
        )

    async def these(self, tenant, seqs):
        return [e for e in reversed(self.entries.get(tenant, ())) if e.seq in seqs]

    def _matching(self, tenant, span, wanted):
        log = self.entries.get(tenant, ())
        inside = [e for e in reversed(log) if span.low <= e.seq <= span.high]
        return [e for e in inside if self._fits(tenant, wanted, e)]

    def _fits(self, tenant, wanted, entry):
        called = self.people.names(tenant, entry.event.actor.id, entry.event.target.id)
        return wanted.matches(entry, called)


class MemoryWork:
    """Opens a transaction on one log; `trouble` makes the next ones fail."""

    def __init__(self):
        self.people = MemoryPeople()
        self.log = MemoryLog(self.people)
        self.opened = 0
        self.trouble = None

    @asynccontextmanager
    async def __call__(self):
        self.opened += 1
        if self.trouble:
            raise self.trouble
        yield self


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    at: datetime = START

    def __call__(self):
        return self.at

    def tick(self, seconds=1.0):
        self.at += timedelta(seconds=seconds)


def made_event(tenant, **changed):
    said = {
        "id": uuid7(),
        "tenant": tenant,
        "occurred_at": START,
        "actor": Actor("user", "u-1", "ana@example.com", "s-1"),
        "action": "flag.created",
        "target": Target("flag", "f-1", "Dark mode"),
        "origin": Origin(ip="192.0.2.1", request_id="r-12345678", service="flags"),
        "after": {"key": "dark-mode", "enabled": False},
        "reason": "because",
    }
    return Event(**(said | changed))


def made_draft(tenant, **changed):
    said = {
        "event_id": str(uuid7()),
        "tenant_id": str(tenant),
        "occurred_at": START,
        "actor": Actor("user", "u-1", "ana@example.com", "s-1"),
        "action": "flag.created",
        "target": Target("flag", "f-1", "Dark mode"),
        "after": {"key": "dark-mode"},
    }
    return Draft(**(said | changed))


@pytest.fixture
def tenant() -> UUID:
    return uuid7()


@pytest.fixture
def event(tenant):
    return lambda **changed: made_event(changed.pop("tenant", tenant), **changed)


@pytest.fixture
def draft(tenant):
    return lambda **changed: made_draft(changed.pop("tenant", tenant), **changed)


@pytest.fixture
def vault():
    return VAULT


@pytest.fixture
def written():
    """Events as they are written: with salts that are all the same."""
    return lambda event: prepared(event, bytes(32))


@pytest.fixture
def work():
    return MemoryWork()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def flags_service():
    """The service flags, as it calls us."""
    from audit.domain.entry import PLATFORM

    return Caller(
        subject="flags", tenant=PLATFORM, kind="service", permissions=frozenset({"audit:append"})
    )


@pytest.fixture
def ana(tenant):
    return Caller(subject="ana", tenant=tenant, permissions=frozenset({"audit:read"}))
