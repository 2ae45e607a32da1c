from dataclasses import replace
from uuid import uuid4

import pytest

from chassis.caller import NotAPerson
from chassis.errors import Forbidden
from chassis.facts import Outcome
from iam.domain.authority import Kind
from iam.domain.errors import (
    BadPasswordReset,
    MoreThanYouHold,
    ResetYourself,
    TooManyLogins,
    UserNotFound,
    WeakPassword,
    WrongPassword,
)
from iam.domain.grants import Grant
from iam.usecases.logins import Login

NEW = "another good sentence"


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", roles=["org_admin", "user"])


@pytest.fixture
def ann(iam, boss):
    return iam.user(iam.world.tenants[boss.tenant])


@pytest.fixture
def enter(iam):
    async def of(user, password):
        known = set(iam.world.sessions)
        await iam.logins.login(Login(name=user.email, password=password))
        (made,) = set(iam.world.sessions) - known
        return made

    return of


def ended(iam):
    return {c.id for c in iam.world.changes if c.kind is Kind.SESSION}


async def test_who_changes_their_password_stays_logged_in_here_only(iam, ann, make, enter):
    here, there = [await enter(ann, make.password) for _ in range(2)]
    _, token = await iam.changes.issue(_boss_of(iam, make, ann), ann.id)
    await iam.changes.change(make.caller(ann, here), make.password, NEW)
    assert ended(iam) == {str(there)}
    assert iam.world.actions()[-2:] == ["user.password_changed", "session.ended"]
    assert await enter(ann, NEW)
    with pytest.raises(BadPasswordReset):
        await iam.changes.redeem(token, NEW)


def _boss_of(iam, make, user):
    grants = (make.grant("admin"),)
    return make.caller(iam.user(iam.world.tenants[user.tenant], "admin@acme.test", grants=grants))


async def test_a_wrong_present_password_changes_nothing_and_leaves_a_fact(iam, ann, make):
    with pytest.raises(WrongPassword) as refused:
        await iam.changes.change(make.caller(ann), "wrong", NEW)
    assert refused.value.errors[0].pointer == "/current_password"
    (fact,) = iam.world.facts
    assert (fact.action, fact.outcome) == ("user.password_change_failed", Outcome.FAILED)
    assert iam.world.users[ann.id].password == ann.password


async def test_guessing_the_present_password_is_slowed_down(iam, ann, make):
    me = make.caller(ann)
    for _ in range(5):
        with pytest.raises(WrongPassword):
            await iam.changes.change(me, "wrong", NEW)
    with pytest.raises(TooManyLogins) as refused:
        await iam.changes.change(me, make.password, NEW)
    assert refused.value.retry_after
    iam.clock.forward(seconds=61)
    await iam.changes.change(me, make.password, NEW)


@pytest.mark.parametrize("new", ["short", "x" * 1025, None])
async def test_a_new_password_must_be_one_and_the_answer_says_what_to_do(iam, ann, make, new):
    with pytest.raises(WeakPassword, match="choose"):
        await iam.changes.change(make.caller(ann), make.password, new or make.password)
    assert iam.world.users[ann.id].password == ann.password


async def test_two_changes_at_once_do_not_both_hold(iam, ann, make):
    """The second one proved itself with a password that is no more when its turn comes."""
    verify = iam.passwords.verify

    async def slow(password, hashed):
        iam.world.users[ann.id] = replace(iam.world.users[ann.id], password="fake$changed")
        return await verify(password, hashed)

    iam.passwords.verify = slow
    with pytest.raises(WrongPassword):
        await iam.changes.change(make.caller(ann), make.password, NEW)
    assert iam.world.users[ann.id].password == "fake$changed"


async def test_a_key_changes_no_password(iam, ann, make):
    with pytest.raises(NotAPerson):
        await iam.changes.change(make.caller(ann, kind="api_key"), make.password, NEW)


async def test_a_token_of_an_administrator_sets_a_password_once(iam, ann, boss, make, enter):
    session = await enter(ann, make.password)
    reset, token = await iam.changes.issue(make.caller(boss), ann.id)
    assert reset.user == ann.id
    assert token not in repr(iam.world)
    await iam.changes.redeem(token, NEW)
    assert ended(iam) == {str(session)}
    assert await enter(ann, NEW)
    with pytest.raises(BadPasswordReset):
        await iam.changes.redeem(token, "and yet another one")
    actions = iam.world.actions()
    assert {"user.password_reset_issued", "user.password_reset"} <= set(actions)


