"""Counting evaluations: nothing is counted twice, nothing lost while the store is away, nothing without bounds."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chassis.errors import Forbidden, Unavailable
from chassis.pages import PageAsk
from flags.domain.answers import Answers, Bundle, Reason
from flags.domain.errors import BadPeriod, FlagNotFound
from flags.domain.flag import Draft
from flags.usecases import usage as module

ANSWERS = Answers({"on": True, "off": False}, "f")
ON, OFF = ANSWERS.of("on", Reason.SPLIT), ANSWERS.of("off", Reason.DEFAULT)


@pytest.fixture
async def held(flags, rulesets, ana, here):
    for key in ("f", "g"):
        await flags.create(ana, here, Draft(key=key, name=key))
    return await rulesets.open(ana)


async def told(usages, ana, here, flag="f", by="hour", ends=(None, None)):
    found = await usages.of_flag(ana, here, flag, by, ends)
    return {(c.variant, c.reason): c.count for c in found.counts}


async def test_what_was_served_is_told_by_variant_and_reason(held, counting, usages, ana, here):
    held.tally.answers[ON] += 3
    held.tally.together(Bundle((OFF,)), [ON])
    await counting.flush()
    held.tally.together(Bundle((OFF,)), [])
    await counting.flush()
    await counting.flush()
    assert await told(usages, ana, here) == {("on", "SPLIT"): 4, ("off", "DEFAULT"): 2}
    assert await told(usages, ana, here, "g") == {}
    assert (await usages.of_flag(ana, here, "g", "hour", (None, None))).last is None


async def test_counts_wait_while_the_store_is_away(held, counting, usages, work, ana, here):
    held.tally.answers[ON] += 1
    work.closed = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await counting.flush()
    held.tally.answers[ON] += 1
    work.closed = False
    await counting.flush()
    assert await told(usages, ana, here) == {("on", "SPLIT"): 2}
    assert not counting.waiting


async def test_what_waits_has_a_bound_and_what_is_dropped_is_known(
    held, counting, work, monkeypatch
):
    monkeypatch.setattr(module, "MOST_WAITING", 1)
    before = module.DROPPED._value.get()
    held.tally.answers[ON] += 1
    held.tally.answers[OFF] += 5
    work.closed = True
    with pytest.raises(Unavailable):
        await counting.flush()
    assert sum(counting.waiting.values()) == 1
    assert module.DROPPED._value.get() == before + 5


async def test_an_hour_that_is_over_goes_on_waiting_as_itself(held, counting, usages, ana, here):
    start = counting.now()
    counting.now = lambda: start
    held.tally.answers[ON] += 1
    counting._gather()
    counting.now = lambda: start + timedelta(hours=1)
    held.tally.answers[ON] += 1
    await counting.flush()
    ends = (start, start + timedelta(hours=2))
    found = await usages.of_flag(ana, here, "f", "hour", ends)
    assert [count.at - start.replace(second=0) for count in found.counts] == [
        timedelta(0),
        timedelta(hours=1),
    ]
    by_day = await usages.of_flag(ana, here, "f", "day", ends)
    assert [count.count for count in by_day.counts] == [2]


@pytest.mark.parametrize(("by", "days"), [("hour", 40), ("day", 500), ("hour", -1)])
async def test_a_period_that_is_too_long_or_none_is_refused(held, usages, ana, here, by, days):
    now = usages.now()
    with pytest.raises(BadPeriod):
        await usages.of_flag(ana, here, "f", by, (now - timedelta(days=days), now))


async def test_usage_is_told_to_whom_may_read_the_flag(held, usages, ana, here):
    with pytest.raises(Forbidden):
        await usages.of_flag(replace(ana, permissions=frozenset()), here, "f", "hour", (None, None))
    with pytest.raises(FlagNotFound):
        await usages.of_flag(ana, here, "nope", "hour", (None, None))


async def test_old_counts_and_those_of_flags_that_are_gone_are_swept(held, counting, usages, work):
    held.tally.answers[ON] += 1
    await counting.flush()
    await counting.sweep()
    assert len(work.kept_usage) == 1
    work.kept_flags.clear()
    await counting.sweep()
    assert work.kept_usage == {}


async def test_stale_flags_are_listed_by_key_in_pages(flags, usages, ana, here):
    for key in ("c", "a", "b"):
        await flags.create(ana, here, Draft(key=key, name=key))
    limits = (timedelta(0), timedelta(days=30))
    first = await usages.stale(ana, here, limits, PageAsk(limit=2))
    rest = await usages.stale(ana, here, limits, PageAsk(limit=2, after=first.next))
    assert [[s.flag.key for s in part.items] for part in (first, rest)] == [["a", "b"], ["c"]]
    assert (first.total, rest.next) == (3, None)
