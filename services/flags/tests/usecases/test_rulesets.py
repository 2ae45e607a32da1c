import asyncio
from dataclasses import replace

import pytest

from chassis.errors import Forbidden, Unavailable
from flags.domain.flag import Draft
from flags.usecases.flags import Aim


@pytest.fixture
async def held(flags, rulesets, ana, here):
    await flags.create(ana, here, Draft(key="dark-mode", name="Dark mode"))
    return await rulesets.open(ana)


def served(held):
    return held.ruleset.flags["dark-mode"].answer.value


async def toggle(flags, ana, here):
    await flags.toggle(ana, Aim(flag="dark-mode", place=here))


async def test_however_many_ask_at_first_one_reads(flags, rulesets, work, ana):
    many = await asyncio.gather(*(rulesets.open(ana) for _ in range(20)))
    assert (work.reads, len({id(held) for held in many})) == (1, 1)


async def test_what_is_held_is_not_read_again(held, rulesets, work, ana):
    assert await rulesets.open(ana) is held
    assert work.reads == 1


async def test_evaluating_is_a_permission(rulesets, ana):
    with pytest.raises(Forbidden, match="flag:evaluate"):
        await rulesets.open(replace(ana, permissions=frozenset()))


async def test_an_announced_change_is_served(held, flags, rulesets, ana, here):
    await toggle(flags, ana, here)
    assert served(held) is False
    await rulesets.heard(here, held.ruleset.revision + 1)
    assert served(held) is True


async def test_an_announcement_of_what_is_held_already_reads_nothing(held, rulesets, work, here):
    await rulesets.heard(here, held.ruleset.revision)
    await rulesets.heard(replace(here, environment="development"), 99)
    assert work.reads == 1


async def test_an_announcement_that_is_wrong_is_looked_into_no_more_than_twice(
    held, rulesets, work, here
):
    await rulesets.heard(here, 10**9)
    assert work.reads <= 3


async def test_what_is_in_force_already_is_not_put_there_again(held, rulesets, work, here):
    ruleset, turned, ids = held.ruleset, held.turned, work.reads
    await rulesets.heard(here, held.ruleset.revision + 1)
    assert (work.reads > ids, held.ruleset is ruleset, turned.is_set()) == (True, True, False)


async def test_what_a_client_invents_reads_nothing_and_is_looked_into_once_a_second(
    held, rulesets, work
):
    turned = held.turned
    for _ in range(10):
        await asyncio.gather(*(rulesets.hoped_for(held, 10**9) for _ in range(10)))
        held.doubted += 60  # however long the ten rounds take on a busy machine
    assert (work.reads, work.looks, turned.is_set()) == (1, 1, False)
    held.doubted = 0.0
    await rulesets.hoped_for(held, 10**9)
    assert (work.reads, work.looks) == (1, 2)


async def test_who_knows_of_a_change_waits_for_it_and_all_who_do_for_one_reading(
    held, flags, rulesets, work, ana, here
):
    await toggle(flags, ana, here)
    asked = [rulesets.hoped_for(held, held.ruleset.revision + 1) for _ in range(10)]
    await asyncio.gather(*asked)
    assert (served(held), work.reads, work.looks) == (True, 2, 1)


async def test_a_client_does_not_make_answers_wait_for_a_database_that_is_away(
    held, rulesets, work
):
    work.away = True
    for _ in range(10):
        await rulesets.hoped_for(held, 10**9)
        held.doubted += 60
    assert work.looks == 1


async def test_a_missed_announcement_is_found_by_polling(held, flags, rulesets, work, ana, here):
    await toggle(flags, ana, here)
    await rulesets.poll()
    assert served(held) is True
    reads = work.reads
    await rulesets.poll()
    assert work.reads == reads


async def test_polling_holds_nothing_of_places_nobody_asked_for(rulesets, work):
    await rulesets.poll()
    assert work.reads == 0


async def test_the_last_good_ruleset_is_served_while_the_database_is_away(
    held, flags, rulesets, work, ana, here
):
    await toggle(flags, ana, here)
    work.away = True
    await rulesets.heard(here, 99)
    with pytest.raises(Unavailable):
        await rulesets.poll()
    assert served(await rulesets.open(ana)) is False
    work.away = False
    await rulesets.poll()
    assert served(held) is True


async def test_a_place_that_was_never_read_is_unavailable_until_it_can_be(rulesets, work, ana):
    work.away = True
    with pytest.raises(Unavailable):
        await rulesets.open(ana)
    work.away = False
    assert (await rulesets.open(ana)).ruleset.revision == 0


async def test_a_change_during_a_reading_is_not_lost(held, flags, rulesets, work, ana, here):
    """The reading under way began before the change; the announcement arrives while it runs."""
    begun, go = asyncio.Event(), asyncio.Event()
    real = work.read

    async def slow(place):
        reading = await real(place)
        begun.set()
        await go.wait()
        return reading

    work.read = slow
    first = asyncio.create_task(rulesets.heard(here, held.ruleset.revision + 1))
    await begun.wait()
    await toggle(flags, ana, here)
    second = asyncio.create_task(rulesets.heard(here, held.ruleset.revision + 1))
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(first, second)
    assert served(held) is True


async def test_whoever_gives_up_waiting_does_not_stop_the_reading(rulesets, work, ana):
    go, real = asyncio.Event(), work.read

    async def slow(place):
        await go.wait()
        return await real(place)

    work.read = slow
    impatient = asyncio.create_task(rulesets.open(ana))
    patient = asyncio.create_task(rulesets.open(ana))
    await asyncio.sleep(0)
    impatient.cancel()
    go.set()
    assert (await patient).ruleset is not None
    assert work.reads == 1
