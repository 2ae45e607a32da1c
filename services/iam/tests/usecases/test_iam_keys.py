from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from authz import apikeys
from chassis.errors import Forbidden
from chassis.pages import PageAsk
from iam.domain.authority import Kind
from iam.domain.errors import (
    BadExpiry,
    KeepsOldKeys,
    KeyNotFound,
    KeyNotLive,
    KeyStale,
    MoreThanYouHold,
)
from iam.domain.grants import Grant
from iam.domain.signing import signing
from iam.usecases.api_keys import NewKey

HOUR = timedelta(hours=1)


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", roles=["admin"])


@pytest.fixture
def ann(iam, boss):
    return iam.user(iam.world.tenants[boss.tenant], roles=["developer"])


async def test_a_key_is_shown_once_and_only_its_digest_is_kept(iam, boss, make):
    key, text = await iam.keys.create(make.caller(boss), NewKey(name="ci"))
    assert apikeys.well_formed(text)
    assert text not in repr(iam.world)
    assert key.versions[0].hash == apikeys.digest(text)
    assert (key.kind, key.environment, key.scopes) == ("server", "production", {"flag:evaluate"})
    assert [c.id for c in iam.world.changes] == [key.versions[0].hash]
    assert (await iam.replicas.resolve(apikeys.digest(text))).key == key


async def test_a_key_of_the_tenant_needs_a_permission_and_ones_own_does_not(iam, ann, make):
    with pytest.raises(Forbidden, match="api_key:create"):
        await iam.keys.create(make.caller(ann), NewKey(name="k"))
    key, _ = await iam.keys.create(make.caller(ann), NewKey(name="k", kind="management"))
    assert key.scopes == ann.permissions
    assert key.environment == ""


async def test_no_key_can_do_more_than_its_maker(iam, ann, make):
    new = NewKey(name="k", kind="management", scopes=["user:delete"])
    with pytest.raises(MoreThanYouHold):
        await iam.keys.create(make.caller(ann), new)


async def test_a_key_that_would_be_born_dead_is_refused(iam, boss, make):
    with pytest.raises(BadExpiry):
        await iam.keys.create(make.caller(boss), NewKey(name="k", expires_at=iam.clock()))


async def test_one_sees_ones_own_keys_and_administrators_see_all(iam, ann, boss, make):
    own, _ = await iam.keys.create(make.caller(ann), NewKey(name="a", kind="management"))
    other, _ = await iam.keys.create(make.caller(boss), NewKey(name="b"))
    assert [k.id for k in (await iam.keys.list(make.caller(ann), PageAsk())).items] == [own.id]
    assert (await iam.keys.list(make.caller(boss), PageAsk())).total == 2
    assert (await iam.keys.get(make.caller(boss), own.id)).id == own.id
    for verb in (iam.keys.get(make.caller(ann), other.id), iam.keys.get(make.caller(ann), uuid4())):
        with pytest.raises(KeyNotFound):
            await verb


async def test_nobody_rotates_a_key_that_reaches_further_than_they_do(iam, boss, make):
    grants = (Grant("admin"), Grant("viewer", "platform"))
    far = iam.user(iam.world.tenants[boss.tenant], "far@acme.test", grants=grants)
    new = NewKey(name="k", kind="management", scopes=["flag:read"])
    key, _ = await iam.keys.create(make.caller(far), new)
    with pytest.raises(MoreThanYouHold, match="in every tenant"):
        await iam.keys.rotate(make.caller(boss), key.id, HOUR)
    assert (await iam.keys.get(make.caller(far), key.id)).version == 1
    near = replace(new, scopes=["user:read"])
    key, _ = await iam.keys.create(make.caller(far), near)
    assert await iam.keys.rotate(make.caller(boss), key.id, HOUR)


async def test_while_a_key_is_rotated_both_texts_hold(iam, boss, make):
    key, first = await iam.keys.create(make.caller(boss), NewKey(name="k"))
    iam.clock.forward(minutes=1)
    _, second = await iam.keys.rotate(make.caller(boss), key.id, HOUR)
    for text in (first, second):
        assert await iam.replicas.resolve(apikeys.digest(text))
    iam.clock.forward(hours=1)
    with pytest.raises(KeyNotFound):
        await iam.replicas.resolve(apikeys.digest(first))
    assert await iam.replicas.resolve(apikeys.digest(second))


