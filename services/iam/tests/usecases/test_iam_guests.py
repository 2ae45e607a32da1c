"""Acting in tenants beyond one's own."""

from dataclasses import replace

import pytest

from chassis.errors import Forbidden
from chassis.pages import PageAsk
from iam.domain.authority import Kind
from iam.domain.errors import (
    BadInvitation,
    BadLogin,
    BadRefreshToken,
    LastAdmin,
    MoreThanYouHold,
    TenantNotFound,
    UserNotFound,
)
from iam.domain.grants import Grant, Window
from iam.domain.reach_errors import (
    AlreadyMember,
    AmbiguousLogin,
    GuestAccount,
    InvitedAnother,
    PlatformOnly,
    PlatformStays,
)
from iam.ports import UserQuery
from iam.usecases.api_keys import NewKey
from iam.usecases.assignments import To
from iam.usecases.logins import Login
from iam.usecases.users import UserChange


@pytest.fixture
def home(iam):
    return iam.tenant("home")


@pytest.fixture
def there(iam):
    return iam.tenant("there")


@pytest.fixture
def ann(iam, home):
    return iam.user(home, "ann@home.test", roles=["admin"], username="ann")


@pytest.fixture
def boss(iam, there):
    return iam.user(there, "boss@there.test", roles=["admin"])


@pytest.fixture
def root(iam, make):
    user = iam.user(iam.tenant("platform"), "r@p.test", grants=(Grant("super_admin", "platform"),))
    return make.caller(user)


@pytest.fixture
async def guest(iam, root, there, ann):
    return await iam.guests.add(root, there.id, ann.id, "viewer")


async def test_the_platform_makes_guests_and_others_invite(iam, make, root, there, ann, boss):
    with pytest.raises(PlatformOnly):
        await iam.guests.add(make.caller(boss), there.id, ann.id)
    guest = await iam.guests.add(root, there.id, ann.id)
    assert (guest.roles, guest.tenant, guest.guest) == (("user",), there.id, True)
    fact = iam.world.facts[-1]
    assert (fact.action, fact.tenant) == ("guest.added", there.id)
    for tenant in (there.id, ann.tenant):
        with pytest.raises(AlreadyMember):
            await iam.guests.add(root, tenant, ann.id)


async def test_an_invitation_is_accepted_with_the_account_that_one_has(iam, make, there, ann, boss):
    _, token = await iam.invitations.create(make.caller(boss), "ANN@home.test", "developer", None)
    stranger = iam.user(iam.world.tenants[ann.tenant], "bob@home.test")
    with pytest.raises(InvitedAnother):
        await iam.guests.join(make.caller(stranger), token)
    guest = await iam.guests.join(make.caller(ann), token)
    assert (guest.id, guest.tenant, guest.roles) == (ann.id, there.id, ("developer",))
    assert iam.world.actions()[-2:] == ["guest.added", "invitation.accepted"]
    with pytest.raises(BadInvitation):
        await iam.guests.join(make.caller(ann), token)


async def test_a_guest_logs_in_where_they_are_one_with_the_roles_of_there(
    iam, make, home, there, ann, guest
):
    tokens = await iam.logins.login(Login(name="ann@home.test", password=make.password))
    assert tokens.subdomain == "home"
    login = Login(name="ann", password=make.password, subdomain="there")
    tokens = await iam.logins.login(login)
    assert tokens.subdomain == "there"
    newest = list(iam.world.sessions.values())[-1]
    assert (newest.tenant, newest.user) == (there.id, ann.id)
    me, tenant = await iam.logins.me(make.caller(guest, session=newest.id))
    assert (me.roles, tenant.id) == (("viewer",), there.id)
    assert (await iam.logins.refresh(tokens.refresh)).subdomain == "there"


async def test_who_is_no_guest_does_not_get_in_with_a_right_password(iam, make, there, ann):
    with pytest.raises(BadLogin):
        await iam.logins.login(Login(name="ann", password=make.password, subdomain="there"))


