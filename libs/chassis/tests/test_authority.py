"""The replica of iam's authority, and who it says is asking."""

import asyncio
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import grpc
import pytest
from grpc import aio

from authz import apikeys
from authz.queue import EACH
from authz.standing import Thing
from chassis.authority import PRUNE, Authority, stamp
from chassis.caller import Caller
from chassis.errors import Forbidden, NotFound, Unavailable
from chassis.facts import Actor
from chassis.identity import (
    ON_ITS_WAY,
    BadEpoch,
    BadKey,
    Identity,
    NoAuthority,
    NoCredential,
    NotThatFresh,
    TwoCredentials,
)
from chassis.tokens import BadToken, Verifier
from switchyard.iam.v1 import iam_pb2 as pb

USER, TENANT = str(UUID(int=1)), str(UUID(int=2))


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Iam:
    """The calls that an identity makes."""

    def __init__(self):
        self.answer = grpc.StatusCode.NOT_FOUND
        self.asked = []
        self.standing = None

    async def Check(self, request, timeout):
        assert request.with_authority
        assert timeout <= 1
        if self.standing is not None:
            return pb.CheckResponse(allowed=True, authority=self.standing)
        raise aio.AioRpcError(self.answer, aio.Metadata(), aio.Metadata())

    async def ResolveKey(self, request, timeout):
        self.asked.append(request.hash)
        if isinstance(self.answer, pb.ApiKey):
            return self.answer
        raise aio.AioRpcError(self.answer, aio.Metadata(), aio.Metadata())


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def iam():
    return Iam()


def subject(**changes):
    made = {"id": USER, "tenant_id": TENANT, "active": True, "name": "ana"}
    return pb.SnapshotEvent(subject=pb.Subject(**made | changes))


async def told(authority, *events):
    authority.begin()
    for event in events:
        await authority.apply(event)
    await authority.apply(pb.SnapshotEvent(epoch=7, ready=pb.Ready()))


@pytest.fixture
async def authority(signer, clock):
    made = Authority(clock)
    key = pb.SnapshotEvent(signing_key=pb.SigningKey(kid="k1", jwk=signer.jwk))
    tenant = pb.SnapshotEvent(tenant=pb.Tenant(id=TENANT, slug="acme", active=True))
    await told(made, key, tenant, subject(permissions=["flag:read", "flag:toggle"]))
    return made


@pytest.fixture
def identity(authority, iam, signer):
    return Identity(
        authority, Verifier("http://issuer.test", "switchyard"), iam, lambda: signer.now
    )


def bearer(token):
    return {"authorization": f"Bearer {token}"}


def api_key(key, **changes):
    made = {
        "hash": apikeys.digest(key),
        "id": "key-1",
        "tenant_id": TENANT,
        "kind": "server",
        "environment": "production",
        "scopes": ["flag:evaluate"],
    }
    return pb.ApiKey(**made | changes)


