from datetime import timedelta
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from authz import apikeys
from iam.domain import api_key, password
from iam.domain.api_key import ApiKey, Version, check_expiry, scopes_for
from iam.domain.authority import LiveKey
from iam.domain.errors import BadExpiry, BadScope, WeakPassword
from iam.domain.password import POLICIES
from iam.domain.session import REUSE, RefreshToken, Session, Verdict, digest, judged
from iam.domain.signing import Rotation, SigningKey, next_from, outlived, signing
from iam.domain.succession import seal_successor, unseal_successor
from iam.domain.tenant import may_be_registered
from iam.domain.throttle import FORGOTTEN, FREE, LONGEST, Attempts, attempt

ROTATION = Rotation(
    signs_for=timedelta(days=30), published_ahead=timedelta(hours=1), kept_after=timedelta(hours=2)
)


@pytest.mark.parametrize("weak", ["short", "123456789012345"[:14], "passwordpassword", "x" * 1025])
def test_the_standard_policy_refuses(weak):
    with pytest.raises(WeakPassword):
        POLICIES["standard"].check(weak)


def test_the_standard_policy_refuses_the_own_address_as_password():
    with pytest.raises(WeakPassword):
        POLICIES["standard"].check("ANN@example.test.org", "ann@example.test.org")


@given(st.text(min_size=20, max_size=100))
def test_no_character_is_demanded_or_forbidden(text):
    made = POLICIES["compat"].check(text)
    assert POLICIES["compat"].check(made) == made


def test_the_compat_policy_takes_six_characters_and_no_fewer():
    assert POLICIES["compat"].check("abcdef") == "abcdef"
    with pytest.raises(WeakPassword):
        POLICIES["compat"].check("abcde")


@pytest.mark.parametrize("text", ["changeme", "ChangeMe", "admin", "adminadminadmin"])
def test_known_passwords_are_known_in_any_case_and_repeated(text):
    assert password.known(text)


def test_a_long_sentence_is_not_a_known_password():
    assert not password.known("adminadmin and something else")


def _token(make, **more):
    values = {"hash": b"h", "session": uuid4(), "issued_at": make.start}
    return RefreshToken(**(values | {"expires_at": make.start + timedelta(days=1)} | more))


@pytest.mark.parametrize(
    ("used", "later", "verdict"),
    [
        (None, timedelta(0), Verdict.ROTATE),
        (None, timedelta(days=1), Verdict.EXPIRED),
        (timedelta(0), REUSE, Verdict.REPEAT),
        (timedelta(0), REUSE + timedelta(microseconds=1), Verdict.REUSED),
        (timedelta(0), timedelta(days=2), Verdict.REUSED),
    ],
)
def test_a_refresh_token_is_judged_by_when_it_was_used(make, used, later, verdict):
    token = _token(make, used_at=None if used is None else make.start + used)
    assert judged(token, make.start + later) is verdict


@given(st.text(min_size=1), st.text())
def test_only_the_used_token_opens_its_successor(token, successor):
    sealed = seal_successor(token, successor)
    assert unseal_successor(token, sealed) == successor
    with pytest.raises(InvalidTag):
        unseal_successor(token + "x", sealed)


def test_what_is_kept_of_a_refresh_token_is_its_digest():
    assert len(digest("t")) == 32
    assert digest("t") != digest("u")


def test_an_access_token_says_who_and_where_but_not_what_they_may_do(make):
    at, token = make.start, uuid4()
    times = {"created_at": at, "seen_at": at, "expires_at": at}
    who = {"id": uuid4(), "user": uuid4(), "tenant": uuid4(), "amr": ("pwd",)}
    session = Session(**who, ip="", user_agent="", **times)
    claims = make.issuer.claims(session, at, token)
    assert claims["sub"] == str(session.user)
    assert claims["tid"] == str(session.tenant)
    assert claims["sid"] == str(session.id)
    assert claims["exp"] - claims["iat"] == 600
    assert claims["jti"] == str(token)
    assert set(claims) == {*("iss", "aud", "sub", "client_id", "tid", "sid", "iat", "exp", "jti")}


def test_an_ended_session_is_remembered_longer_than_its_tokens_live(make):
    kept = make.issuer.forgotten_after(make.start) - make.start
    assert kept > make.issuer.lifetimes.access + timedelta(seconds=30)


def test_ending_a_session_twice_keeps_the_first_end(make):
    session = Session(
        id=uuid4(),
        user=uuid4(),
        tenant=uuid4(),
        amr=("pwd",),
        ip="",
        user_agent="",
        created_at=make.start,
        seen_at=make.start,
        expires_at=make.start + timedelta(days=1),
    )
    ended = session.ended(make.start)
    assert ended.ended(make.start + timedelta(hours=1)) == ended
    assert not ended.live(make.start)


def _key(make, **more):
    version = Version(hash="0", prefix="p0", created_at=make.start)
    values = {
        "id": uuid4(),
        "tenant": uuid4(),
        "owner": uuid4(),
        "maker": uuid4(),
        "name": "k",
        "kind": "server",
        "environment": "production",
        "project": "default",
        "scopes": api_key.SMALLEST,
        "created_at": make.start,
        "expires_at": None,
        "versions": (version,),
    }
    return ApiKey(**(values | more))