async def test_a_guest_of_a_tenant_that_is_off_or_whose_home_is_off_does_not_get_in(
    iam, make, home, there, guest
):
    login = Login(name="ann", password=make.password, subdomain="there")
    for off in (home, there):
        iam.world.tenants[off.id] = replace(off, active=False)
        with pytest.raises(BadLogin):
            await iam.logins.login(login)
        iam.world.tenants[off.id] = off


async def test_a_password_that_fits_in_two_tenants_asks_which_one(iam, make, there, ann):
    twin = iam.user(there, "ann@home.test")
    login = Login(name="ann@home.test", password=make.password)
    with pytest.raises(AmbiguousLogin) as refused:
        await iam.logins.login(login)
    assert [e.pointer for e in refused.value.errors] == ["/tenant_subdomain"]
    with pytest.raises(BadLogin):
        await iam.logins.login(replace(login, password="wrong"))
    assert (await iam.logins.login(replace(login, subdomain="there"))).subdomain == "there"
    iam.world.users[twin.id] = replace(twin, active=False)
    assert (await iam.logins.login(login)).subdomain == "home"


async def test_the_account_of_a_guest_is_not_touched_from_there(iam, make, there, boss, guest):
    me = make.caller(boss)
    for fields in ({"email": "x@y.z"}, {"active": False}, {"first_name": "X"}):
        with pytest.raises(GuestAccount):
            await iam.users.update(me, guest.id, UserChange(fields=fields))
    changed = await iam.users.update(me, guest.id, UserChange(fields={}, roles=["user"]))
    assert changed.roles == ("user",)
    async with iam.work() as work:
        known = await work.users.get(None, guest.id)
    assert (known.roles, known.email, known.active) == (("admin",), "ann@home.test", True)


async def test_a_guest_is_let_go_or_leaves_and_their_sessions_there_end(
    iam, make, there, boss, guest
):
    inside = await iam.logins.login(Login(name="ann", password=make.password, subdomain="there"))
    outside = await iam.logins.login(Login(name="ann", password=make.password, subdomain="home"))
    await iam.users.delete(make.caller(boss), guest.id, None)
    assert "guest.removed" in iam.world.actions()
    with pytest.raises(BadRefreshToken):
        await iam.logins.refresh(inside.refresh)
    assert (await iam.logins.refresh(outside.refresh)).subdomain == "home"
    with pytest.raises(UserNotFound):
        await iam.guests.remove(make.caller(boss), there.id, guest.id)


async def test_everybody_may_leave_and_nobody_else_is_removed_by_whoever_may_not(
    iam, make, there, guest
):
    user = iam.user(there, "u@there.test")
    with pytest.raises(Forbidden):
        await iam.guests.remove(make.caller(user), there.id, guest.id)
    await iam.guests.remove(make.caller(guest), there.id, guest.id)
    assert "guest.left" in iam.world.actions()
    with pytest.raises(UserNotFound):
        await iam.guests.remove(make.caller(user), there.id, user.id)


async def test_a_guest_mightier_than_who_asks_stays_and_so_does_the_last_administrator(
    iam, make, there, ann, boss, root
):
    guest = await iam.guests.add(root, there.id, ann.id, "admin")
    low = iam.user(there, "low@there.test", roles=["org_admin"])
    with pytest.raises(MoreThanYouHold):
        await iam.guests.remove(make.caller(low), there.id, guest.id)
    await iam.users.delete(root, boss.id, None)
    await iam.users.delete(root, low.id, None)
    with pytest.raises(LastAdmin):
        await iam.guests.remove(make.caller(guest), there.id, guest.id)
    with pytest.raises(LastAdmin):
        await iam.assignments.take(root, To(there.id, str(ann.id)), "admin")


async def test_whoever_decides_over_people_lets_a_guest_go_who_does_other_work(
    iam, make, there, ann, root
):
    guest = await iam.guests.add(root, there.id, ann.id, "developer")
    low = iam.user(there, "low@there.test", roles=["org_admin"])
    await iam.guests.remove(make.caller(low), there.id, guest.id)
    assert not iam.world.guests


