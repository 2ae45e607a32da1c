import asyncio
import gc
import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from uuid import UUID

import pytest

from chassis.caller import NotAPerson
from iam.domain.authority import Kind
from iam.domain.errors import BadLogin, BadRefreshToken, TooManyLogins
from iam.usecases.logins import Login


def claims(tokens):
    body = tokens.access.split(".")[1]
    return json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def told(iam, kind):
    return [c.id for c in iam.world.changes if c.kind is kind]


@pytest.fixture
def ann(iam):
    return iam.user(iam.tenant(), username="Ann")


@pytest.fixture
async def tokens(iam, ann, make):
    return await iam.logins.login(Login(name="ann", password=make.password))


@pytest.mark.parametrize("name", ["ann", "ANN", "ann@acme.test", "Ann@ACME.test"])
async def test_one_logs_in_with_a_name_or_an_address_in_any_case(iam, ann, make, name):
    tokens = await iam.logins.login(Login(name=name, password=make.password))
    said = claims(tokens)
    assert (said["sub"], said["tid"]) == (str(ann.id), str(ann.tenant))
    assert tokens.subdomain == "acme"
    assert iam.world.actions() == ["session.created"]
    assert iam.world.users[ann.id].last_login_at == iam.clock()


async def test_every_wrong_login_fails_alike_and_costs_one_hash(iam, ann, make):
    iam.user(iam.tenant("off", active=False), email="off@x.y")
    iam.user(iam.tenant("gone"), email="idle@x.y", active=False)
    said = set()
    for name in ("ann", "nobody", "off@x.y", "idle@x.y"):
        iam.passwords.verified.clear()
        password = make.password if "@" in name else "wrong"
        with pytest.raises(BadLogin) as refused:
            await iam.logins.login(Login(name=name, password=password))
        said.add((refused.value.detail, refused.value.code, len(iam.passwords.verified)))
    assert len(said) == 1
    assert iam.world.actions() == ["session.login_failed"] * 4
    assert [fact.reason for fact in iam.world.facts] == [
        "the password is wrong",
        "there is no such account",
        *["the account or its organization is disabled"] * 2,
    ]


async def test_what_was_typed_for_an_unknown_account_is_not_kept(iam):
    with pytest.raises(BadLogin):
        await iam.logins.login(Login(name="my secret password", password="x"))
    assert "secret" not in repr(iam.world.facts)
    assert iam.world.facts[0].tenant is None


async def test_the_same_address_in_two_organizations_is_told_apart_by_the_password(iam, ann, make):
    twin = iam.user(iam.tenant("other"), password="fake$" + "other"[::-1])
    tokens = await iam.logins.login(Login(name="ann@acme.test", password="other"))
    assert claims(tokens)["sub"] == str(twin.id)
    with pytest.raises(BadLogin):
        await iam.logins.login(Login(name="ann@acme.test", password="other", subdomain="acme"))
    tokens = await iam.logins.login(
        Login(name="ann@acme.test", password=make.password, subdomain="acme")
    )
    assert claims(tokens)["sub"] == str(ann.id)


async def test_guessing_is_slowed_down_for_one_account_only(iam, ann, make):
    bob = iam.user(iam.world.tenants[ann.tenant], email="bob@acme.test")
    for _ in range(5):
        with pytest.raises(BadLogin):
            await iam.logins.login(Login(name="ann", password="wrong"))
    with pytest.raises(TooManyLogins) as refused:
        await iam.logins.login(Login(name="ann", password=make.password))
    assert refused.value.retry_after
    with pytest.raises(TooManyLogins):
        await iam.logins.login(Login(name="ann", password=make.password))
    assert iam.world.actions() == [*["session.login_failed"] * 5, "session.login_throttled"]
    held = iam.world.facts[-1]
    assert (held.target.id, held.tenant, held.outcome) == (str(ann.id), ann.tenant, "denied")
    assert claims(await iam.logins.login(Login(name=bob.email, password=make.password)))
    iam.clock.forward(seconds=2)
    assert await iam.logins.login(Login(name="ann", password=make.password))
    with pytest.raises(BadLogin):
        await iam.logins.login(Login(name="ann", password="wrong"))


async def test_an_outdated_hash_is_replaced_at_login(iam, ann, make):
    old = replace(ann, password="old$" + make.password[::-1])
    iam.world.users[ann.id] = old
    await iam.logins.login(Login(name="ann", password=make.password))
    assert iam.world.users[ann.id].password.startswith("fake$")


