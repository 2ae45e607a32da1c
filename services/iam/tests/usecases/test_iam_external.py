"""Roles that come with groups at an identity provider."""

import pytest

from iam.domain.errors import LastAdmin, MoreThanYouHold, SelfDemotion, UserNotFound
from iam.domain.grant_errors import RoleAssigned
from iam.domain.grants import Where, Window
from iam.domain.reach_errors import BadPlace, LineNotFound, LineTaken, ProjectUnknown
from iam.usecases.assignments import To
from iam.usecases.external import NewLine
from iam.usecases.roles import NewRole


def line(value, role, **more):
    what = {"idp": "okta", "claim": "groups", "where": Where(), "rule": "union"}
    return NewLine(value=value, role=role, **(what | more))


@pytest.fixture
def acme(iam):
    return iam.tenant()


@pytest.fixture
def boss(iam, acme):
    return iam.user(acme, "boss@acme.test", roles=["admin"])


@pytest.fixture
def ann(iam, acme):
    return iam.user(acme)


@pytest.fixture
def me(boss, make):
    return make.caller(boss)


async def sync(iam, me, user, *groups, idp="okta"):
    grants = await iam.external.sync(me, user.id, idp, {"groups": groups})
    return {(g.role, str(g.at)) for g in grants}


async def roles(iam, user):
    async with iam.work() as work:
        return (await work.users.get(None, user.id)).roles


async def test_what_an_identity_provider_says_replaces_what_it_said_before(iam, me, ann):
    await iam.external.create(me, line("devs", "developer"))
    await iam.external.create(me, line("seers", "viewer"))
    assert await sync(iam, me, ann, "devs", "strangers") == {("developer", "tenant")}
    assert await sync(iam, me, ann, "seers") == {("viewer", "tenant")}
    assert await roles(iam, ann) == ("viewer", "user")
    fact = iam.world.facts[-1]
    assert (fact.action, fact.before["roles"]) == ("role.synced", ["developer@tenant"])
    assert await sync(iam, me, ann) == set()
    assert await roles(iam, ann) == ("user",)


async def test_nothing_is_written_when_nothing_changes(iam, me, ann):
    await iam.external.create(me, line("devs", "developer"))
    await sync(iam, me, ann, "devs")
    before = (len(iam.world.facts), len(iam.world.changes))
    assert await sync(iam, me, ann, "devs") == {("developer", "tenant")}
    assert (len(iam.world.facts), len(iam.world.changes)) == before


async def test_what_was_given_by_hand_or_by_another_provider_stays(iam, me, acme, ann):
    await iam.external.create(me, line("devs", "developer"))
    await iam.external.create(me, line("devs", "analyst", idp="entra"))
    await iam.assignments.give(me, To(acme.id, str(ann.id)), "developer", Window())
    await sync(iam, me, ann, "devs")
    await sync(iam, me, ann, "devs", idp="entra")
    await sync(iam, me, ann)
    assert await roles(iam, ann) == ("developer", "analyst", "user")


async def test_nobody_lets_others_be_given_what_they_do_not_hold(iam, make, acme, ann, me):
    low = make.caller(iam.user(acme, "low@acme.test", roles=["org_admin"]))
    with pytest.raises(MoreThanYouHold):
        await iam.external.create(low, line("devs", "developer"))
    made = await iam.external.create(me, line("devs", "developer"))
    with pytest.raises(MoreThanYouHold):
        await iam.external.delete(low, made.id)
    with pytest.raises(MoreThanYouHold):
        await sync(iam, low, ann, "devs")
    assert await roles(iam, ann) == ("user",)


async def test_a_line_must_mean_something_and_once(iam, me, acme):
    for where, fault in ((Where("project", "none"), ProjectUnknown), (Where("platform"), BadPlace)):
        with pytest.raises(fault):
            await iam.external.create(me, line("devs", "viewer", where=where))
    made = await iam.external.create(me, line("devs", "viewer"))
    with pytest.raises(LineTaken):
        await iam.external.create(me, line("devs", "viewer", rule="highest"))
    assert await iam.external.list(me) == [await iam.external.get(me, made.id)]
    await iam.external.delete(me, made.id)
    with pytest.raises(LineNotFound):
        await iam.external.get(me, made.id)


async def test_a_role_that_a_line_gives_cannot_be_deleted(iam, me):
    own = await iam.roles.create(me, NewRole(name="Own"))
    made = await iam.external.create(me, line("devs", own.id))
    with pytest.raises(RoleAssigned):
        await iam.roles.delete(me, own.id, None)
    await iam.external.delete(me, made.id)
    await iam.roles.delete(me, own.id, None)


async def test_a_sync_takes_no_last_administrator_and_nobody_from_another_tenant(
    iam, make, me, acme, ann, boss
):
    await iam.external.create(me, line("admins", "admin"))
    await sync(iam, me, ann, "admins")
    await iam.users.delete(make.caller(await as_now(iam, ann)), boss.id, None)
    with pytest.raises((LastAdmin, SelfDemotion)):
        await sync(iam, make.caller(await as_now(iam, ann)), ann)
    stranger = iam.user(iam.tenant("other"), "s@other.test")
    with pytest.raises(UserNotFound):
        await sync(iam, me, stranger, "admins")


async def as_now(iam, user):
    async with iam.work() as work:
        return await work.users.get(None, user.id)
