"""One contract for every store."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from authz import apikeys
from chassis.facts import Actor, Fact, Target
from chassis.pages import PageAsk
from iam.domain.acl import Acl
from iam.domain.api_key import ApiKey, Version
from iam.domain.authority import DECISIVE, Kind
from iam.domain.errors import EmailTaken, InvitationPending, TenantTaken, UsernameTaken
from iam.domain.gitops import C, Entity
from iam.domain.grant_errors import RoleNameTaken
from iam.domain.grants import Grant
from iam.domain.invitation import Invitation
from iam.domain.reset import PasswordReset
from iam.domain.roles import Role
from iam.domain.session import RefreshToken, Session
from iam.domain.signing import SigningKey
from iam.ports import UserQuery


@pytest.fixture
async def tenant(work, make):
    made = make.tenant(address={"city": "Łódź"})
    async with work() as w:
        await w.tenants.put(made)
    return made


@pytest.fixture
async def ann(work, tenant, make):
    name = f"ann{uuid4().hex[:8]}"
    made = make.user(
        tenant=tenant.id,
        email=f"{name}@acme.test",
        username=name,
        grants=(Grant("admin"), Grant("viewer")),
    )
    async with work() as w:
        await w.users.put(made)
    return made


def a_key(owner, make, **more):
    _, text = apikeys.mint("server")
    version = Version(
        hash=apikeys.digest(text), prefix=apikeys.prefix_of(text), created_at=make.start
    )
    values = {
        "id": uuid4(),
        "tenant": owner.tenant,
        "owner": owner.id,
        "maker": owner.id,
        "name": "k",
        "kind": "server",
        "environment": "production",
        "project": "default",
        "scopes": frozenset({"flag:evaluate"}),
        "created_at": make.start,
        "expires_at": None,
        "versions": (version,),
    }
    return ApiKey(**(values | more))


def a_session(user, make, **more):
    values = {
        "id": uuid4(),
        "user": user.id,
        "tenant": user.tenant,
        "amr": ("pwd",),
        "ip": "10.0.0.1",
        "user_agent": "x",
        "created_at": make.start,
        "seen_at": make.start,
        "expires_at": make.start + timedelta(days=1),
    }
    return Session(**(values | more))


async def test_a_tenant_comes_back_as_it_was_put(work, tenant):
    async with work() as w:
        assert await w.tenants.get(tenant.id, lock=True) == tenant
        assert await w.tenants.named(tenant.subdomain) == tenant
        assert await w.tenants.get(uuid4()) is None
        (found,) = (await w.tenants.list(None, tenant.subdomain.upper(), PageAsk())).items
        assert found == tenant
        assert (await w.tenants.list([tenant.id], "", PageAsk())).items == [tenant]
        assert (await w.tenants.list([uuid4()], "", PageAsk())).items == []


async def test_a_subdomain_belongs_to_one_tenant(work, tenant, make):
    with pytest.raises(TenantTaken):
        async with work() as w:
            await w.tenants.put(make.tenant(subdomain=tenant.subdomain))


async def test_a_user_comes_back_with_their_grants(work, ann):
    async with work() as w:
        assert await w.users.get(ann.tenant, ann.id, lock=True) == ann
        assert await w.users.get(None, ann.id) == ann
        assert await w.users.get(uuid4(), ann.id) is None
        await w.users.put(replace(ann, grants=(Grant("admin", "platform"),), active=False))
    async with work() as w:
        assert (await w.users.get(ann.tenant, ann.id)).grants == (Grant("admin", "platform"),)


async def test_users_are_found_by_name_and_address_in_any_case(work, ann, tenant):
    async with work() as w:
        for login in (ann.email.upper(), ann.username.upper()):
            (meant,) = await w.accounts.named(login, None, 4)
            assert (meant.id, meant.tenant, meant.name) == (ann.id, tenant.id, ann.name)
            assert (meant.password, meant.subdomain) == (ann.password, tenant.subdomain)
            assert await w.accounts.named(login, tenant.subdomain, 4) == [meant]
            assert await w.accounts.named(login, "elsewhere", 4) == []
        assert await w.accounts.named("nobody-" + ann.username, None, 4) == []
        assert await w.accounts.get(uuid4(), ann.id) is None


@pytest.mark.parametrize("closed", ["user", "tenant"])
async def test_an_account_is_open_while_nobody_closed_it(work, ann, tenant, closed):
    async with work() as w:
        assert (await w.accounts.get(tenant.id, ann.id)).open
        if closed == "user":
            await w.users.put(replace(ann, active=False))
        else:
            await w.tenants.put(replace(tenant, active=False))
    async with work() as w:
        assert not (await w.accounts.get(tenant.id, ann.id)).open


async def test_names_are_unique_in_a_tenant_until_their_user_is_deleted(work, ann, make):
    twin = make.user(tenant=ann.tenant, email=ann.email.upper())
    with pytest.raises(EmailTaken):
        async with work() as w:
            await w.users.put(twin)
    with pytest.raises(UsernameTaken):
        async with work() as w:
            await w.users.put(make.user(tenant=ann.tenant, username=ann.username.upper()))
    async with work() as w:
        await w.users.put(replace(ann, deleted_at=make.start))
    async with work() as w:
        await w.users.put(twin)
        assert await w.users.get(None, ann.id) is None


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "email", "-email", "updated_at"])
async def test_pages_of_users_join_to_the_whole_list(work, tenant, make, sort):
    async with work() as w:
        for n in range(5):
            at = make.start + timedelta(seconds=n % 2)
            email = f"{n}{uuid4().hex[:6]}@x.y"
            await w.users.put(
                make.user(tenant=tenant.id, email=email, created_at=at, updated_at=at)
            )
    query = UserQuery(tenant=tenant.id, sort=sort)
    async with work() as w:
        whole = await w.users.list(query, PageAsk(limit=10))
        pages, ask = [], PageAsk(limit=2)
        while ask:
            part = await w.users.list(query, ask)
            pages += part.items
            ask = PageAsk(limit=2, after=part.next) if part.next else None
        second = await w.users.list(query, PageAsk(limit=2, page=2))
    name = sort.removeprefix("-")
    values = [getattr(user, name) for user in whole.items]
    assert values == sorted(values, reverse=sort.startswith("-"))
    assert pages == whole.items
    assert (len(pages), whole.total) == (5, 5)
    assert second.items == whole.items[2:4]


async def test_a_search_takes_wildcards_for_what_they_are(work, tenant, make):
    async with work() as w:
        for name in ("Zoë 100%", "Zo_e", "Max"):
            await w.users.put(make.user(tenant=tenant.id, first_name=name))
        for search, found in (("zo", 2), ("%", 1), ("o_e", 1), ("nobody", 0), ("@acme", 3)):
            query = UserQuery(tenant=tenant.id, search=search)
            assert (await w.users.list(query, PageAsk())).total == found, search


async def test_administrators_and_roles_are_counted_in_their_tenant(work, ann, make):
    async with work() as w:
        assert await w.users.administrators(ann.tenant, uuid4()) == 1
        assert await w.users.administrators(ann.tenant, ann.id) == 0
        assert await w.users.counts(ann.tenant) == {"admin": 1, "viewer": 1}
        await w.users.put(replace(ann, active=False))
        assert await w.users.administrators(ann.tenant, uuid4()) == 0


async def test_a_login_is_noted_and_may_better_the_hash(work, ann, make):
    async with work() as w:
        await w.accounts.logged_in(ann.id, make.start, None)
    async with work() as w:
        noted = await w.users.get(None, ann.id)
        assert (noted.last_login_at, noted.password) == (make.start, ann.password)
        await w.accounts.logged_in(ann.id, make.start, "better")
    async with work() as w:
        assert (await w.users.get(None, ann.id)).password == "better"


async def test_a_key_comes_back_with_its_versions_in_order(work, ann, make):
    key = a_key(ann, make)
    async with work() as w:
        await w.api_keys.put(key)
        assert await w.api_keys.get(ann.tenant, key.id, lock=True) == key
        assert await w.api_keys.get(uuid4(), key.id) is None
    newest = Version(hash=uuid4().hex, prefix="p", created_at=make.start)
    rotated = key.rotated(newest, timedelta(hours=1))
    async with work() as w:
        await w.api_keys.put(rotated)
    async with work() as w:
        assert await w.api_keys.get(ann.tenant, key.id) == rotated
        assert (await w.api_keys.known(newest.hash)).version == newest
        await w.api_keys.put(rotated.revoked(make.start))
    async with work() as w:
        assert await w.api_keys.get(ann.tenant, key.id) is None
        assert await w.api_keys.known(newest.hash) is None


async def test_keys_are_listed_by_tenant_and_by_owner(work, ann, make):
    keys = [a_key(ann, make) for _ in range(3)]
    async with work() as w:
        for key in keys:
            await w.api_keys.put(key)
        first = await w.api_keys.list(ann.tenant, ann.id, PageAsk(limit=2))
        rest = await w.api_keys.list(ann.tenant, None, PageAsk(limit=2, after=first.next))
        assert sorted([*first.items, *rest.items], key=lambda k: k.id) == sorted(
            keys, key=lambda k: k.id
        )
        assert (first.total, rest.next) == (3, None)
        assert (await w.api_keys.list(ann.tenant, uuid4(), PageAsk())).total == 0


async def test_sessions_come_back_and_end_together(work, ann, make):
    live = [a_session(ann, make) for _ in range(3)]
    over = a_session(ann, make, expires_at=make.start)
    async with work() as w:
        for session in (*live, over):
            await w.sessions.put(session)
        assert await w.sessions.get(live[0].id, lock=True) == live[0]
        first = await w.sessions.live(ann.id, make.start, PageAsk(limit=2))
        rest = await w.sessions.live(ann.id, make.start, PageAsk(limit=2, after=first.next))
        assert [*first.items, *rest.items] == sorted(live, key=lambda s: s.id, reverse=True)
        assert first.total == 3
        one = first.items[0].id
        ended = await w.sessions.end_all(ann.id, make.start, but=one)
        assert one not in {session.id for session in ended}
        assert (await w.sessions.live(ann.id, make.start, PageAsk())).total == 1
        ended = [*ended, *await w.sessions.end_all(ann.id, make.start)]
        assert {s.id for s in ended} == {s.id for s in live}
        assert all(s.ended_at == make.start for s in ended)
        assert (await w.sessions.live(ann.id, make.start, PageAsk())).total == 0


async def test_refresh_tokens_come_back_and_go_with_their_session(work, ann, make):
    session = a_session(ann, make, expires_at=make.start - timedelta(days=9000))
    token = RefreshToken(
        hash=uuid4().bytes,
        session=session.id,
        issued_at=make.start,
        expires_at=make.start,
        used_at=make.start,
        successor=b"sealed",
    )
    async with work() as w:
        await w.sessions.begin(session, token)
    async with work() as w:
        family = await w.sessions.family(token.hash)
        assert (family.token, family.session) == (token, session)
        assert (family.id, family.tenant, family.name) == (ann.id, ann.tenant, ann.name)
        assert await w.sessions.family(b"no") is None
        assert await w.sessions.sweep(make.start - timedelta(days=8000)) >= 1
    async with work() as w:
        assert await w.sessions.family(token.hash) is None
        assert await w.sessions.get(session.id) is None


async def test_a_token_is_followed_by_another_and_the_session_was_seen(work, ann, make):
    session, soon = a_session(ann, make), make.start + timedelta(minutes=1)
    dates = {"session": session.id, "issued_at": make.start, "expires_at": make.start}
    first, following = (RefreshToken(hash=uuid4().bytes, **dates) for _ in range(2))
    used = replace(first, used_at=soon, successor=b"sealed")
    seen = session.seen(soon, make.issuer.lifetimes)
    async with work() as w:
        await w.sessions.begin(session, first)
    async with work() as w:
        await w.sessions.rotate(used, seen, following)
    async with work() as w:
        assert (await w.sessions.family(first.hash)).token == used
        last = await w.sessions.family(following.hash)
        assert (last.token, last.session) == (following, seen)


async def test_nobody_goes_on_where_they_are_no_more(work, ann, make):
    session = a_session(ann, make)
    dates = {"session": session.id, "issued_at": make.start, "expires_at": make.start}
    token = RefreshToken(hash=uuid4().bytes, **dates)
    elsewhere = make.tenant()
    async with work() as w:
        await w.tenants.put(elsewhere)
        await w.guests.add(ann.id, elsewhere.id, "boss", make.start)
        await w.sessions.begin(replace(session, tenant=elsewhere.id), token)
        family = await w.sessions.family(token.hash)
        assert (family.tenant, family.subdomain) == (elsewhere.id, elsewhere.subdomain)
        await w.guests.remove(ann.id, elsewhere.id)
        assert await w.sessions.family(token.hash) is None


async def test_signing_keys_come_and_go(work, make):
    kid = uuid4().hex
    key = SigningKey(kid=kid, jwk="{}", sealed=b"s", created_at=make.start, signs_from=make.start)
    async with work() as w:
        await w.signing_keys.put(key)
        assert key in await w.signing_keys.all(lock=True)
    async with work() as w:
        await w.signing_keys.drop(kid)
        assert key not in await w.signing_keys.all()


async def test_changes_are_logged_with_the_work_and_only_if_it_is_kept(work, ann, make):
    async with work() as w:
        before = await w.authority.epoch()
    with pytest.raises(ZeroDivisionError):
        async with work() as w:
            w.changed(Kind.SUBJECT, "lost")
            raise ZeroDivisionError
    async with work() as w:
        w.changed(Kind.SUBJECT, str(ann.id))
        w.changed(Kind.SUBJECT, str(ann.id))
        w.changed(Kind.TENANT, str(ann.tenant))
    async with work() as w:
        logged = [c for c in await w.authority.changes(before, 1000) if c.id != "x"]
        mine = [c for c in logged if c.id in (str(ann.id), str(ann.tenant), "lost")]
        assert [c.kind for c in mine] == [Kind.SUBJECT, Kind.TENANT]
        assert mine[1].epoch == mine[0].epoch + 1
        assert await w.authority.epoch() >= mine[1].epoch


async def test_things_are_told_as_they_stand(work, ann, tenant, make):
    key, session = a_key(ann, make), a_session(ann, make).ended(make.start)
    soon = make.start + timedelta(seconds=1)
    dead = a_key(ann, make, expires_at=make.start)
    async with work() as w:
        for k in (key, dead):
            await w.api_keys.put(k)
        await w.sessions.put(session)
    hashes = [k.versions[0].hash for k in (key, dead)]
    async with work() as w:
        told = await w.authority.things(Kind.SUBJECT, [str(ann.id), str(uuid4())], soon)
        assert told == {str(ann.id): ann}
        assert await w.authority.things(Kind.TENANT, [str(tenant.id)], soon) == {
            str(tenant.id): tenant
        }
        keys = await w.authority.things(Kind.API_KEY, hashes, soon)
        assert [k.key for k in keys.values()] == [key]
        ended = await w.authority.things(Kind.SESSION, [str(session.id)], soon)
        assert ended[str(session.id)].until > soon
        late = soon + timedelta(hours=1)
        assert await w.authority.things(Kind.SESSION, [str(session.id)], late) == {}


def an_entity(tenant, collection, make):
    tie = collection is C.MEMBERSHIPS
    ends = {"parent": uuid4(), "principal": uuid4()} if tie else {}
    return Entity(
        id=uuid4(),
        tenant=tenant,
        collection=collection,
        key="" if tie else f"{collection[0]}-{uuid4().hex}",
        created_at=make.start,
        updated_at=make.start,
        **ends,
    )


@pytest.mark.parametrize("kind", list(Kind))
async def test_pages_of_things_go_on_where_the_last_one_ended(work, ann, make, kind):
    async with work() as w:
        for _ in range(3):
            await w.users.put(make.user(tenant=ann.tenant))
            await w.api_keys.put(a_key(ann, make))
            await w.sessions.put(a_session(ann, make).ended(make.start))
            await w.tenants.put(make.tenant())
            await w.signing_keys.put(
                SigningKey(
                    kid=uuid4().hex,
                    jwk="{}",
                    sealed=b"",
                    created_at=make.start,
                    signs_from=make.start,
                )
            )
            for collection in DECISIVE:
                await w.entities.put(an_entity(ann.tenant, collection, make), Acl())
    async with work() as w:
        first = await w.authority.page(kind, "", 2, make.start)
        second = await w.authority.page(kind, first[-1][0], 2, make.start)
    assert len(first) == 2
    assert second
    assert [i for i, _ in first] == sorted(i for i, _ in first)
    assert first[-1][0] < second[0][0]


async def test_a_fact_is_recorded_with_the_work(work, ann):
    async with work() as w:
        await w.alone("test")
        w.record(
            Fact(
                tenant=ann.tenant,
                actor=Actor("user", str(ann.id)),
                action="user.created",
                target=Target("user", str(ann.id)),
            )
        )


def a_role(tenant, make, **more):
    values = {
        "id": str(uuid4()),
        "name": f"R{uuid4().hex}",
        "description": "Łódź",
        "permissions": frozenset({"flag:toggle"}),
        "tenant": tenant.id,
        "created_at": make.start,
        "updated_at": make.start,
    }
    return Role(**(values | more))


async def test_a_role_comes_back_by_id_and_by_name_in_any_case(work, tenant, make):
    role = a_role(tenant, make)
    async with work() as w:
        await w.roles.put(role)
    async with work() as w:
        assert await w.roles.get(tenant.id, UUID(role.id), lock=True) == role
        assert await w.roles.get(None, UUID(role.id), keep=True) == role
        assert await w.roles.get(uuid4(), UUID(role.id)) is None
        assert await w.roles.named(tenant.id, role.name.lower(), keep=True) == role
        assert await w.roles.all(tenant.id, 10) == [role]
        await w.roles.put(replace(role, name="other", version=2))
    async with work() as w:
        assert (await w.roles.get(tenant.id, UUID(role.id))).version == 2
        await w.roles.drop(UUID(role.id))
    async with work() as w:
        assert await w.roles.all(tenant.id, 10) == []


async def test_the_name_of_a_role_is_taken_in_its_tenant_only(work, tenant, make):
    role, other = a_role(tenant, make), make.tenant()
    async with work() as w:
        await w.tenants.put(other)
        await w.roles.put(role)
        await w.roles.put(a_role(other, make, name=role.name))
    with pytest.raises(RoleNameTaken):
        async with work() as w:
            await w.roles.put(a_role(tenant, make, name=role.name.upper()))


async def test_a_user_comes_back_with_roles_of_the_tenants_own_as_they_are_now(
    work, tenant, ann, make
):
    role = a_role(tenant, make)
    grant = Grant(role.id, granted_by="boss", reason="because", custom=role)
    async with work() as w:
        await w.roles.put(role)
        await w.users.put(replace(ann, grants=(grant,)))
    changed = replace(role, permissions=frozenset({"vm:read"}), version=2)
    async with work() as w:
        assert (await w.users.get(None, ann.id)).grants == (grant,)
        assert await w.roles.holders(tenant.id, role.id, 5) == [ann.id]
        assert await w.roles.holders(uuid4(), role.id, 5) == []
        assert await w.users.counts(tenant.id) == {role.id: 1}
        await w.roles.put(changed)
    async with work() as w:
        assert (await w.users.get(None, ann.id)).permissions == {"vm:read"}


async def test_roles_that_begin_or_end_are_told_once_and_the_ended_are_gone(work, ann, make):
    past, future = make.start - timedelta(days=1), make.start + timedelta(days=36500)
    grants = (
        Grant("admin", not_before=future, in_force=False),
        Grant("developer", expires_at=future),
        Grant("user", not_before=past, in_force=False),
        Grant("viewer", expires_at=past),
    )
    async with work() as w:
        await w.users.put(replace(ann, grants=grants))
    async with work() as w:
        found = await w.users.get(None, ann.id)
        assert found.roles == ("developer", "user")
        assert await w.users.administrators(ann.tenant, uuid4()) == 0
        turned = [t for t in await w.bindings.turned(make.start, 1000) if t.principal == ann.id]
        assert {(t.role, t.ended, t.tenant) for t in turned} == {
            ("user", False, ann.tenant),
            ("viewer", True, ann.tenant),
        }
    async with work() as w:
        assert [t for t in await w.bindings.turned(make.start, 1000) if t.principal == ann.id] == []
        left = await w.users.get(None, ann.id)
        assert [g.role for g in left.grants] == ["admin", "developer", "user"]


def an_invitation(tenant, make, **more):
    values = {
        "id": uuid4(),
        "tenant": tenant.id,
        "email": f"{uuid4().hex}@acme.test",
        "role": "user",
        "hash": uuid4().bytes,
        "invited_by": "boss",
        "created_at": make.start,
        "expires_at": make.start + timedelta(days=1),
    }
    return Invitation(**(values | more))


async def test_an_invitation_comes_back_by_id_token_and_address(work, tenant, make):
    made = an_invitation(tenant, make)
    async with work() as w:
        await w.invitations.put(made)
    async with work() as w:
        assert await w.invitations.get(tenant.id, made.id, lock=True) == made
        assert await w.invitations.get(uuid4(), made.id) is None
        assert await w.invitations.shown(made.hash, lock=True) == made
        assert await w.invitations.shown(b"no") is None
        assert await w.invitations.open(tenant.id, made.email.upper()) == made
        assert await w.invitations.waiting(tenant.id, "user", make.start) == 1
        assert await w.invitations.waiting(tenant.id, "user", made.expires_at) == 0
        await w.invitations.put(made.accepted(uuid4(), make.start))
    async with work() as w:
        assert await w.invitations.open(tenant.id, made.email) is None
        assert await w.invitations.waiting(tenant.id, "user", make.start) == 0


async def test_an_address_has_one_open_invitation_of_a_tenant(work, tenant, make):
    made = an_invitation(tenant, make)
    async with work() as w:
        await w.invitations.put(made)
    with pytest.raises(InvitationPending):
        async with work() as w:
            await w.invitations.put(an_invitation(tenant, make, email=made.email.upper()))
    async with work() as w:
        await w.invitations.put(made.revoked(make.start))
        await w.invitations.put(an_invitation(tenant, make, email=made.email))


async def test_pages_of_invitations_join_to_the_whole_list(work, tenant, make):
    made = [an_invitation(tenant, make) for _ in range(3)]
    async with work() as w:
        for one in made:
            await w.invitations.put(one)
        first = await w.invitations.list(tenant.id, PageAsk(limit=2))
        rest = await w.invitations.list(tenant.id, PageAsk(limit=2, after=first.next))
    assert [*first.items, *rest.items] == sorted(made, key=lambda i: i.id, reverse=True)
    assert (first.total, rest.next) == (3, None)


async def test_a_user_has_one_password_reset_at_most(work, ann, make):
    later = make.start + timedelta(hours=1)
    first, second = [
        PasswordReset(user=ann.id, hash=h, created_at=make.start, expires_at=later)
        for h in (uuid4().bytes, uuid4().bytes)
    ]
    async with work() as w:
        await w.resets.put(first)
        await w.resets.put(second)
        assert await w.resets.shown(first.hash) is None
        assert await w.resets.shown(second.hash) == second
    async with work() as w:
        await w.resets.sweep(make.start)
        assert await w.resets.shown(second.hash) == second
        assert await w.resets.sweep(later + timedelta(seconds=1)) >= 1
        assert await w.resets.shown(second.hash) is None
        await w.resets.put(first)
        await w.resets.drop(ann.id)
        assert await w.resets.shown(first.hash) is None


async def test_a_brief_list_leaves_out_addresses_and_the_disabled(work, tenant, make):
    ann = make.user(tenant=tenant.id, email="ann@brief.test", first_name="Ann")
    idle = make.user(tenant=tenant.id, email="bob@brief.test", first_name="Anton", active=False)
    async with work() as w:
        await w.users.put(ann)
        await w.users.put(idle)
        whole = UserQuery(tenant=tenant.id, search="brief.test")
        assert (await w.users.list(whole, PageAsk())).total == 2
        assert (await w.users.list(replace(whole, brief=True), PageAsk())).total == 0
        named = UserQuery(tenant=tenant.id, search="an", brief=True)
        assert [u.id for u in (await w.users.list(named, PageAsk())).items] == [ann.id]


async def test_when_a_key_was_used_last_survives_its_change_and_never_goes_back(work, ann, make):
    key = a_key(ann, make)
    later = make.start + timedelta(minutes=5)
    async with work() as w:
        await w.api_keys.put(key)
        assert (await w.api_keys.get(ann.tenant, key.id)).last_used_at is None
    async with work() as w:
        await w.api_keys.used([key.id, uuid4()], later)
    async with work() as w:
        found = await w.api_keys.get(ann.tenant, key.id, lock=True)
        assert found.last_used_at == later
        await w.api_keys.put(replace(found, name="other"))
    async with work() as w:
        await w.api_keys.used([key.id], make.start)
        await w.api_keys.used([], make.start)
        found = await w.api_keys.get(ann.tenant, key.id)
        assert (found.name, found.last_used_at) == ("other", later)
