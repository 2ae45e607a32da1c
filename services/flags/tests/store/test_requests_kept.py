"""Change requests, once on the memory and once on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from chassis.errors import Forbidden, NotFound
from chassis.pages import PageAsk
from flags.domain.change_request import Proposal, RequestStatus
from flags.domain.errors import (
    ApprovalsMissing,
    BadChangeRequest,
    BadRules,
    ChangeRequestNotFound,
    ChangeRequestOver,
    FlagMovedOn,
    NotYourChangeRequest,
    OwnChangeRequest,
    StaleChangeRequest,
)
from flags.domain.flag import Change, Draft
from flags.domain.rollout import Ramp, Stage
from flags.ports.requests import WantedRequests
from flags.usecases.changing import Aim
from flags.usecases.projects import EnvironmentAim
from flags.usecases.requests import RequestAim

ENABLE = Proposal(edit={"status": "enabled"})
RAMP = Ramp(variant="on", otherwise="", stages=(Stage(1_000, 60), Stage(100_000)))


def at(shown, **more):
    return RequestAim(request=shown.request.id, project="default", **more)


def aim(place, reason="launch", **more):
    return Aim(flag="f", place=place, reason=reason, **more)


@pytest.fixture
def bob(ana):
    return replace(ana, subject=str(uuid7()), name="bob")


@pytest.fixture
def cyd(ana):
    return replace(ana, subject=str(uuid7()), name="cyd")


@pytest.fixture
async def flag(flags, projects, ana, here):
    made = await flags.create(ana, here, Draft(key="f", name="F", default_variant="off"))
    place = EnvironmentAim(project="default", key="production")
    await projects.change_environment(ana, place, {"approvals": 2})
    return made


@pytest.fixture
async def opened(requests, flag, ana, here):
    return await requests.create(ana, aim(here), ENABLE)


async def test_two_others_approve_and_then_it_is_made(requests, flags, opened, ana, bob, cyd, here):
    assert (opened.required, opened.outdated) == (2, False)
    await requests.approve(bob, at(opened, version=1, comment="fine"))
    with pytest.raises(ApprovalsMissing, match="1 more approval is needed"):
        await requests.apply(ana, at(opened))
    await requests.approve(bob, at(opened, comment="twice is once"))
    shown = await requests.approve(cyd, at(opened))
    assert [a.by.name for a in shown.request.approvals] == ["bob", "cyd"]
    applied = await requests.apply(ana, at(opened))
    assert (applied.request.status, applied.request.made) == ("applied", "version 2")
    assert (await flags.get(ana, here, "f")).switch("production").enabled
    for verb in (requests.apply, requests.approve, requests.reject, requests.cancel):
        with pytest.raises(ChangeRequestOver):
            await verb(bob, at(opened))
    found = await requests.get(ana, at(opened))
    assert replace(found.request, spot=applied.request.spot) == applied.request


async def test_nobody_approves_their_own_nor_with_a_key_of_theirs(requests, opened, ana):
    key = replace(ana, subject="key-1", kind="api_key", account=ana.subject)
    for author in (ana, key):
        with pytest.raises(OwnChangeRequest):
            await requests.approve(author, at(opened))


async def test_an_edit_voids_what_was_approved(requests, opened, ana, bob, cyd):
    await requests.approve(bob, at(opened))
    await requests.approve(cyd, at(opened))
    with pytest.raises(NotYourChangeRequest):
        await requests.edit(bob, at(opened), None, ENABLE)
    edited = await requests.edit(ana, at(opened), "again", Proposal(edit={"name": "N"}))
    assert (edited.request.approvals, edited.request.title, edited.required) == ((), "again", 0)
    edited = await requests.edit(ana, at(opened), None, ENABLE)
    with pytest.raises(ApprovalsMissing):
        await requests.apply(ana, at(opened))
    with pytest.raises(StaleChangeRequest):
        await requests.approve(bob, at(opened, version=3))


async def test_a_flag_that_moved_on_is_not_changed(requests, flags, opened, ana, bob, cyd, here):
    for other in (bob, cyd):
        await requests.approve(other, at(opened))
    elsewhere = aim(replace(here, environment="development"))
    await flags.enable(ana, elsewhere)
    assert not (await requests.get(ana, at(opened))).outdated
    await flags.update(ana, aim(here), Change(flag={"name": "New"}))
    assert (await requests.get(ana, at(opened))).outdated
    with pytest.raises(FlagMovedOn, match="edit the request"):
        await requests.apply(ana, at(opened))
    assert not (await flags.get(ana, here, "f")).switch("production").enabled
    assert (await requests.get(ana, at(opened))).request.status == "open"


async def test_what_is_rejected_can_be_edited_and_what_is_cancelled_not(requests, opened, ana, bob):
    await requests.approve(bob, at(opened))
    rejected = await requests.reject(bob, at(opened, comment="no"))
    assert (rejected.request.approvals, rejected.request.said) == ((), "no")
    assert (await requests.edit(ana, at(opened), None, ENABLE)).request.status == "open"
    await requests.cancel(ana, at(opened))
    with pytest.raises(ChangeRequestOver, match="cancelled"):
        await requests.edit(ana, at(opened), None, ENABLE)


@pytest.mark.parametrize("verdict", ["apply", "edit"])
async def test_of_many_at_once_one_applies(requests, flags, opened, ana, bob, cyd, here, verdict):
    for other in (bob, cyd):
        await requests.approve(other, at(opened))
    others = [requests.apply(who, at(opened)) for who in (ana, bob, cyd)]
    if verdict == "edit":
        others.append(requests.edit(ana, at(opened), None, ENABLE))
    done = await asyncio.gather(*others, return_exceptions=True)
    assert sum(not isinstance(one, Exception) for one in done) == 1
    left = (await requests.get(ana, at(opened))).request
    assert left.status == ("applied" if left.made else "open")


async def test_a_schedule_and_a_rollout_that_were_approved_pass(
    requests, schedules, rollouts, flag, ana, bob, cyd, here, clock
):
    later = clock() + timedelta(days=1)
    for proposal, kind in (
        (replace(ENABLE, at=later), "schedule"),
        (Proposal(ramp=RAMP, at=later), "rollout"),
    ):
        opened = await requests.create(ana, aim(here), proposal)
        assert opened.request.proposal.kind == kind
        for other in (bob, cyd):
            await requests.approve(other, at(opened))
        applied = await requests.apply(bob, at(opened))
        assert applied.request.made.startswith(f"{kind} ")
    [schedule] = (await schedules.page(ana, aim(here), PageAsk())).items
    [rollout] = (await rollouts.page(ana, aim(here), PageAsk())).items
    assert (schedule.author.name, rollout.approved) == ("bob", opened.request.id)
    assert rollout.ramp.otherwise == "off"
    await rollouts.abort(ana, aim(here), rollout.id)
    await schedules.cancel(ana, aim(here), schedule.id)


async def test_what_could_not_be_made_is_refused_at_once(requests, flag, ana, here):
    for proposal, refusal in (
        (Proposal(), BadChangeRequest),
        (Proposal(edit={}), BadChangeRequest),
        (Proposal(edit={"name": "x"}, ramp=RAMP), BadChangeRequest),
        (Proposal(edit={"rules": [{"variant": "nope"}]}), BadRules),
    ):
        with pytest.raises(refusal):
            await requests.create(ana, aim(here), proposal)
    editor = replace(ana, permissions=frozenset({"flag:read", "flag:update"}))
    with pytest.raises(Forbidden, match="flag:toggle"):
        await requests.create(editor, aim(here), ENABLE)


async def test_another_tenant_and_a_key_of_another_environment_see_none(requests, opened, ana, bob):
    stranger = replace(ana, tenant=uuid7())
    bound = replace(bob, environment="development")
    for who in (stranger, bound):
        with pytest.raises(NotFound) as refusal:
            await requests.get(who, at(opened))
        assert isinstance(refusal.value, ChangeRequestNotFound)
        assert (await requests.page(who, "default", WantedRequests(), PageAsk())).items == []


async def test_they_are_listed_newest_first_and_filtered(requests, flag, ana, here):
    made = [await requests.create(ana, aim(here, reason=f"r{n}"), ENABLE) for n in range(3)]
    await requests.cancel(ana, at(made[1]))
    first = await requests.page(ana, "default", WantedRequests(), PageAsk(limit=2))
    rest = await requests.page(ana, "default", WantedRequests(), PageAsk(limit=2, after=first.next))
    assert [r.title for r in (*first.items, *rest.items)] == ["r2", "r1", "r0"]
    for search in ("F", "no such text"):
        part = await requests.page(ana, "default", WantedRequests(search=search), PageAsk())
        assert (part.total > 0) == (search == "F")
    wanted = WantedRequests(status=RequestStatus.CANCELLED, flag="f", environment="production")
    found = await requests.page(ana, "default", wanted, PageAsk())
    assert ([r.title for r in found.items], found.total) == (["r1"], 1)
    reader = replace(ana, subject="somebody", permissions=frozenset())
    with pytest.raises(Forbidden):
        await requests.page(reader, "default", WantedRequests(), PageAsk())
