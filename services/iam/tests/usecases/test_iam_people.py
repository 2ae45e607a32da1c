from dataclasses import replace
from uuid import uuid4

import pytest

from chassis.errors import Forbidden
from chassis.pages import PageAsk
from iam.domain.authority import Kind
from iam.domain.errors import (
    EmailTaken,
    LastAdmin,
    MoreThanYouHold,
    SelfDemotion,
    TenantTaken,
    UserNotFound,
    UserStale,
    WeakPassword,
)
from iam.domain.grants import Grant
from iam.ports import UserQuery
from iam.usecases.logins import Login
from iam.usecases.organizations import Founding
from iam.usecases.users import NewUser, UserChange


def changed(iam):
    return [(c.kind, c.id) for c in iam.world.changes]


@pytest.fixture
def acme(iam):
    return iam.tenant()


@pytest.fixture
def boss(iam, acme):
    return iam.user(acme, "boss@acme.test", roles=["admin", "org_admin"])


@pytest.fixture
def ann(iam, acme):
    return iam.user(acme)


async def test_a_new_user_is_active_has_the_least_role_and_is_told_of(iam, boss, make):
    new = NewUser(email="new@acme.test", password=make.password, first_name="N")
    user = await iam.users.create(make.caller(boss), new)
    assert (user.tenant, user.active, user.roles) == (boss.tenant, True, ("user",))
    assert changed(iam) == [(Kind.SUBJECT, str(user.id))]
    assert iam.world.actions() == ["user.created"]
    assert make.password not in repr(iam.world.facts)


async def test_nobody_makes_a_user_who_may_do_more_than_themselves(iam, boss, make):
    new = NewUser(email="n@acme.test", password=make.password, roles=["super_admin"])
    with pytest.raises(MoreThanYouHold):
        await iam.users.create(make.caller(boss), new)


async def test_an_address_is_taken_in_any_case_but_only_in_its_tenant(iam, boss, ann, make):
    new = NewUser(email="ANN@acme.test", password=make.password)
    with pytest.raises(EmailTaken):
        await iam.users.create(make.caller(boss), new)
    other = iam.user(iam.tenant("other"), "boss@other.test", roles=["admin"])
    assert await iam.users.create(make.caller(other), new)


async def test_a_weak_password_makes_no_user(iam, boss, make):
    with pytest.raises(WeakPassword):
        await iam.users.create(make.caller(boss), NewUser(email="n@x.y", password="12345"))


@pytest.mark.parametrize("verb", ["list", "get", "create", "update", "delete"])
async def test_every_verb_asks_for_its_permission_before_it_looks(iam, ann, make, verb):
    arguments = {
        "list": (UserQuery(tenant=ann.tenant), PageAsk()),
        "get": (uuid4(),),
        "create": (NewUser(email="a", password="b"),),
        "update": (uuid4(), UserChange(fields={})),
        "delete": (uuid4(), None),
    }
    with pytest.raises(Forbidden, match="user:"):
        await getattr(iam.users, verb)(make.caller(ann), *arguments[verb])


async def test_another_tenants_user_is_not_there(iam, boss, make):
    stranger = iam.user(iam.tenant("other"), "s@x.y")
    for verb in (
        iam.users.get(make.caller(boss), stranger.id),
        iam.users.update(make.caller(boss), stranger.id, UserChange(fields={"first_name": "x"})),
        iam.users.delete(make.caller(boss), stranger.id, None),
    ):
        with pytest.raises(UserNotFound):
            await verb


async def test_whoever_reaches_the_platform_reaches_every_user(iam, ann, make):
    root = iam.user(iam.tenant("platform"), grants=(Grant("super_admin", "platform"),))
    assert (await iam.users.get(make.caller(root), ann.id)).id == ann.id


async def test_who_is_disabled_is_logged_out_everywhere(iam, boss, ann, make):
    await iam.logins.login(Login(name=ann.email, password=make.password))
    after = await iam.users.update(make.caller(boss), ann.id, UserChange(fields={"active": False}))
    (session,) = iam.world.sessions.values()
    assert session.ended_at
    assert set(changed(iam)) == {(Kind.SUBJECT, str(ann.id)), (Kind.SESSION, str(session.id))}
    assert after.version == ann.version + 1
    assert iam.world.facts[-2].before["is_active"] is True
    assert iam.world.facts[-2].after["is_active"] is False


async def test_giving_roles_needs_the_permission_for_it(iam, boss, ann, make):
    change = UserChange(fields={}, roles=["viewer"])
    lesser = make.caller(boss, permissions=boss.permissions - {"role:assign_users"})
    with pytest.raises(Forbidden, match="role:assign_users"):
        await iam.users.update(lesser, ann.id, change)
    assert (await iam.users.update(make.caller(boss), ann.id, change)).roles == ("viewer",)


