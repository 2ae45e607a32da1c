"""Scheduled changes, rollouts and the kill switch: once on the memory and once on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from chassis.errors import Forbidden, Unavailable
from chassis.pages import PageAsk
from flags.domain.errors import (
    ApprovalNeeded,
    BadRollout,
    BadSchedule,
    RolloutOver,
    RolloutRunning,
    ScheduleNotFound,
    ScheduleOver,
    UnknownVariant,
)
from flags.domain.flag import Change, Draft
from flags.domain.rollout import Ramp, Stage
from flags.usecases import rollouts as rolling
from flags.usecases.changing import Aim
from flags.usecases.clockwork import Clockwork
from flags.usecases.projects import EnvironmentAim
from flags.usecases.schedules import Asked

SECOND = timedelta(seconds=1)
PRODUCTION = EnvironmentAim(project="default", key="production")


def aim(place, **more):
    return Aim(flag="f", place=place, **more)


@pytest.fixture
def clock_at(alone, hand, schedules, rollouts, emergency, clockwork, flags):
    """All of them on the same clock."""
    return [replace(one, now=hand) for one in (schedules, rollouts, emergency, clockwork, flags)]


@pytest.fixture
async def flag(flags, ana, here):
    return await flags.create(ana, here, Draft(key="f", name="F", default_variant="off"))


class TestSchedules:
    async def test_what_is_scheduled_is_done_once_when_its_time_has_come(
        self, clock_at, hand, store, flag, ana, here, authors
    ):
        schedules, _, _, clockwork, flags = clock_at
        edit = {"status": "enabled", "name": "New"}
        asked = Asked(at=hand.at + 10 * SECOND, edit=edit)
        made = await schedules.create(ana, aim(here, reason="launch"), asked)
        assert await clockwork.process_due() == 0
        hand.at += 10 * SECOND
        others = [Clockwork(store.work, authors, hand, uuid7) for _ in range(3)]
        done = await asyncio.gather(*(one.process_due() for one in (clockwork, *others)))
        assert sum(done) == 1
        after = await flags.get(ana, here, "f")
        assert (after.switch("production").enabled, after.name, after.version) == (True, "New", 2)
        found = await schedules.get(ana, aim(here), made.id)
        assert (found.status, found.made, found.edit) == ("done", 2, edit)
        with pytest.raises(ScheduleOver, match="done"):
            await schedules.cancel(ana, aim(here), made.id)

    async def test_what_was_cancelled_is_not_done(self, clock_at, hand, flag, ana, here):
        schedules, _, _, clockwork, flags = clock_at
        asked = Asked(at=hand.at + SECOND, edit={"status": "enabled"})
        made = await schedules.create(ana, aim(here), asked)
        assert (await schedules.cancel(ana, aim(here), made.id)).status == "cancelled"
        hand.at += SECOND
        assert await clockwork.process_due() == 0
        assert (await flags.get(ana, here, "f")).version == 1

    async def test_who_may_not_any_more_when_the_time_has_come_has_it_refused(
        self, clock_at, hand, flag, ana, here, authors
    ):
        schedules, _, _, clockwork, flags = clock_at
        asked = Asked(at=hand.at + SECOND, edit={"status": "enabled"})
        ids = [(await schedules.create(ana, aim(here), asked)).id for _ in range(2)]
        hand.at += SECOND
        authors.callers[ana.owner] = replace(ana, permissions=frozenset({"flag:read"}))
        assert await clockwork.process_due() == 2
        found = [await schedules.get(ana, aim(here), id_) for id_ in ids]
        assert [one.status for one in found] == ["failed", "failed"]
        assert "flag:toggle required" in found[0].trouble
        authors.callers.clear()
        await schedules.create(ana, aim(here), replace(asked, at=hand.at + SECOND))
        hand.at += SECOND
        assert await clockwork.process_due() == 1
        assert (await flags.get(ana, here, "f")).version == 1

    async def test_while_nobody_knows_who_may_what_it_waits(
        self, clock_at, hand, flag, ana, here, authors
    ):
        schedules, _, _, clockwork, _ = clock_at
        asked = Asked(at=hand.at + SECOND, edit={"status": "enabled"})
        await schedules.create(ana, aim(here), asked)
        hand.at += SECOND
        authors.away = True
        with pytest.raises(Unavailable):
            await clockwork.process_due()
        authors.away = False
        assert await clockwork.process_due() == 1

    async def test_a_bug_of_ours_puts_it_off_and_holds_up_nobody_else(
        self, clock_at, hand, flag, ana, here, authors
    ):
        schedules, _, _, clockwork, flags = clock_at
        bob = replace(ana, subject="bob")
        authors.callers["bob"] = None  # whatever is asked of it fails
        asked = Asked(at=hand.at + SECOND, edit={"status": "enabled"})
        stuck = await schedules.create(bob, aim(here), asked)
        await schedules.create(ana, aim(here), asked)
        hand.at += SECOND
        assert await clockwork.process_due() == 2
        assert (await flags.get(ana, here, "f")).switch("production").enabled
        for _ in range(12):
            hand.at += timedelta(hours=1)
            await clockwork.process_due()
        found = await schedules.get(ana, aim(here), stuck.id)
        assert (found.status, found.attempts) == ("failed", 9)

    async def test_what_could_not_be_done_is_refused_at_once(self, clock_at, hand, flag, ana, here):
        schedules = clock_at[0]
        later = hand.at + SECOND
        for asked, refusal in (
            (Asked(at=hand.at, edit={"name": "x"}), BadSchedule),
            (Asked(at=hand.at + timedelta(days=500), edit={"name": "x"}), BadSchedule),
            (Asked(at=later, edit={}), BadSchedule),
            (Asked(at=later, edit={"default_variant": "nope"}), UnknownVariant),
        ):
            with pytest.raises(refusal):
                await schedules.create(ana, aim(here), asked)
        editor = replace(ana, permissions=frozenset({"flag:read", "flag:update"}))
        with pytest.raises(Forbidden, match="flag:toggle"):
            await schedules.create(editor, aim(here), Asked(at=later, edit={"status": "enabled"}))
        with pytest.raises(ScheduleNotFound):
            await schedules.get(ana, aim(here), uuid7())

    async def test_they_are_listed_newest_first_in_pages_and_by_environment(
        self, clock_at, hand, flag, ana, here
    ):
        schedules = clock_at[0]
        asked = Asked(at=hand.at + SECOND, edit={"name": "x"})
        ids = [(await schedules.create(ana, aim(here), asked)).id for _ in range(3)]
        first = await schedules.page(ana, aim(here), PageAsk(limit=2))
        rest = await schedules.page(ana, aim(here), PageAsk(limit=2, after=first.next))
        assert [one.id for one in (*first.items, *rest.items)] == ids[::-1]
        assert (first.total, rest.next) == (3, None)
        elsewhere = aim(replace(here, environment="development"))
        assert (await schedules.page(ana, elsewhere, PageAsk())).total == 0


RAMP = Ramp(
    variant="on", otherwise="", stages=(Stage(10_000, 60), Stage(50_000, 60), Stage(100_000))
)
ASKED = rolling.Asked(ramp=RAMP)


async def weights(flags, ana, here):
    rules = (await flags.get(ana, here, "f")).switch("production").rules
    return [rule["split"]["weights"][0]["weight"] for rule in rules]


class TestRollouts:
    async def test_a_rollout_grows_stage_by_stage_and_skips_none(
        self, clock_at, hand, flag, ana, here
    ):
        _, rollouts, _, clockwork, flags = clock_at
        made = await rollouts.start(ana, aim(here), ASKED)
        assert (made.status, made.ramp.otherwise) == ("waiting", "off")
        seen = []
        for pause in (0, 59, 1, 3600, 0):
            hand.at += pause * SECOND
            await clockwork.process_due()
            seen.append(await weights(flags, ana, here))
        assert seen == [[10_000], [10_000], [50_000], [100_000], [100_000]]
        assert (await rollouts.get(ana, aim(here), made.id)).status == "completed"
        with pytest.raises(RolloutOver):
            await rollouts.pause(ana, aim(here), made.id)
        assert (await flags.get(ana, here, "f")).version == 4

    async def test_one_that_is_paused_holds_and_goes_on_for_what_was_left(
        self, clock_at, hand, flag, ana, here
    ):
        _, rollouts, _, clockwork, flags = clock_at
        made = await rollouts.start(ana, aim(here), ASKED)
        await clockwork.process_due()
        hand.at += 50 * SECOND
        paused = await rollouts.pause(ana, aim(here), made.id)
        assert (paused.status, paused.left) == ("paused", 10.0)
        hand.at += timedelta(days=1)
        assert await clockwork.process_due() == 0
        again = await rollouts.resume(ana, aim(here), made.id)
        assert again.next_at == hand.at + 10 * SECOND
        hand.at += 10 * SECOND
        await clockwork.process_due()
        assert await weights(flags, ana, here) == [50_000]

    async def test_one_that_is_given_up_leaves_the_flag_as_it_was(
        self, clock_at, hand, flag, ana, here
    ):
        _, rollouts, _, clockwork, flags = clock_at
        made = await rollouts.start(ana, aim(here), ASKED)
        await clockwork.process_due()
        assert (await rollouts.abort(ana, aim(here), made.id)).status == "aborted"
        assert await weights(flags, ana, here) == []
        with pytest.raises(RolloutOver):
            await rollouts.resume(ana, aim(here), made.id)

    async def test_one_whose_rule_somebody_removed_has_failed(
        self, clock_at, hand, flag, ana, here
    ):
        _, rollouts, _, clockwork, flags = clock_at
        made = await rollouts.start(ana, aim(here), ASKED)
        await clockwork.process_due()
        await flags.update(ana, aim(here), Change(switch={"rules": ()}))
        hand.at += 60 * SECOND
        await clockwork.process_due()
        found = await rollouts.get(ana, aim(here), made.id)
        assert (found.status, found.stage) == ("failed", 0)
        assert "removed" in found.trouble

    async def test_there_is_one_at_a_time_and_it_has_to_be_reachable(
        self, clock_at, hand, flag, ana, here
    ):
        _, rollouts, _, clockwork, flags = clock_at
        first, second = await asyncio.gather(
            *(rollouts.start(ana, aim(here), ASKED) for _ in range(2)), return_exceptions=True
        )
        assert isinstance(second, RolloutRunning) or isinstance(first, RolloutRunning)
        await clockwork.process_due()
        await flags.update(ana, aim(here), Change(switch={"rules": ({"variant": "on"},)}))
        hand.at += 60 * SECOND
        await clockwork.process_due()
        with pytest.raises(BadRollout, match="decide for everybody"):
            await rollouts.start(ana, aim(here), ASKED)

    @pytest.mark.parametrize(
        "ramp",
        [
            replace(RAMP, stages=(Stage(50_000), Stage(10_000))),
            replace(RAMP, stages=(Stage(0), Stage(10_000))),
            replace(RAMP, stages=(Stage(100_001),)),
            replace(RAMP, variant="off"),
        ],
    )
    async def test_stages_that_do_not_grow_are_refused(self, clock_at, flag, ana, here, ramp):
        with pytest.raises(BadRollout):
            await clock_at[1].start(ana, aim(here), rolling.Asked(ramp=ramp))

    async def test_they_are_listed(self, clock_at, hand, flag, ana, here):
        rollouts = clock_at[1]
        for _ in range(2):
            made = await rollouts.start(ana, aim(here), ASKED)
            await rollouts.abort(ana, aim(here), made.id)
        found = await rollouts.page(ana, aim(here), PageAsk())
        assert [one.status for one in found.items] == ["aborted", "aborted"]
        assert found.items[0].id == made.id


class TestEmergency:
    async def test_killing_switches_off_and_stops_what_would_switch_on_again(
        self, clock_at, hand, flag, ana, here
    ):
        schedules, rollouts, emergency, clockwork, flags = clock_at
        await flags.enable(ana, aim(here))
        rollout = await rollouts.start(ana, aim(here), ASKED)
        asked = Asked(at=hand.at + SECOND, edit={"status": "enabled"})
        schedule = await schedules.create(ana, aim(here), asked)
        killed = await emergency.kill(ana, aim(here, reason="it burns"))
        assert not killed.switch("production").enabled
        assert (await schedules.get(ana, aim(here), schedule.id)).status == "cancelled"
        assert (await rollouts.get(ana, aim(here), rollout.id)).status == "paused"
        hand.at += timedelta(hours=1)
        assert await clockwork.process_due() == 0
        again = await emergency.kill(ana, aim(here, reason="really"))
        assert again.version == killed.version

    async def test_it_is_there_where_changes_want_approval(
        self, clock_at, projects, flag, ana, here
    ):
        _, rollouts, emergency, _, flags = clock_at
        await flags.enable(ana, aim(here))
        await projects.change_environment(ana, PRODUCTION, {"approvals": 2})
        for refused in (
            flags.disable(ana, aim(here)),
            flags.toggle(ana, aim(here)),
            flags.delete(ana, aim(here)),
            flags.update(ana, aim(here), Change(flag={"variants": {"on": True, "off": True}})),
            flags.revert(ana, aim(here), 1),
            rollouts.start(ana, aim(here), ASKED),
        ):
            with pytest.raises(ApprovalNeeded, match=r"2 approvals.*change-requests.*/kill"):
                await refused
        killed = await emergency.kill(ana, aim(here, reason="it burns"))
        assert not killed.switch("production").enabled
        renamed = await flags.update(ana, aim(here), Change(flag={"name": "New"}))
        elsewhere = aim(replace(here, environment="development"))
        assert (renamed.name, (await flags.enable(ana, elsewhere)).version) == ("New", 5)
