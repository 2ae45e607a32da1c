"""Events and people, and a log in memory that keeps the same promises as the one in PostgreSQL."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from audit.domain.draft import Draft
from audit.domain.entry import Event, Origin
from audit.domain.sequence import Head
from audit.ports import Span
from chassis.caller import Caller
from chassis.facts import Actor, Target

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass
class MemoryLog:
    entries: dict = field(default_factory=dict)
    heads: dict = field(default_factory=dict)

    async def lock(self, tenants):
        for tenant in tenants:
            self.heads.setdefault(tenant, Head(tenant=tenant, seq=0, ts=EPOCH))
        return {tenant: self.heads[tenant] for tenant in tenants}

    async def seen(self, events):
        stored = {(e.event.tenant, e.event.id): e.seq for log in self.entries.values() for e in log}
        asked = {(e.tenant, e.id) for e in events}
        return {name: seq for name, seq in stored.items() if name in asked}

    async def append(self, entries, heads):
        for entry in entries:
            self.entries.setdefault(entry.event.tenant, []).append(entry)
        self.heads |= {head.tenant: head for head in heads}

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

    async def count(self, tenant, span, wanted):
        return len(self._matching(tenant, span, wanted))

    async def newest(self, tenant, span, wanted, *, skip, limit):
        return self._matching(tenant, span, wanted)[skip : skip + limit]

    def _matching(self, tenant, span, wanted):
        log = self.entries.get(tenant, ())
        return [e for e in reversed(log) if span.low <= e.seq <= span.high and wanted.matches(e)]


class MemoryWork:
    """Opens a transaction on one log; `trouble` makes the next ones fail."""

    def __init__(self):
        self.log = MemoryLog()
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