async def test_a_revoked_key_is_gone_with_all_its_texts(iam, boss, make):
    key, first = await iam.keys.create(make.caller(boss), NewKey(name="k"))
    await iam.keys.rotate(make.caller(boss), key.id, HOUR)
    with pytest.raises(KeyStale):
        await iam.keys.revoke(make.caller(boss), key.id, 1)
    await iam.keys.revoke(make.caller(boss), key.id, 2)
    assert len({c.id for c in iam.world.changes if c.kind is Kind.API_KEY}) == 2
    with pytest.raises(KeyNotFound):
        await iam.replicas.resolve(apikeys.digest(first))
    assert iam.world.actions() == ["api_key.created", "api_key.rotated", "api_key.revoked"]


async def test_an_expired_key_is_not_brought_back_by_rotation(iam, boss, make):
    new = NewKey(name="k", expires_at=iam.clock() + HOUR)
    key, text = await iam.keys.create(make.caller(boss), new)
    iam.clock.forward(hours=1)
    with pytest.raises(KeyNotFound):
        await iam.replicas.resolve(apikeys.digest(text))
    with pytest.raises(KeyNotLive):
        await iam.keys.rotate(make.caller(boss), key.id, HOUR)


def by_key(make, owner, key, scopes):
    """Return who asks with a key of the owner's."""
    own = str(key.id)
    return make.caller(
        owner, kind="api_key", subject=own, credential=own, permissions=frozenset(scopes)
    )


async def test_a_management_key_makes_keys_for_its_owner_if_it_may(iam, boss, make):
    scopes = ["api_key:create", "flag:evaluate"]
    key, _ = await iam.keys.create(
        make.caller(boss), NewKey(name="m", kind="management", scopes=scopes)
    )
    asking = by_key(make, boss, key, scopes)
    made, _ = await iam.keys.create(asking, NewKey(name="child"))
    assert made.owner == made.maker == boss.id
    with pytest.raises(Forbidden, match="api_key:read"):
        await iam.keys.list(asking, PageAsk())


async def test_no_key_outlives_the_key_that_made_it(iam, boss, make):
    ends, scopes = iam.clock() + HOUR, ["api_key:create", "flag:evaluate"]
    new = NewKey(name="m", kind="management", scopes=scopes, expires_at=ends)
    key, _ = await iam.keys.create(make.caller(boss), new)
    asking = by_key(make, boss, key, scopes)
    child, _ = await iam.keys.create(asking, NewKey(name="child"))
    assert child.expires_at == ends
    sooner = ends - HOUR / 2
    child, _ = await iam.keys.create(asking, NewKey(name="child", expires_at=sooner))
    assert child.expires_at == sooner
    with pytest.raises(BadExpiry, match="no later"):
        await iam.keys.create(asking, NewKey(name="child", expires_at=ends + HOUR))


async def test_the_first_key_signs_at_once_and_every_replica_decides_the_same(iam):
    iam.world.signing_keys.clear()
    await iam.signing.turn()
    await iam.signing.turn()
    (key,) = iam.world.signing_keys.values()
    assert signing([key], iam.clock()) == key
    assert [p["kid"] for p in iam.ring.published()] == [key.kid]
    assert "d" not in iam.ring.published()[0]
    assert iam.world.actions() == ["signing_key.created"]


async def test_keys_follow_one_another_without_a_gap(iam):
    iam.world.signing_keys.clear()
    await iam.signing.turn()
    (first,) = iam.world.signing_keys
    iam.clock.forward(days=29, hours=23, minutes=30)
    await iam.signing.turn()
    assert len(iam.ring.published()) == 2
    assert signing(list(iam.world.signing_keys.values()), iam.clock()).kid == first
    iam.clock.forward(hours=3)
    await iam.signing.turn()
    assert first not in iam.world.signing_keys
    assert len(iam.ring.published()) == 1
    assert iam.ring.sign({})


async def test_after_a_change_of_the_secret_a_new_key_is_made_and_the_old_one_still_verifies(iam):
    from iam.clients.seal import AesSealer

    iam.world.signing_keys.clear()
    await iam.signing.turn()
    iam.ring._sealer = AesSealer("another secret", "test")
    iam.ring._private.clear()
    await iam.signing.turn()
    assert len(iam.ring.published()) == 2
    assert iam.ring.sign({})


