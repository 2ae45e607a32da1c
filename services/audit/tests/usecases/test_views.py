"""Who looked at the log is told in it, once in a while."""

import os
from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from audit.clients.seal import AesVault
from audit.domain.errors import NoSuchEntry, OtherTenant
from audit.domain.wanted import Wanted
from audit.usecases.reader import Reader
from audit.usecases.recorder import Recorder
from audit.usecases.views import Views
from chassis.caller import Caller
from chassis.errors import Forbidden
from chassis.pages import PageAsk

VAULT = AesVault("a secret of tests: at least 32 characters")


@pytest.fixture
def make(work, clock):
    def make(hours=1):
        recorder = Recorder(work, clock, os.urandom, VAULT)
        views = Views(work, recorder, clock, uuid7, timedelta(hours=hours))
        return Reader(work, views=views)

    return make


async def looks(reader, caller, **wanted):
    """Look at the log, and return what it tells of those who looked, oldest first."""
    await reader.search(caller, Wanted(**wanted), PageAsk())
    found = await Reader(reader.work).search(
        caller, Wanted(action_type="viewed", tenant=wanted.get("tenant")), PageAsk()
    )
    return [(e.event.actor.id, e.event.after["filters"]) for e in reversed(found.part.items)]


async def test_the_first_look_in_an_hour_is_told_with_what_was_looked_for(make, ana, clock):
    reader = make()
    assert await looks(reader, ana, q="beta") == [(ana.subject, {"q": "beta"})]
    clock.tick(3600 * 0.5)
    assert len(await looks(reader, ana, outcome="denied")) == 1
    clock.tick(3600 * 0.5)
    assert [filters for _, filters in await looks(reader, ana)] == [{"q": "beta"}, {}]


async def test_each_person_and_each_log_is_told_of(make, ana, someone):
    reader = make()
    bob = Caller(subject="bob", tenant=ana.tenant, permissions=frozenset({"audit:read"}))
    await looks(reader, ana)
    assert [who for who, _ in await looks(reader, bob)] == [ana.subject, "bob"]
    auditor = someone(uuid7(), "audit:read", level="platform")
    told = await looks(reader, auditor, tenant=ana.tenant)
    assert told[-1][0] == auditor.subject


async def test_a_look_at_one_entry_is_told_too(make, ana):
    reader = make()
    with pytest.raises(NoSuchEntry):
        await reader.entry(ana, uuid7())
    assert len(await looks(reader, ana)) == 1


async def test_who_may_not_look_leaves_nothing_here(make, ana):
    reader = make()
    other = Caller(subject="eve", tenant=uuid7(), permissions=frozenset({"audit:read"}))
    with pytest.raises(OtherTenant):
        await reader.search(other, Wanted(tenant=ana.tenant), PageAsk())
    with pytest.raises(Forbidden):
        await reader.search(Caller(subject="x", tenant=ana.tenant), Wanted(), PageAsk())
    assert [who for who, _ in await looks(reader, ana)] == [ana.subject]


async def test_nothing_is_told_where_it_is_switched_off(make, ana):
    assert await looks(make(hours=0), ana) == []


async def test_who_looked_long_ago_is_forgotten(make, ana, clock, monkeypatch):
    monkeypatch.setattr("audit.usecases.views.MOST", 3)
    reader = make()
    for n in range(9):
        clock.tick(3600 * 0.4)
        await reader.search(
            Caller(subject=f"u{n}", tenant=ana.tenant, permissions=ana.permissions),
            Wanted(),
            PageAsk(),
        )
    assert len(reader.views._told) <= 4