class TestReplica:
    async def test_a_state_is_taken_over_only_when_it_is_whole(self, authority):
        authority.begin()
        await authority.apply(subject(id="someone-else"))
        assert set(authority.state.subjects) == {USER}
        await authority.apply(pb.SnapshotEvent(epoch=9, ready=pb.Ready()))
        assert set(authority.state.subjects) == {"someone-else"}
        assert authority.epoch == 9

    async def test_a_batch_is_what_is_in_it(self, authority, signer):
        key = pb.SigningKey(kid="k2", jwk=signer.jwk)
        inside = [subject(), subject(id="b"), pb.SnapshotEvent(signing_key=key)]
        authority.begin()
        await authority.apply(pb.SnapshotEvent(epoch=9, batch=pb.Batch(events=inside)))
        await authority.apply(pb.SnapshotEvent(epoch=9, ready=pb.Ready()))
        assert set(authority.state.subjects) == {USER, "b"}
        assert set(authority.state.signing_keys) == {"k2"}

    async def test_what_is_gone_is_forgotten(self, authority):
        gone = pb.Gone(kind=pb.KIND_SUBJECT, id=USER)
        await authority.apply(pb.SnapshotEvent(gone=gone))
        assert authority.state.subjects == {}

    async def test_sessions_whose_tokens_have_expired_are_forgotten_in_time(self, authority):
        long_ago, tomorrow = pb.Session(), pb.Session()
        long_ago.until.FromSeconds(1)
        tomorrow.until.FromSeconds(int(time.time()) + 86_400)
        for n in range(PRUNE + 5):
            old = n % 2 == 0
            (long_ago if old else tomorrow).sid = f"s{n}"
            event = pb.SnapshotEvent(session=long_ago if old else tomorrow)
            await authority.apply(event)
        assert len(authority.state.ended) < PRUNE
        assert "s1" in authority.state.ended

    async def test_only_a_change_of_signing_keys_makes_verified_tokens_doubtful(self, authority):
        before = authority.signing_generation
        await authority.apply(subject(id="new"))
        assert authority.signing_generation == before
        gone = pb.Gone(kind=pb.KIND_SIGNING_KEY, id="k1")
        await authority.apply(pb.SnapshotEvent(gone=gone))
        assert authority.signing_generation == before + 1

    async def test_it_says_how_old_it_is(self, authority, clock):
        assert authority.fresh
        clock.now += 6
        assert not authority.fresh
        assert authority.usable
        await authority.apply(pb.SnapshotEvent(heartbeat=pb.Heartbeat()))
        assert authority.fresh
        clock.now += 901
        assert not authority.usable

    def test_before_the_first_state_it_is_of_no_use(self):
        assert not Authority().usable

    async def test_one_who_waits_for_news_gets_them(self, authority):
        waiting = asyncio.create_task(authority.until(lambda s: "new" in s.subjects, 5))
        await asyncio.sleep(0)
        await authority.apply(subject(id="new"))
        assert await waiting
        assert not await authority.until(lambda s: "other" in s.subjects, 0.01)


class TestTokens:
    async def test_a_user_is_known_by_the_token(self, identity, signer):
        caller = await identity.of(bearer(signer.sign()))
        assert (caller.subject, caller.name, caller.kind) == (USER, "ana", "user")
        assert caller.permissions == {"flag:read", "flag:toggle"}
        assert caller.credential == "s1"

    async def test_a_scope_narrows_and_never_widens(self, identity, signer):
        caller = await identity.of(bearer(signer.sign(scope="flag:read vm:delete")))
        assert caller.permissions == {"flag:read"}
        assert (caller.account, caller.scope) == (USER, {"flag:read", "vm:delete"})
        assert (await identity.of(bearer(signer.sign()))).scope is None

    async def test_an_ended_session_is_out_even_if_its_token_was_verified_before(
        self, identity, authority, signer
    ):
        token = bearer(signer.sign())
        await identity.of(token)
        await authority.apply(pb.SnapshotEvent(session=pb.Session(sid="s1")))
        with pytest.raises(BadToken, match="session"):
            await identity.of(token)

    async def test_a_withdrawn_key_ends_the_tokens_it_signed(self, identity, authority, signer):
        token = bearer(signer.sign())
        await identity.of(token)
        gone = pb.Gone(kind=pb.KIND_SIGNING_KEY, id="k1")
        await authority.apply(pb.SnapshotEvent(gone=gone))
        with pytest.raises(BadToken, match="withdrawn"):
            await identity.of(token)

    async def test_a_remembered_token_still_expires(self, identity, signer):
        token = bearer(signer.sign(exp=int(signer.now) + 5))
        await identity.of(token)
        identity.clock = lambda: signer.now + 60
        with pytest.raises(BadToken, match="expired"):
            await identity.of(token)

    @pytest.mark.parametrize("changes", [{"active": False}, {"tenant_id": str(UUID(int=3))}])
    async def test_a_disabled_or_moved_account_is_out(self, identity, authority, signer, changes):
        await authority.apply(subject(**changes))
        with pytest.raises(BadToken, match="disabled"):
            await identity.of(bearer(signer.sign()))

    async def test_a_disabled_organization_is_out(self, identity, authority, signer):
        off = pb.Tenant(id=TENANT, slug="acme", active=False)
        await authority.apply(pb.SnapshotEvent(tenant=off))
        with pytest.raises(BadToken, match="organization"):
            await identity.of(bearer(signer.sign()))

    async def test_an_account_made_a_moment_ago_is_waited_for(self, identity, authority, signer):
        new = str(uuid4())
        asking = asyncio.create_task(identity.of(bearer(signer.sign(sub=new))))
        await asyncio.sleep(0.01)
        await authority.apply(subject(id=new, name="new"))
        assert (await asking).name == "new"

    async def test_an_unknown_account_is_refused_or_undecidable(
        self, identity, clock, signer, monkeypatch
    ):
        monkeypatch.setattr("chassis.identity.WAITED_FOR", 0.1)
        token = bearer(signer.sign(sub="nobody"))
        with pytest.raises(NoAuthority, match="yet"):  # iam has made it a moment ago
            await identity.of(token)
        signer.now += ON_ITS_WAY
        with pytest.raises(BadToken, match="gone"):
            await identity.of(token)
        clock.now += 10
        with pytest.raises(NoAuthority):
            await identity.of(token)

    async def test_nobody_is_believed_when_iam_has_been_silent_for_too_long(
        self, identity, clock, signer
    ):
        clock.now += 16 * 60
        with pytest.raises(Unavailable):
            await identity.of(bearer(signer.sign()))