@given(st.lists(st.integers(0, 7200), min_size=1, max_size=6))
def test_however_often_a_key_is_rotated_at_most_two_texts_are_live(make, overlaps):
    key, now = _key(make), make.start
    for n, overlap in enumerate(overlaps, 1):
        now += timedelta(minutes=1)
        newest = Version(hash=str(n), prefix=f"p{n}", created_at=now)
        key = key.rotated(newest, timedelta(seconds=overlap))
        live = [v for v in key.versions if v.live(now)]
        assert live[-1] == newest
        assert len(live) <= api_key.LIVE_VERSIONS


def test_a_key_ends_with_itself_or_with_its_text_whichever_is_first(make):
    soon, late = make.start + timedelta(hours=1), make.start + timedelta(days=1)
    version = Version(hash="0", prefix="p", created_at=make.start, expires_at=late)
    assert LiveKey(_key(make, expires_at=soon), version).expires_at == soon
    assert LiveKey(_key(make), version).expires_at == late
    assert LiveKey(_key(make), Version(hash="0", prefix="p", created_at=late)).expires_at is None


def test_the_default_scope_of_a_key_is_the_least_of_use():
    assert scopes_for("server", None, frozenset({"flag:delete"})) == {"flag:evaluate"}
    assert scopes_for("management", None, frozenset({"flag:delete"})) == {"flag:delete"}


@pytest.mark.parametrize(
    ("kind", "scopes"),
    [("client", ["flag:read"]), ("server", ["flag:delete"]), ("server", ["no"]), ("client", [])],
)
def test_scopes_beyond_the_kind_are_refused(kind, scopes):
    with pytest.raises(BadScope):
        scopes_for(kind, scopes, frozenset())


def test_an_alias_is_stored_as_the_permission_it_means():
    assert scopes_for("management", ["toggle_feature_flags"], frozenset()) == {"flag:toggle"}


def test_a_key_is_not_born_dead(make):
    with pytest.raises(BadExpiry):
        check_expiry(make.start, make.start)
    check_expiry(None, make.start)


def test_the_shown_part_of_a_key_is_not_its_secret():
    key_id, text = apikeys.mint("server")
    prefix = apikeys.prefix_of(text)
    assert prefix == f"sy_srv_{key_id}"
    assert len(text) - len(prefix) > 32


@pytest.mark.parametrize("bad", ["platform", "www", "-a", "a-", "A", "a.b", "", "x" * 64, "ä"])
def test_subdomains_that_the_public_cannot_have(bad):
    assert not may_be_registered(bad)


@pytest.mark.parametrize("good", ["a", "acme", "a-1", "0x", "x" * 63])
def test_subdomains_that_the_public_can_have(good):
    assert may_be_registered(good)


def _signing(make, kid, **after):
    at = make.start + timedelta(**after)
    return SigningKey(kid=kid, jwk="{}", sealed=b"", created_at=make.start, signs_from=at)


def test_the_first_key_signs_at_once(make):
    assert next_from([], ROTATION, make.start) == make.start
    assert signing([], make.start) is None


def test_the_next_key_is_published_before_it_signs(make):
    keys = [_signing(make, "a")]
    assert next_from(keys, ROTATION, make.start + timedelta(days=29)) is None
    due = next_from(keys, ROTATION, make.start + timedelta(days=29, hours=23))
    assert due == make.start + timedelta(days=30)
    late = make.start + timedelta(days=90)
    assert next_from(keys, ROTATION, late) == late + ROTATION.published_ahead


def test_a_published_key_does_not_sign_before_its_time(make):
    keys = [_signing(make, "a"), _signing(make, "b", days=30)]
    assert signing(keys, make.start + timedelta(days=29)).kid == "a"
    assert signing(keys, make.start + timedelta(days=30)).kid == "b"


def test_an_old_key_stays_until_its_last_token_has_expired(make):
    keys = [_signing(make, "a"), _signing(make, "b", days=30)]
    assert outlived(keys, ROTATION, make.start + timedelta(days=30, hours=1)) == []
    gone = outlived(keys, ROTATION, make.start + timedelta(days=30, hours=2))
    assert [key.kid for key in gone] == ["a"]


@given(st.integers(1, 60))
def test_pauses_between_attempts_grow_and_never_exceed_the_longest(tries):
    state, now, waits = Attempts(), 0.0, []
    for _ in range(tries):
        state, wait = attempt(state, now)
        assert wait == 0.0
        waits.append(state.next - now)
        now = state.next
    assert waits == sorted(waits)
    assert waits[: FREE - 1] == [0.0] * min(tries, FREE - 1)
    assert max(waits) <= LONGEST


def test_an_attempt_during_the_pause_is_refused_and_does_not_lengthen_it():
    state = Attempts(count=FREE + 3, next=10.0)
    assert attempt(state, 4.0) == (state, 6.0)


def test_old_attempts_are_forgotten():
    state, wait = attempt(Attempts(count=50, next=0.0), FORGOTTEN + 1)
    assert (state.count, wait) == (1, 0.0)