async def test_nobody_demotes_themselves_and_the_last_admin_stays(iam, boss, make):
    with pytest.raises(SelfDemotion):
        await iam.users.update(make.caller(boss), boss.id, UserChange(fields={}, roles=["viewer"]))
    root = iam.user(iam.tenant("platform"), grants=(Grant("super_admin", "platform"),))
    with pytest.raises(LastAdmin):
        await iam.users.delete(make.caller(root), boss.id, None)
    iam.user(iam.world.tenants[boss.tenant], "second@acme.test", roles=["org_admin"])
    await iam.users.delete(make.caller(root), boss.id, None)
    with pytest.raises(UserNotFound):
        await iam.users.get(make.caller(root), boss.id)


async def test_a_change_meant_for_an_older_version_is_refused(iam, boss, ann, make):
    with pytest.raises(UserStale):
        await iam.users.update(
            make.caller(boss), ann.id, UserChange(fields={"first_name": "x"}, expected=7)
        )


async def test_the_address_of_a_deleted_user_is_free(iam, boss, ann, make):
    await iam.users.delete(make.caller(boss), ann.id, ann.version)
    assert await iam.users.create(
        make.caller(boss), NewUser(email=ann.email, password=make.password)
    )


FOUNDING = Founding(
    subdomain="new", name="New", admin_email="ada@new.test", admin_password="long enough"
)


async def test_an_organization_begins_with_an_admin_who_is_logged_in(iam):
    tenant, admin, tokens = await iam.organizations.register(FOUNDING)
    assert admin.roles == ("admin", "org_admin")
    assert tokens.subdomain == "new"
    (project,) = iam.world.entities.values()
    assert set(changed(iam)) == {
        (Kind.TENANT, str(tenant.id)),
        (Kind.SUBJECT, str(admin.id)),
        (Kind.PROJECT, str(project.id)),
    }
    made = ["tenant.created", "user.created", "project.created", "session.created"]
    assert iam.world.actions() == made
    assert (project.key, project.tenant) == ("default", tenant.id)


async def test_an_organization_that_exists_is_a_conflict_and_changes_nothing(iam, acme):
    before = iam.world.copy()
    for subdomain in (acme.subdomain, "platform", "www"):
        with pytest.raises(TenantTaken):
            await iam.organizations.register(replace(FOUNDING, subdomain=subdomain))
    assert iam.world == before


async def test_one_reaches_ones_own_tenant_and_the_platform_reaches_all(iam, ann, make):
    platform = iam.tenant("platform")
    root = iam.user(platform, grants=(Grant("super_admin", "platform"),))
    own = await iam.organizations.within_reach(make.caller(ann), "", PageAsk())
    assert [t.subdomain for t in own.items] == ["acme"]
    every = await iam.organizations.within_reach(make.caller(root), "", PageAsk())
    assert [t.subdomain for t in every.items] == ["acme", "platform"]
    found = await iam.organizations.within_reach(make.caller(root), "PLAT", PageAsk())
    assert [t.subdomain for t in found.items] == ["platform"]


async def test_roles_count_the_users_of_the_own_tenant(iam, boss, ann, make):
    iam.user(iam.tenant("other"), "x@y.z", roles=["admin"])
    counted = {role.id: n for role, n in await iam.roles.list(make.caller(boss))}
    assert (counted["admin"], counted["user"], counted["viewer"]) == (1, 1, 0)
    with pytest.raises(Forbidden):
        iam.roles.permissions(make.caller(ann))
    assert len(iam.roles.permissions(make.caller(boss))) > 50


@pytest.fixture
def manager(iam, acme):
    """Somebody of a tenant who holds a power over all tenants; its administrators hold the same in theirs."""
    grants = (Grant("user"), Grant("adm_user_manager", "platform"))
    return iam.user(acme, "manager@acme.test", grants=grants)


@pytest.mark.parametrize("field", ["email", "username"])
async def test_nobody_becomes_whoever_reaches_further_than_their_tenant(
    iam, boss, manager, make, field
):
    change = UserChange(fields={field: "mine@acme.test"})
    assert manager.entitled <= boss.permissions
    with pytest.raises(MoreThanYouHold, match="in every tenant"):
        await iam.users.update(make.caller(boss), manager.id, change)
    root = iam.user(iam.tenant("platform"), grants=(Grant("super_admin", "platform"),))
    after = await iam.users.update(make.caller(root), manager.id, change)
    assert getattr(after, field) == "mine@acme.test"


async def test_a_tenant_does_not_end_what_was_given_everywhere(iam, boss, manager, make):
    for grant in (Grant("viewer", "platform"), Grant("adm_user_manager", "platform")):
        iam.world.users[manager.id] = replace(manager, grants=(grant,))
        with pytest.raises(MoreThanYouHold):
            await iam.users.update(
                make.caller(boss), manager.id, UserChange(fields={}, roles=["user"])
            )


async def test_whoever_has_little_everywhere_is_their_tenants_to_disable(iam, boss, acme, make):
    maker = iam.user(acme, "m@acme.test", grants=(Grant("viewer", "platform"),))
    after = await iam.users.update(
        make.caller(boss), maker.id, UserChange(fields={"active": False})
    )
    assert not after.active