class TestKeys:
    @pytest.fixture
    def key(self):
        return apikeys.mint("server")[1]

    @pytest.mark.parametrize("form", [{"x-api-key": "{}"}, {"authorization": "Bearer {}"}])
    async def test_a_known_key_is_believed_in_both_headers(self, identity, authority, key, form):
        await authority.apply(pb.SnapshotEvent(api_key=api_key(key)))
        caller = await identity.of({name: value.format(key) for name, value in form.items()})
        assert (caller.kind, caller.environment) == ("api_key", "production")
        assert caller.permissions == {"flag:evaluate"}

    async def test_a_key_that_iam_knows_but_we_not_yet_is_asked_for(self, identity, iam, key):
        iam.answer = api_key(key)
        assert (await identity.of({"x-api-key": key})).credential == "key-1"

    async def test_an_unknown_key_is_refused(self, identity, key):
        with pytest.raises(BadKey, match="unknown"):
            await identity.of({"x-api-key": key})

    async def test_an_unknown_key_is_undecidable_while_iam_is_away(self, identity, iam, key):
        iam.answer = grpc.StatusCode.UNAVAILABLE
        with pytest.raises(NoAuthority):
            await identity.of({"x-api-key": key})

    async def test_a_mistyped_key_is_refused_without_asking(self, identity, iam, key):
        with pytest.raises(BadKey, match="copying"):
            await identity.of({"x-api-key": key[:-1] + ("a" if key[-1] != "a" else "b")})
        assert iam.asked == []

    async def test_an_expired_key_is_refused(self, identity, authority, key):
        expired = api_key(key)
        expired.expires_at.FromSeconds(1000)
        await authority.apply(pb.SnapshotEvent(api_key=expired))
        with pytest.raises(BadKey, match="expired"):
            await identity.of({"x-api-key": key})

    async def test_a_server_key_has_nobodys_authority_and_only_its_scopes(
        self, identity, authority, key
    ):
        await authority.apply(pb.SnapshotEvent(api_key=api_key(key)))
        caller = await identity.of({"x-api-key": key})
        assert (caller.account, caller.scope) == ("", caller.permissions)

    async def test_a_management_key_does_what_its_subject_may_within_its_scopes(
        self, identity, authority, key
    ):
        made = api_key(key, kind="management", subject_id=USER, scopes=["flag:read", "vm:delete"])
        await authority.apply(pb.SnapshotEvent(api_key=made))
        caller = await identity.of({"x-api-key": key})
        assert caller.permissions == {"flag:read"}
        assert (caller.account, caller.scope) == (USER, {"flag:read", "vm:delete"})
        await authority.apply(subject(active=False))
        with pytest.raises(BadKey, match="account"):
            await identity.of({"x-api-key": key})

    async def test_a_key_of_an_account_acts_in_the_accounts_name(self, identity, authority, key):
        made = api_key(key, kind="management", subject_id=USER, scopes=["flag:read", "vm:delete"])
        await authority.apply(pb.SnapshotEvent(api_key=made))
        account = subject(kind="service_account", name="sa_ci", permissions=["flag:read"])
        await authority.apply(account)
        caller = await identity.of({"x-api-key": key})
        assert (caller.kind, caller.subject, caller.name) == ("service_account", USER, "sa_ci")
        assert (caller.account, caller.credential, caller.key_kind) == (USER, "key-1", "management")
        assert caller.permissions == {"flag:read"}
        actor = Actor.of(caller)
        assert (actor.type, actor.id, actor.on_behalf_of) == ("service_account", USER, "")