async def test_a_refresh_token_is_used_up_by_its_successor(iam, tokens):
    next_ = await iam.logins.refresh(tokens.refresh)
    assert next_.refresh != tokens.refresh
    assert claims(next_)["sid"] == claims(tokens)["sid"]
    assert claims(next_)["jti"] != claims(tokens)["jti"]
    assert (await iam.logins.refresh(next_.refresh)).refresh != next_.refresh


async def test_two_refreshes_at_once_get_the_same_successor(iam, tokens):
    first = await iam.logins.refresh(tokens.refresh)
    iam.clock.forward(seconds=10)
    assert (await iam.logins.refresh(tokens.refresh)).refresh == first.refresh


async def test_requests_with_the_same_token_at_once_are_one(iam, tokens):
    many = await asyncio.gather(*(iam.logins.refresh(tokens.refresh) for _ in range(20)))
    assert len({one.refresh for one in many}) == 1
    assert len(iam.world.tokens) == 2


async def test_one_who_leaves_does_not_take_the_others_along(iam, tokens):
    first, second = [asyncio.create_task(iam.logins.refresh(tokens.refresh)) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).refresh
    assert (await asyncio.gather(first, return_exceptions=True))[
        0
    ].__class__.__name__ == "CancelledError"


async def test_a_refusal_that_nobody_waits_for_is_quiet(iam, caplog):
    asked = asyncio.create_task(iam.logins.refresh("invented"))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    gc.collect()
    assert caplog.text == ""


async def test_a_late_repetition_ends_the_whole_session(iam, tokens):
    first = await iam.logins.refresh(tokens.refresh)
    iam.clock.forward(seconds=11)
    for token in (tokens.refresh, first.refresh):
        with pytest.raises(BadRefreshToken):
            await iam.logins.refresh(token)
    assert told(iam, Kind.SESSION) == [claims(tokens)["sid"]]
    assert "session.refresh_reused" in iam.world.actions()


async def test_a_session_that_is_not_refreshed_expires(iam, tokens):
    iam.clock.forward(days=30)
    with pytest.raises(BadRefreshToken):
        await iam.logins.refresh(tokens.refresh)


async def test_a_disabled_user_cannot_refresh(iam, ann, tokens):
    iam.world.users[ann.id] = replace(iam.world.users[ann.id], active=False)
    with pytest.raises(BadRefreshToken):
        await iam.logins.refresh(tokens.refresh)


async def test_an_invented_refresh_token_is_refused(iam):
    with pytest.raises(BadRefreshToken):
        await iam.logins.refresh("invented")


async def test_logging_out_ends_the_session_and_tells_the_replicas(iam, ann, tokens, make):
    sid = claims(tokens)["sid"]
    await iam.logins.logout(make.caller(ann, sid))
    assert told(iam, Kind.SESSION) == [sid]
    assert iam.world.sessions[UUID(sid)].ended_at == iam.clock()
    assert iam.world.actions()[-1] == "session.ended"
    with pytest.raises(BadRefreshToken):
        await iam.logins.refresh(tokens.refresh)


async def test_logging_out_with_a_refresh_token_ends_its_session_too(iam, ann, tokens, make):
    here = await iam.logins.login(Login(name="ann", password=make.password))
    await iam.logins.logout(make.caller(ann, claims(here)["sid"]), tokens.refresh)
    assert set(told(iam, Kind.SESSION)) == {claims(here)["sid"], claims(tokens)["sid"]}


async def test_nobody_ends_the_session_of_somebody_else(iam, tokens, make):
    bob = iam.user(iam.tenant("other"), email="bob@x.y")
    await iam.logins.logout(make.caller(bob, claims(tokens)["sid"]), tokens.refresh)
    assert told(iam, Kind.SESSION) == []


async def test_an_api_key_is_nobody_who_could_log_out(iam, ann, make):
    key = make.caller(ann, kind="api_key")
    for verb in (iam.logins.logout, iam.logins.me):
        with pytest.raises(NotAPerson):
            await verb(key)


async def test_me_is_the_user_and_their_tenant(iam, ann, make):
    user, tenant = await iam.logins.me(make.caller(ann))
    assert (user.id, tenant.subdomain) == (ann.id, "acme")


async def test_no_fact_carries_a_password_a_hash_or_a_token(iam, ann, tokens, make):
    await iam.logins.refresh(tokens.refresh)
    said = repr(iam.world.facts)
    for secret in (make.password, ann.password, tokens.refresh, tokens.access):
        assert secret not in said