async def test_the_first_administrator_is_made_once(iam):
    _, key = apikeys.mint("server")
    for _ in range(2):
        await iam.bootstrap.begin("changeme", key)
    (root,) = iam.world.users.values()
    assert (root.username, root.roles, root.platform) == ("root", ("super_admin",), True)
    assert (await iam.replicas.resolve(apikeys.digest(key))).key.owner == root.id
    made = ["tenant.created", "project.created", "user.created", "api_key.created"]
    assert iam.world.actions() == made


async def test_without_a_password_there_is_no_administrator(iam):
    await iam.bootstrap.begin(None, None)
    assert iam.world.users == {}


async def test_a_password_that_everybody_knows_is_said_aloud(iam, caplog):
    await iam.bootstrap.begin("changeme", None)
    assert "everybody knows" in caplog.text
    caplog.clear()
    await iam.bootstrap.begin("correct horse battery", None)
    assert "everybody knows" not in caplog.text


async def test_a_first_administrator_with_another_name_is_still_the_first(iam):
    await iam.bootstrap.begin("changeme", None)
    [root] = iam.world.users.values()
    iam.world.users[root.id] = replace(root, username="ada", email="ada@acme.test")
    await iam.bootstrap.begin("changeme", apikeys.mint("server")[1])
    assert [user.username for user in iam.world.users.values()] == ["ada"]
    assert [key.owner for key in iam.world.keys.values()] == [root.id]


async def test_a_deleted_first_administrator_does_not_come_back(iam):
    await iam.bootstrap.begin("changeme", None)
    [root] = iam.world.users.values()
    iam.world.users[root.id] = replace(root, deleted_at=root.created_at)
    ada = iam.user(iam.world.tenants[root.tenant], "ada@acme.test", roles=["super_admin"])
    await iam.bootstrap.begin("changeme", None)
    assert set(iam.world.users) == {root.id, ada.id}


async def test_a_key_made_by_command_signs_when_every_verifier_can_have_heard_of_it(iam):
    iam.world.signing_keys.clear()
    await iam.signing.turn()
    (first,) = iam.world.signing_keys
    planned = await iam.signing.rotate(at_once=False, revoke_old=False, reason="yearly")
    soon = await iam.signing.rotate(at_once=True, revoke_old=False, reason="")
    await iam.signing.turn()
    assert {key["kid"] for key in iam.ring.published()} == {first, planned.kid, soon.kid}

    def signs():
        return signing(list(iam.world.signing_keys.values()), iam.clock()).kid

    assert signs() == first
    iam.clock.forward(seconds=15)
    assert signs() == soon.kid
    iam.clock.forward(hours=1)
    assert signs() == planned.kid
    await iam.signing.turn()
    assert first in iam.world.signing_keys  # tokens signed with it may still hold
    assert iam.world.facts[1].reason == "yearly"


async def test_in_an_emergency_only_the_new_key_is_left_and_signs_at_once(iam):
    iam.world.signing_keys.clear()
    await iam.signing.turn()
    (first,) = iam.world.signing_keys
    await iam.signing.rotate(at_once=False, revoke_old=False, reason="")
    made = await iam.signing.rotate(at_once=True, revoke_old=True, reason="a leaked backup")
    assert set(iam.world.signing_keys) == {made.kid}
    assert signing([made], iam.clock()) == made
    assert signing([made], iam.clock() - timedelta(minutes=5)) == made  # by a clock that is behind
    await iam.signing.turn()
    assert [key["kid"] for key in iam.ring.published()] == [made.kid]
    revoked = [f for f in iam.world.facts if f.action == "signing_key.revoked"]
    assert (len(revoked), {f.reason for f in revoked}) == (2, {"a leaked backup"})
    told = {change.id for change in iam.world.changes if change.kind == "signing_key"}
    assert {first, made.kid} <= told


async def test_old_keys_are_not_revoked_while_nothing_else_could_sign(iam):
    with pytest.raises(KeepsOldKeys, match="--now"):
        await iam.signing.rotate(at_once=False, revoke_old=True, reason="")
    assert iam.world.signing_keys == {}