async def test_two_credentials_say_two_things(identity, signer):
    with pytest.raises(TwoCredentials):
        await identity.of({"x-api-key": "sy_x", **bearer(signer.sign())})


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic abc"}, {"authorization": ""}])
async def test_no_credential_is_nobody(identity, headers):
    with pytest.raises(NoCredential):
        await identity.of(headers)


def binding(**more):
    made = {"role": "dev", "level": pb.LEVEL_TENANT, "where": TENANT, "masks": {"flag": 7}}
    return pb.Binding(**made | more)


def project(*principals, mask=255):
    packed_ = b"".join(UUID(p).bytes for p in principals)
    entry = pb.AclEntry(mask=mask, principals=packed_)
    made = pb.Project(id=str(UUID(int=8)), tenant_id=TENANT, slug="shop", acl=[entry])
    return pb.SnapshotEvent(project=made)


class TestBindings:
    async def test_bindings_decide_and_not_what_is_said_to_follow_from_them(
        self, identity, authority, signer
    ):
        await authority.apply(subject(permissions=["vm:delete"], bindings=[binding()]))
        caller = await identity.of(bearer(signer.sign()))
        assert caller.permissions == {"flag:read"}
        assert not caller.may("vm:delete")

    async def test_a_binding_of_a_kind_that_we_do_not_know_gives_nothing(
        self, identity, authority, signer
    ):
        await authority.apply(subject(bindings=[binding(level=9), binding(masks={"vm": 7})]))
        caller = await identity.of(bearer(signer.sign()))
        assert caller.permissions == {"vm:read"}

    async def test_a_role_that_ends_while_the_token_lives_ends(self, identity, authority, signer):
        held = binding()
        held.expires_at.FromSeconds(int(signer.now) + 60)
        await authority.apply(subject(bindings=[held]))
        token = bearer(signer.sign())
        assert (await identity.of(token)).may("flag:read")
        identity.clock = lambda: signer.now + 61
        assert not (await identity.of(token)).may("flag:read")

    async def test_groups_and_lists_of_projects_reach_every_service(
        self, identity, authority, signer
    ):
        group = str(UUID(int=7))
        token = bearer(signer.sign())
        edge = pb.Membership(id="m", tenant_id=TENANT, principal_id=USER, group_id=group)
        await authority.apply(pb.SnapshotEvent(membership=edge))
        await authority.apply(project(group))
        caller = await identity.of(token)
        assert caller.may("vm:delete", Thing(project="shop"))
        caller.must("vm:delete", project="shop")
        with pytest.raises(Forbidden, match="vm:delete required"):
            caller.must("vm:delete")
        gone = pb.Gone(kind=pb.KIND_MEMBERSHIP, id="m")
        await authority.apply(pb.SnapshotEvent(gone=gone))
        assert not (await identity.of(token)).may("vm:delete", Thing(project="shop"))
        await authority.apply(project(USER))
        assert (await identity.of(token)).may("vm:delete", Thing(project="shop"))
        gone = pb.Gone(kind=pb.KIND_PROJECT, id=str(UUID(int=8)))
        await authority.apply(pb.SnapshotEvent(gone=gone))
        assert not (await identity.of(token)).may("vm:delete", Thing(project="shop"))

    async def test_a_guest_is_called_what_they_are_there(self, identity, authority, signer):
        away, later = str(UUID(int=3)), stamp(datetime.fromtimestamp(signer.now + 60, UTC))
        bound = [binding(role="admin"), binding(role="viewer", where=away)]
        bound += [binding(role="developer", where=away, not_before=later)]
        bound += [binding(role="analyst", level=pb.LEVEL_PROJECT, where="shop", tenant_id=away)]
        guest = subject(roles=["admin"], bindings=bound, member_of=[away])
        await authority.apply(guest)
        caller = await identity.of(bearer(signer.sign(tid=away)))
        assert caller.roles == ("viewer",)
        assert (await identity.of(bearer(signer.sign()))).roles == ("admin",)

    async def test_a_guest_is_out_with_their_own_organization(self, identity, authority, signer):
        away = str(UUID(int=3))
        for id_, active in ((away, True), (TENANT, False)):
            tenant = pb.Tenant(id=id_, slug="x", active=active)
            await authority.apply(pb.SnapshotEvent(tenant=tenant))
        await authority.apply(subject(bindings=[binding(where=away)], member_of=[away]))
        with pytest.raises(BadToken, match="organization"):
            await identity.of(bearer(signer.sign(tid=away)))

    async def test_a_guest_has_what_the_tenant_of_the_token_gave(self, identity, authority, signer):
        away = str(UUID(int=3))
        given = binding(where=away, masks={"vm": 7})
        await authority.apply(subject(bindings=[binding(), given], member_of=[away]))
        caller = await identity.of(bearer(signer.sign(tid=away)))
        assert (caller.tenant, caller.permissions) == (UUID(away), {"vm:read"})


