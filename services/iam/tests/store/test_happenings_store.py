"""One contract for the log of what happened, for avatars and for counts, on the fake and on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from chassis.db import database
from chassis.facts import Actor, Fact, Target
from iam.domain.acl import Acl
from iam.domain.gitops import C, Entity
from iam.domain.happening import Note, Verb
from iam.store.work import sql_work

WHO = Actor("user", "u")


def fact(tenant, action="group.created", thing=None):
    kind = action.partition(".")[0]
    return Fact(tenant=tenant, actor=WHO, action=action, target=Target(kind, thing or "7"))


async def test_a_fact_is_noted_with_its_change_or_not_at_all(work):
    tenant, thing = uuid4(), str(uuid4())
    async with work() as w:
        begin = await w.happenings.newest()
    with pytest.raises(RuntimeError):
        async with work() as w:
            w.record(fact(tenant, thing=str(uuid4())))
            raise RuntimeError("no")
    async with work() as w:
        w.record(fact(tenant, thing=thing))
        w.record(fact(tenant, thing=thing))
        w.record(fact(tenant, "group.deleted", thing))
        w.record(fact(tenant, "session.created", thing))
    async with work() as w:
        mine = [h for h in await w.happenings.after(begin, 1000) if h.note.tenant == tenant]
    assert [h.note for h in mine] == [
        Note(tenant, "groups", thing, Verb.CREATED),
        Note(tenant, "groups", thing, Verb.DELETED),
    ]
    assert mine[0].position < mine[1].position
    assert mine[0].at.tzinfo is not None


async def test_the_log_is_read_in_parts_and_forgets_what_is_old_but_the_newest(work):
    tenant = uuid4()
    async with work() as w:
        begin = await w.happenings.newest()
    for _ in range(3):
        async with work() as w:
            w.record(fact(tenant, thing=str(uuid4())))
    async with work() as w:
        first = await w.happenings.after(begin, 2)
        assert len(first) == 2
        assert [h.position for h in first] == sorted(h.position for h in first)
        assert await w.happenings.trim(datetime(2000, 1, 1, tzinfo=UTC)) == 0
        assert 0 < await w.happenings.oldest() <= first[0].position
        assert await w.happenings.newest() > first[1].position


@pytest.fixture
async def pictured(work, make):
    """A group and a user of a tenant, each with a picture: (tenant, group, user, names of the pictures)."""
    tenant = make.tenant()
    user = make.user(tenant=tenant.id, username=f"ann{uuid4().hex[:8]}")
    names = [f"{uuid4().hex * 2}.webp" for _ in range(2)]
    times = {"created_at": make.start, "updated_at": make.start}
    values = {"id": uuid4(), "tenant": tenant.id, "key": f"g_{uuid4().hex[:8]}"}
    group = Entity(collection=C.GROUPS, avatar=names[0], **values, **times)
    async with work() as w:
        await w.tenants.put(tenant)
        await w.users.put(user)
        await w.entities.put(group, Acl())
        person = await w.entities.get(tenant.id, C.USERS, user.id)
        await w.entities.put(replace(person, avatar=names[1]), Acl())
    return tenant, group, user, names


async def delete(work, make, group, user):
    async with work() as w:
        await w.entities.put(group.deleted(make.start), Acl())
        await w.users.put(replace(user, active=False, deleted_at=make.start))


async def test_what_was_deleted_can_still_be_looked_at(work, make, pictured):
    tenant, group, user, _ = pictured
    async with work() as w:
        assert (await w.entities.last(C.GROUPS, group.id)).avatar == group.avatar
        assert await w.entities.last(C.GROUPS, uuid4()) is None
        assert await w.entities.last(C.USERS, uuid4()) is None
    await delete(work, make, group, user)
    async with work() as w:
        assert await w.entities.get(tenant.id, C.GROUPS, group.id) is None
        assert (await w.entities.last(C.GROUPS, group.id)).deleted_at == make.start
        assert (await w.entities.last(C.USERS, user.id)).deleted_at == make.start
        named = await w.entities.last_keys({group.id, user.id, uuid4()})
        assert named == {group.id: group.key, user.id: f"u_{user.username}"}


async def test_pictures_fade_with_those_who_have_them(work, make, pictured):
    tenant, group, user, names = pictured
    async with work() as w:
        assert (await w.entities.get(tenant.id, C.USERS, user.id)).avatar == names[1]
        assert not set(await w.entities.faded(10_000)) & set(names)
        await w.entities.unpicture(names)  # of what is there nothing is forgotten
        assert await w.entities.pictured([*names, "none.webp"]) == frozenset(names)
    await delete(work, make, group, user)
    async with work() as w:
        assert await w.entities.pictured(names) == frozenset()
        assert set(names) <= set(await w.entities.faded(10_000))
        await w.entities.unpicture(names)
    async with work() as w:
        assert not set(await w.entities.faded(10_000)) & set(names)


async def test_people_sessions_and_keys_are_counted(work, make):
    now = datetime.now(UTC)
    async with work() as w:
        before = await w.counts.taken(now)
    tenant = make.tenant(active=False)
    async with work() as w:
        await w.tenants.put(tenant)
        await w.users.put(make.user(tenant=tenant.id, active=False))
        await w.users.put(make.user(tenant=tenant.id, last_login_at=now))
        await w.users.put(make.user(tenant=tenant.id, deleted_at=now))
    async with work() as w:
        after = await w.counts.taken(now)
    # Others use the same database: what is there may only be more.
    assert after.tenants >= before.tenants + 1
    assert after.users >= before.users + 2
    assert after.users_active >= before.users_active + 1
    assert after.users - after.users_active >= 1
    assert after.tenants - after.tenants_active >= 1
    assert after.users_seen_24h >= 1


@pytest.mark.store
async def test_positions_become_visible_in_their_order(iam_url, make):
    """Whoever has seen position n is never told of one before it, however many change something at once."""

    async def at_once(_):
        pass

    async with database(iam_url, "iam", 10) as sessions:
        work = sql_work(sessions, make.issuer, lambda: None, lambda: None, at_once)
        tenant, seen, done = uuid4(), [], asyncio.Event()
        async with work() as w:
            begin = await w.happenings.newest()

        async def change():
            for _ in range(10):
                async with work() as w:
                    w.record(fact(tenant, thing=str(uuid4())))

        async def watch():
            at = begin
            while True:
                over = done.is_set()
                async with work() as w:
                    found = await w.happenings.after(at, 1000)
                seen.extend(h for h in found if h.note.tenant == tenant)
                at = found[-1].position if found else at
                if over and not found:
                    return

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(change() for _ in range(4)))
        done.set()
        await watching
    assert len(seen) == 40


@pytest.mark.store
async def test_a_log_that_is_trimmed_keeps_the_newest(iam_url, make):
    async def at_once(_):
        pass

    async with database(iam_url, "iam") as sessions:
        work = sql_work(sessions, make.issuer, lambda: None, lambda: None, at_once)
        async with work() as w:
            w.record(fact(uuid4(), thing=str(uuid4())))
        with pytest.raises(RuntimeError):
            async with work() as w:  # undone: other tests read the same log
                await w.happenings.trim(datetime.now(UTC) + timedelta(days=1))
                assert await w.happenings.oldest() == await w.happenings.newest() > 0
                raise RuntimeError("undo")