async def test_a_newer_token_takes_the_place_of_the_one_before(iam, ann, boss, make):
    _, first = await iam.changes.issue(make.caller(boss), ann.id)
    _, second = await iam.changes.issue(make.caller(boss), ann.id)
    with pytest.raises(BadPasswordReset):
        await iam.changes.redeem(first, NEW)
    await iam.changes.redeem(second, NEW)


@pytest.mark.parametrize("trouble", ["unknown", "expired", "disabled", "no organization", "gone"])
async def test_whatever_is_wrong_with_a_token_the_answer_is_the_same(iam, ann, boss, make, trouble):
    _, token = await iam.changes.issue(make.caller(boss), ann.id)
    tenant = iam.world.tenants[ann.tenant]
    match trouble:
        case "unknown":
            token = "invented"
        case "expired":
            iam.clock.forward(hours=1)
        case "disabled":
            iam.world.users[ann.id] = replace(ann, active=False)
        case "no organization":
            iam.world.tenants[tenant.id] = replace(tenant, active=False)
        case "gone":
            iam.world.users[ann.id] = replace(ann, deleted_at=iam.clock())
    with pytest.raises(BadPasswordReset) as refused:
        await iam.changes.redeem(token, NEW)
    assert refused.value.detail.startswith("the token is unknown, used or expired")
    assert iam.world.users[ann.id].password == ann.password


async def test_a_weak_password_does_not_use_the_token_up(iam, ann, boss, make):
    _, token = await iam.changes.issue(make.caller(boss), ann.id)
    with pytest.raises(WeakPassword):
        await iam.changes.redeem(token, "short")
    await iam.changes.redeem(token, NEW)


async def test_nobody_resets_whoever_holds_more_or_is_elsewhere_or_themselves(iam, ann, boss, make):
    admin = iam.user(iam.world.tenants[boss.tenant], "admin@acme.test", roles=["admin"])
    stranger = iam.user(iam.tenant("other"), "x@y.z")
    with pytest.raises(MoreThanYouHold):
        await iam.changes.issue(make.caller(boss), admin.id)
    for user in (stranger.id, uuid4()):
        with pytest.raises(UserNotFound):
            await iam.changes.issue(make.caller(boss), user)
    with pytest.raises(ResetYourself):
        await iam.changes.issue(make.caller(boss), boss.id)
    with pytest.raises(Forbidden):
        await iam.changes.issue(make.caller(ann), boss.id)
    assert iam.world.resets == {}


async def test_nobody_resets_whoever_reaches_further_than_their_tenant(iam, boss, make):
    tenant = iam.world.tenants[boss.tenant]
    admin = iam.user(tenant, "admin@acme.test", roles=["admin"])
    grants = (Grant("user"), Grant("admin", "platform"))
    everywhere = iam.user(tenant, "everywhere@acme.test", grants=grants)
    with pytest.raises(MoreThanYouHold, match="in every tenant"):
        await iam.changes.issue(make.caller(admin), everywhere.id)
    assert iam.world.resets == {}
    assert await iam.changes.issue(make.caller(everywhere), admin.id)


async def test_one_changes_ones_own_names_and_nothing_else(iam, ann, make):
    after = await iam.users.update_own(make.caller(ann), {"first_name": "Añá"}, ann.version)
    assert (after.first_name, after.grants, after.email) == ("Añá", ann.grants, ann.email)
    assert iam.world.actions() == ["user.updated"]
    with pytest.raises(NotAPerson):
        await iam.users.update_own(make.caller(ann, kind="api_key"), {}, None)


async def test_no_fact_carries_a_password_or_a_token(iam, ann, boss, make):
    _, token = await iam.changes.issue(make.caller(boss), ann.id)
    await iam.changes.redeem(token, NEW)
    said = repr(iam.world.facts)
    assert [s for s in (NEW, token, iam.world.users[ann.id].password) if s in said] == []