class TestTwoSteps:
    """What a caller is told about a thing, before and after it is known whose it is."""

    def caller(self, *permissions, **more):
        return Caller(subject="me", tenant=UUID(int=2), permissions=frozenset(permissions), **more)

    def over(self, caller, owner):
        caller.must_for_some("flag:update")
        caller.must_over("flag:update", Thing(owner, id="f"), NotFound("no such flag"))

    def test_who_could_not_do_it_to_their_own_is_refused_before_anything_is_looked_up(self):
        with pytest.raises(Forbidden, match="flag:update required"):
            self.caller("flag:read").must_for_some("flag:update")

    def test_the_owner_may_what_another_may_not(self):
        maker = self.caller("flag:create")
        self.over(maker, "me")
        with pytest.raises(NotFound, match="no such flag") as refused:
            self.over(maker, "you")
        assert refused.value.needed == "flag:update"
        with pytest.raises(Forbidden, match="flag:update required"):
            self.over(self.caller("flag:create", "flag:read"), "you")

    def test_a_key_of_somebody_owns_what_they_own(self):
        key = self.caller("flag:create", account="ann", kind="api_key")
        assert key.owner == "ann"
        self.over(key, "ann")

    def test_whoever_may_not_see_all_sees_their_own(self):
        assert self.caller("flag:read").must_or_own("flag:read") is None
        assert self.caller("flag:create").must_or_own("flag:read") == "me"
        with pytest.raises(Forbidden):
            self.caller("vm:read").must_or_own("flag:read")