async def test_the_keys_that_a_guest_made_go_with_them(iam, make, home, there, ann, guest):
    kept, _ = await iam.keys.create(make.caller(ann), NewKey(name="at home"))
    iam.world.bindings[there.id, ann.id] = (Grant("admin"),)
    async with iam.work() as work:
        seen = await work.users.get(there.id, ann.id)
    lost, _ = await iam.keys.create(make.caller(seen), NewKey(name="there"))
    boss = iam.user(there, "boss@there.test", roles=["admin"])
    iam.world.changes.clear()
    await iam.guests.remove(make.caller(boss), there.id, ann.id)
    assert iam.world.keys[lost.id].revoked_at == iam.clock()
    assert iam.world.keys[kept.id].revoked_at is None
    assert (Kind.API_KEY, lost.versions[0].hash) in [(c.kind, c.id) for c in iam.world.changes]
    assert "api_key.revoked" in iam.world.actions()


async def test_a_guest_whose_own_organization_is_disabled_does_not_go_on(
    iam, make, home, there, guest
):
    typed = Login(name=guest.email, password=make.password, subdomain=there.subdomain)
    tokens = await iam.logins.login(typed)
    iam.world.tenants[home.id] = replace(home, active=False)
    with pytest.raises(BadRefreshToken):
        await iam.logins.refresh(tokens.refresh)


async def test_guests_are_listed_with_the_users_and_alone(iam, make, home, there, boss, guest):
    me = make.caller(boss)
    every = await iam.users.list(me, UserQuery(tenant=there.id), PageAsk())
    assert {u.email for u in every.items} == {"boss@there.test", "ann@home.test"}
    alone = await iam.guests.list(me, there.id, PageAsk())
    assert [(u.email, u.roles) for u in alone.items] == [("ann@home.test", ("viewer",))]
    with pytest.raises(TenantNotFound):
        await iam.guests.list(me, home.id, PageAsk())


async def test_a_guest_reaches_home_and_there(iam, make, home, there, ann, guest):
    for caller in (make.caller(ann), make.caller(guest)):
        found = await iam.organizations.within_reach(caller, "", PageAsk())
        assert [t.subdomain for t in found.items] == ["home", "there"]
        assert (await iam.organizations.tenant(caller, there.id)).id == there.id
    other = iam.tenant("other")
    with pytest.raises(TenantNotFound):
        await iam.organizations.tenant(make.caller(ann), other.id)


async def test_what_a_guest_does_at_home_is_nobodys_business_there(iam, make, there, boss, guest):
    await iam.logins.login(Login(name="ann", password=make.password, subdomain="home"))
    seen = await iam.sessions.list(make.caller(boss), guest.id, PageAsk())
    assert seen.items == []
    await iam.sessions.end_all(make.caller(boss), guest.id, keep_current=False)
    assert [s.ended_at for s in iam.world.sessions.values()] == [None]


async def test_only_the_platform_lists_the_users_and_roles_of_other_tenants(
    iam, make, home, there, boss, root
):
    for tenant in (home.id, None):
        with pytest.raises(PlatformOnly):
            await iam.users.list(make.caller(boss), UserQuery(tenant=tenant), PageAsk())
        every = await iam.users.list(root, UserQuery(tenant=tenant), PageAsk())
        assert all(tenant in (None, user.tenant) for user in every.items)
    with pytest.raises(PlatformOnly):
        await iam.roles.list(make.caller(boss), home.id)
    assert await iam.roles.list(root, home.id)


async def test_the_platforms_own_tenant_is_never_switched_off(iam, root, there):
    with pytest.raises(PlatformStays):
        await iam.organizations.update(root, root.tenant, {"active": False}, None)
    off = await iam.organizations.update(root, there.id, {"active": False}, None)
    assert off.active is False


async def test_a_role_for_a_guest_is_given_there_only(iam, make, there, boss, guest):
    me = make.caller(boss)
    await iam.assignments.give(me, To(there.id, str(guest.id)), "developer", Window())
    async with iam.work() as work:
        known = await work.users.get(None, guest.id)
    assert known.roles == ("admin",)
    assert {g.role for g in known.elsewhere} == {"viewer", "developer"}
