import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest

from chassis.errors import Unavailable
from iam.domain.authority import Beat, Kind, News, Ready
from iam.domain.errors import Behind
from iam.usecases import feed as feeds
from iam.usecases.authority import Doubt
from iam.usecases.users import NewUser, UserChange


@asynccontextmanager
async def following(iam, *kinds):
    task = asyncio.create_task(iam.feed.run())
    try:
        async with aclosing(iam.replicas.stream(kinds or list(Kind))) as stream:
            yield stream
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(stream, wanted):
    """Return the events up to the first that is wanted."""
    seen = []
    async with asyncio.timeout(20):
        async for event in stream:
            seen.append(event)
            if wanted(event):
                return seen
    raise AssertionError(seen)


def ready(event):
    return isinstance(event, Ready)


def news(event):
    return isinstance(event, News)


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", roles=["admin"])


async def test_a_stream_begins_with_everything_and_says_when_it_is_whole(iam, boss):
    await iam.signing.turn()
    async with following(iam) as stream:
        events = await until(stream, ready)
    kinds = {event.kind for event in events[:-1]}
    assert kinds == {Kind.SIGNING_KEY, Kind.TENANT, Kind.SUBJECT}
    assert {event.epoch for event in events} == {await iam_epoch(iam)}


async def iam_epoch(iam):
    async with iam.work() as work:
        return await work.authority.epoch()


async def test_each_change_follows_as_it_is_committed_and_deletion_says_gone(iam, boss, make):
    async with following(iam) as stream:
        await until(stream, ready)
        user = await iam.users.create(
            make.caller(boss), NewUser(email="a@b.c", password=make.password)
        )
        made = (await until(stream, news))[-1]
        assert (made.id, made.thing.email) == (str(user.id), "a@b.c")
        await iam.users.update(make.caller(boss), user.id, UserChange(fields={"active": False}))
        changed = (await until(stream, news))[-1]
        assert changed.thing.active is False
        assert changed.epoch > made.epoch
        await iam.users.delete(make.caller(boss), user.id, None)
        assert (await until(stream, news))[-1].thing is None


async def test_a_change_while_the_state_is_read_is_not_lost(iam, boss, make):
    async with following(iam, Kind.SUBJECT) as stream:
        await anext(stream)
        user = await iam.users.create(
            make.caller(boss), NewUser(email="a@b.c", password=make.password)
        )
        await until(stream, lambda e: news(e) and e.id == str(user.id) and e.epoch > 0)


async def test_a_change_before_the_first_look_at_the_log_is_not_lost(iam, boss, make):
    async with aclosing(iam.replicas.stream([Kind.SUBJECT])) as stream:
        await until(stream, ready)
        waiting = asyncio.create_task(until(stream, news))
        await asyncio.sleep(0)
        user = await iam.users.create(
            make.caller(boss), NewUser(email="a@b.c", password=make.password)
        )
        await iam.feed.look()
        assert (await waiting)[-1].id == str(user.id)


async def test_only_the_kinds_that_were_asked_for_are_told(iam, boss, make):
    async with following(iam, Kind.TENANT) as stream:
        events = await until(stream, ready)
        await iam.users.create(make.caller(boss), NewUser(email="a@b.c", password=make.password))
        events += await until(stream, lambda e: isinstance(e, Beat) and e.epoch > 0)
    assert {e.kind for e in events if news(e)} == {Kind.TENANT}


async def test_nobody_says_that_nothing_is_new_without_having_looked(iam):
    iam.feed._looked = float("-inf")
    async with aclosing(iam.replicas.stream([Kind.TENANT])) as stream:
        await until(stream, ready)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(stream)


async def test_a_slow_reader_holds_nobody_up_and_costs_nothing(iam, boss, make, monkeypatch):
    monkeypatch.setattr(feeds.Feed, "most", 5)
    async with following(iam, Kind.SUBJECT) as slow:
        await until(slow, ready)
        for n in range(20):
            await iam.users.create(
                make.caller(boss), NewUser(email=f"{n}@b.c", password=make.password)
            )
            await iam.feed.look()
        assert len(iam.feed._ring) == 5
        caught_up = await until(slow, lambda e: news(e) and e.thing.email == "19@b.c")
        emails = [e.thing.email for e in caught_up if news(e)]
        assert emails == [f"{n}@b.c" for n in range(20)]


async def test_whoever_fell_behind_the_log_has_to_begin_again(iam, boss, make, monkeypatch):
    monkeypatch.setattr(feeds.Feed, "most", 1)
    await iam.feed.look()
    for n in range(3):
        await iam.users.create(make.caller(boss), NewUser(email=f"{n}@b.c", password=make.password))
    await iam.feed.look()
    async with iam.work() as work:
        await work.authority.trim(iam.clock())
    with pytest.raises(Behind):
        await iam.feed.after(0, 0.1)


async def test_streams_end_when_the_process_stops(iam):
    async with following(iam, Kind.TENANT) as stream:
        await until(stream, lambda event: isinstance(event, Beat))
        feed = next(t for t in asyncio.all_tasks() if "Follower.run" in repr(t.get_coro()))
        feed.cancel()
        with pytest.raises(Unavailable):
            await until(stream, news)


async def test_a_database_that_is_away_does_not_end_the_feed(iam, boss, make, caplog):
    broken = iam.feed._work

    @asynccontextmanager
    async def away():
        raise Unavailable("away")
        yield

    async with following(iam, Kind.SUBJECT) as stream:
        await until(stream, lambda event: isinstance(event, Beat))
        iam.feed._work = away
        iam.feed.wake()
        async with asyncio.timeout(20):
            while "cannot be read" not in caplog.text:
                await asyncio.sleep(0.01)
        iam.feed._work = broken
        user = await iam.users.create(
            make.caller(boss), NewUser(email="a@b.c", password=make.password)
        )
        assert (await until(stream, news))[-1].id == str(user.id)


def test_check_knows_aliases_and_nothing_that_is_no_permission(iam, boss, make):
    me = make.caller(boss)
    assert iam.replicas.check(me, Doubt(permission="toggle_feature_flags"))
    assert not iam.replicas.check(me, Doubt(permission="debug:read"))
    assert not iam.replicas.check(me, Doubt(permission="no:such"))