class TestFreshness:
    """X-Authz-Epoch: decide by nothing older than this."""

    def asking(self, signer, epoch):
        return bearer(signer.sign()) | {"x-authz-epoch": epoch}

    async def test_who_asks_for_what_is_known_waits_for_nothing(self, identity, signer):
        assert (await identity.of(self.asking(signer, "7"))).name == "ana"

    async def test_who_asks_for_more_waits_until_it_is_known(self, identity, authority, signer):
        asking = asyncio.create_task(identity.of(self.asking(signer, "9")))
        await asyncio.sleep(0)
        assert not asking.done()
        event = subject(permissions=["flag:read"])
        event.epoch = 9
        await authority.apply(event)
        assert (await asking).permissions == {"flag:read"}

    async def test_a_heartbeat_is_news_enough(self, identity, authority, signer):
        asking = asyncio.create_task(identity.of(self.asking(signer, "9")))
        await asyncio.sleep(0)
        await authority.apply(pb.SnapshotEvent(epoch=9, heartbeat=pb.Heartbeat()))
        assert (await asking).name == "ana"

    async def test_what_does_not_come_within_a_second_is_undecidable(self, identity, signer):
        begun = time.monotonic()
        with pytest.raises(NotThatFresh) as told:
            await identity.of(self.asking(signer, "8"))
        assert 0.9 < time.monotonic() - begun < 3
        assert told.value.retry_after == 1

    async def test_a_number_from_the_future_holds_nobody_up(self, identity, signer):
        begun = time.monotonic()
        with pytest.raises(NotThatFresh):
            await identity.of(self.asking(signer, "9" * 18))
        assert time.monotonic() - begun < 0.5

    async def test_one_credential_takes_only_so_many_places_to_wait(self, identity, signer):
        asked = [
            asyncio.create_task(identity.of(self.asking(signer, "8"))) for _ in range(EACH + 5)
        ]
        done, waiting = await asyncio.wait(asked, timeout=0.3)
        assert (len(done), len(waiting)) == (5, EACH)
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(end, NotThatFresh) for end in ended)
        with pytest.raises(NotThatFresh):
            await identity.of(self.asking(signer, "8"))

    @pytest.mark.parametrize("garbage", ["", " 7", "-1", "7.0", "0x7", "七", "²", "9" * 19, "7,8"])
    async def test_garbage_is_told_so(self, identity, signer, garbage):
        with pytest.raises(BadEpoch):
            await identity.of(self.asking(signer, garbage))

    async def test_strangers_cannot_wait(self, identity, iam):
        begun = time.monotonic()
        with pytest.raises(BadToken):
            await identity.of(bearer("no.such.token") | {"x-authz-epoch": "8"})
        with pytest.raises(BadKey):
            await identity.of({"x-api-key": apikeys.mint("server")[1], "x-authz-epoch": "8"})
        assert time.monotonic() - begun < 0.5

    async def test_keys_wait_too(self, identity, authority):
        key = apikeys.mint("server")[1]
        await authority.apply(pb.SnapshotEvent(api_key=api_key(key)))
        asking = asyncio.create_task(identity.of({"x-api-key": key, "x-authz-epoch": "9"}))
        await asyncio.sleep(0)
        gone = pb.Gone(kind=pb.KIND_API_KEY, id=apikeys.digest(key))
        await authority.apply(pb.SnapshotEvent(epoch=9, gone=gone))
        with pytest.raises(BadKey):
            await asking

    async def test_an_iam_that_was_set_back_counts_anew(self, authority):
        await told(authority, subject())
        authority.begin()
        await authority.apply(pb.SnapshotEvent(epoch=3, ready=pb.Ready()))
        assert authority.epoch == 3


class TestAnOldReplica:
    """Whoever changes something is decided about by iam itself when it was not heard for five seconds."""

    @pytest.fixture
    def caller(self, identity, clock, signer):
        clock.now += 6
        return identity.of(bearer(signer.sign()))

    async def test_one_that_is_fresh_has_nothing_to_confirm(self, identity, signer):
        assert (await identity.of(bearer(signer.sign()))).confirm is None

    async def test_what_iam_says_counts_and_not_what_was_known(self, caller, iam):
        known = await caller
        assert known.may("flag:toggle")
        iam.standing = [subject(bindings=[binding()]), project(USER, mask=8)]
        confirmed = await known.confirm()
        assert confirmed.confirm is None
        assert confirmed.permissions == {"flag:read"}
        assert confirmed.may("vm:create", Thing(project="shop"))

    @pytest.mark.parametrize(
        ("code", "fault"),
        [
            (grpc.StatusCode.UNAVAILABLE, NoAuthority),
            (grpc.StatusCode.DEADLINE_EXCEEDED, NoAuthority),
            (grpc.StatusCode.INTERNAL, NoAuthority),
            (grpc.StatusCode.UNAUTHENTICATED, BadToken),
        ],
    )
    async def test_no_answer_is_no(self, caller, iam, code, fault):
        iam.answer = code
        with pytest.raises(fault):
            await (await caller).confirm()

    async def test_a_key_that_is_nobodys_is_what_it_is(self, identity, authority, clock, iam):
        key = apikeys.mint("server")[1]
        await authority.apply(pb.SnapshotEvent(api_key=api_key(key)))
        clock.now += 6
        iam.standing = []
        confirmed = await (await identity.of({"x-api-key": key})).confirm()
        assert confirmed.permissions == {"flag:evaluate"}
