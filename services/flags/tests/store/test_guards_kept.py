"""Rollouts with a guard: once on the memory and once on PostgreSQL; experiments is a stand-in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chassis.errors import Forbidden, NotFound, Unavailable
from flags.domain.change_request import Proposal
from flags.domain.flag import Change, Draft
from flags.domain.guard import Evidence, Guard, OnHarm, verdict_of
from flags.domain.rollout import Ramp, Stage
from flags.usecases import rollouts as rolling
from flags.usecases.changing import Aim
from flags.usecases.guarding import Guarding
from flags.usecases.projects import EnvironmentAim
from flags.usecases.requests import RequestAim

SECOND = timedelta(seconds=1)
ERRORS = frozenset({"errors"})
CLEAR = Evidence(watched=ERRORS, units=100)
HARM = Evidence(watched=ERRORS, harmed=(("errors", "treatment"),), units=120)
GUARD = Guard(experiment="checkout", metric="errors")
RAMP = Ramp(
    variant="on",
    otherwise="",
    stages=(Stage(10_000, 60), Stage(50_000, 60), Stage(100_000, 60)),
    guard=GUARD,
)


def aim(place, **more):
    return Aim(flag="f", place=place, **more)


def asked(**guard):
    return rolling.Asked(ramp=replace(RAMP, guard=replace(GUARD, **guard)))


class Site:
    """What the tests of a guarded rollout act on, all on one clock."""

    def __init__(self, uses, lab, place, ana):
        self.rollouts, self.flags, self.clockwork, self.requests = uses
        self.guarding = Guarding(self.clockwork, lab)
        self.lab, self.place, self.ana, self.made = lab, place, ana, None

    async def start(self, **guard):
        self.made = await self.rollouts.start(self.ana, aim(self.place), asked(**guard))
        return self.made

    async def tick(self):
        await self.clockwork.process_due()
        return await self.guarding.process_due()

    async def weights(self):
        rules = (await self.flags.get(self.ana, self.place, "f")).switch("production").rules
        return [rule["split"]["weights"][0]["weight"] for rule in rules]

    async def found(self):
        return await self.rollouts.get(self.ana, aim(self.place), self.made.id)


@pytest.fixture
async def site(alone, hand, rollouts, flags, clockwork, requests, lab, here, ana):
    uses = [replace(one, now=hand) for one in (rollouts, flags, clockwork, requests)]
    made = Site(uses, lab, here, ana)
    await made.flags.create(ana, here, Draft(key="f", name="F", default_variant="off"))
    return made


async def test_a_clear_guard_lets_it_grow_and_is_watched_to_the_end(site, hand, lab, ana):
    made = await site.start()
    assert (made.look_at, made.verdict, made.held) == (made.next_at, None, False)
    seen = []
    for pause in (0, 15, 15, 15, 15, 60, 59, 1):
        hand.at += pause * SECOND
        await site.tick()
        seen.append((await site.weights())[0])
    assert seen == [10_000] * 4 + [50_000] + [100_000] * 3
    found = await site.found()
    assert (found.status, found.stage, found.look_at) == ("completed", 2, None)
    assert found.verdict.said == "clear"
    assert found.verdict.units == 100
    assert set(lab.asked) == {(ana.tenant, "checkout")}
    assert (await site.flags.get(ana, site.place, "f")).version == 4
    count = len(lab.asked)
    hand.at += timedelta(days=1)
    assert (await site.tick(), len(lab.asked)) == (0, count)


async def test_the_clock_alone_never_moves_one_that_has_a_guard(site, hand):
    await site.start()
    hand.at += timedelta(days=1)
    assert await site.clockwork.process_due() == 0
    assert await site.weights() == []


async def test_harm_between_two_stages_rolls_back_and_says_why(site, hand, lab, ana, work):
    await site.start()
    await site.tick()
    assert await site.weights() == [10_000]
    lab.says = HARM
    hand.at += 15 * SECOND
    await site.tick()
    found = await site.found()
    assert (found.status, found.look_at, found.next_at) == ("rolled_back", None, None)
    assert found.trouble == "experiment 'checkout' shows harm to 'errors' in 'treatment'"
    assert (found.verdict.said, found.verdict.units) == ("harmed", 120)
    assert await site.weights() == []
    hand.at += timedelta(days=1)
    assert await site.tick() == 0


async def test_harm_rolls_back_whoever_its_author_is_by_now(site, hand, lab, authors, projects):
    await site.start()
    await site.tick()
    authors.callers.clear()
    await projects.change_environment(
        site.ana, EnvironmentAim(project="default", key="production"), {"approvals": 2}
    )
    lab.says = HARM
    hand.at += 15 * SECOND
    await site.tick()
    assert (await site.found()).status == "rolled_back"
    assert await site.weights() == []


async def test_harm_before_the_first_stage_begins_nothing(site, lab):
    lab.says = HARM
    await site.start()
    await site.tick()
    assert (await site.found()).status == "rolled_back"
    assert await site.weights() == []


async def test_harm_may_pause_instead_and_again_after_it_was_let_go_on(site, hand, lab, ana):
    await site.start(on_harm=OnHarm.PAUSE)
    await site.tick()
    lab.says = HARM
    hand.at += 15 * SECOND
    await site.tick()
    paused = await site.found()
    assert (paused.status, paused.left, await site.weights()) == ("paused", 45.0, [10_000])
    assert "harm" in paused.trouble
    resumed = await site.rollouts.resume(ana, aim(site.place), paused.id)
    assert (resumed.look_at, resumed.next_at) == (hand.at, hand.at + 45 * SECOND)
    await site.tick()
    assert (await site.found()).status == "paused"


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (Unavailable("the service did not answer"), "experiments: the service did not answer"),
        (NotFound("there is no experiment 'checkout'"), "there is no experiment"),
        (Evidence(watched=frozenset()), "nobody was exposed"),
        (Evidence(watched=frozenset({"speed"}), units=9), "nothing that can be believed"),
        (RuntimeError("a bug"), "a fault on our side"),
    ],
)
async def test_while_nobody_can_tell_it_is_held_and_says_so(site, hand, lab, says, why):
    await site.start()
    await site.tick()
    lab.says = says
    hand.at += 15 * SECOND
    await site.tick()
    going = await site.found()
    assert (going.verdict.said, going.held, going.trouble) == ("unknown", False, "")
    hand.at += 60 * SECOND
    await site.tick()
    held = await site.found()
    assert (held.status, held.stage, held.held) == ("running", 0, True)
    assert why in held.trouble
    assert await site.weights() == [10_000]
    assert (held.look_at, held.version > going.version) == (hand.at + 15 * SECOND, True)
    lab.says = CLEAR
    hand.at += 15 * SECOND
    await site.tick()
    after = await site.found()
    assert (after.stage, after.held, after.trouble) == (1, False, "")


async def test_a_guard_of_every_guardrail_waits_for_the_last_of_them():
    said = Evidence(watched=ERRORS, unwatched=frozenset({"speed"}), units=9)
    every, one = Guard(experiment="checkout"), Guard(experiment="checkout", metric="errors")
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert [verdict_of(guard, said, now).said for guard in (every, one)] == ["unknown", "clear"]
    assert "'speed' of experiment 'checkout'" in verdict_of(every, said, now).why
    harmed = replace(said, harmed=(("errors", "b"),))
    assert verdict_of(every, harmed, now).said == "harmed"


async def test_an_author_of_whom_nothing_is_known_now_holds_it_one_who_is_gone_ends_it(
    site, hand, authors
):
    await site.start()
    authors.away = True
    await site.tick()
    held = await site.found()
    assert (held.status, held.held, held.trouble) == ("waiting", True, "iam is away")
    authors.away = False
    authors.callers.clear()
    hand.at += 15 * SECOND
    await site.tick()
    assert ((await site.found()).status, await site.weights()) == ("failed", [])


async def test_a_bug_of_ours_puts_it_off(site, hand, authors, ana):
    await site.start()
    authors.callers[ana.owner] = None  # whatever is asked of it fails
    for _ in range(12):
        await site.tick()
        hand.at += timedelta(hours=1)
    found = await site.found()
    assert (found.status, found.look_at) == ("paused", None)
    assert "fault on our side" in found.trouble


async def test_what_was_decided_for_a_rollout_that_moved_meanwhile_is_dropped(site, lab, ana):
    made = await site.start()

    async def pause():
        lab.between = None
        await site.rollouts.pause(ana, aim(site.place), made.id)

    lab.between, lab.says = pause, HARM
    await site.tick()
    assert ((await site.found()).status, await site.weights()) == ("paused", [])


async def test_one_whose_rule_somebody_removed_has_failed(site, hand, ana):
    await site.start()
    await site.tick()
    await site.flags.update(ana, aim(site.place), Change(switch={"rules": ()}))
    hand.at += 60 * SECOND
    await site.tick()
    found = await site.found()
    assert (found.status, found.look_at) == ("failed", None)
    assert "removed" in found.trouble


async def test_a_guard_is_for_those_who_read_experiments(site, ana, here):
    blind = replace(ana, permissions=ana.permissions - {"experiment:read"})
    with pytest.raises(Forbidden, match="experiment:read"):
        await site.rollouts.start(blind, aim(here), asked())
    with pytest.raises(Forbidden, match="experiment:read"):
        await site.requests.create(blind, aim(here, reason="r"), Proposal(ramp=RAMP))


async def test_a_guard_goes_through_a_change_request(site, ana, here):
    proposed = await site.requests.create(ana, aim(here, reason="r"), Proposal(ramp=RAMP))
    which = RequestAim(request=proposed.request.id, project="default")
    assert (await site.requests.get(ana, which)).request.proposal.ramp.guard == GUARD
    await site.requests.apply(ana, which)
    [made] = (await site.rollouts.page(ana, aim(here), rolling.PageAsk())).items
    assert (made.ramp.guard, made.look_at) == (GUARD, made.next_at)
