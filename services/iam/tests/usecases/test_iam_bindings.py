"""Roles at every scope, for every kind of principal."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chassis.errors import Forbidden
from iam.domain.acl import EntryDraft
from iam.domain.errors import LastAdmin, MoreThanYouHold, SelfDemotion, TenantNotFound, UserNotFound
from iam.domain.gitops import C, Draft, Ref
from iam.domain.grant_errors import RoleAssigned, RoleNotHeld
from iam.domain.grants import PLATFORM, Grant, Where, Window
from iam.domain.reach_errors import (
    BadPlace,
    GuestAccount,
    HeldThroughGroup,
    PlatformOnly,
    ProjectUnknown,
)
from iam.usecases.assignments import To
from iam.usecases.roles import NewRole, RoleChange

SHOP = Where("project", "shop")


@pytest.fixture
def acme(iam):
    return iam.tenant()


@pytest.fixture
def boss(iam, acme):
    return iam.user(acme, "boss@acme.test", roles=["admin"], username="boss")


@pytest.fixture
def ann(iam, acme):
    return iam.user(acme, username="ann")


@pytest.fixture
def me(boss, make):
    return make.caller(boss)


@pytest.fixture
def ask(iam, make):
    """Return who somebody is as a caller, with what they hold by now."""

    async def asked(user, tenant=None):
        async with iam.work() as work:
            return make.caller(await work.users.get(tenant, user.id))

    return asked


@pytest.fixture
async def shop(iam, me):
    return await iam.gitops.create(me, C.PROJECTS, Draft(key="shop"))


@pytest.fixture
async def ops(iam, me, ann):
    made = await iam.gitops.create(me, C.GROUPS, Draft(key="g_ops"))
    await join(iam, me, "u_ann", "g_ops")
    return made.entity


async def join(iam, caller, who, group):
    return await iam.gitops.create(caller, C.MEMBERSHIPS, Draft(key=f"{who}::{group}"))


async def roles(iam, user, tenant=None):
    async with iam.work() as work:
        return (await work.users.get(tenant, user.id)).roles


async def test_a_project_is_run_by_whoever_assigns_roles_there(iam, acme, me, ann, shop, ask):
    bob = iam.user(acme, "bob@acme.test")
    await iam.assignments.give(me, To(acme.id, str(ann.id), SHOP), "org_admin", Window())
    lead = await ask(ann)
    assert not lead.may("role:assign_users")
    await iam.assignments.give(lead, To(acme.id, str(bob.id), SHOP), "user", Window(reason="new"))
    grants = await iam.assignments.of(lead, To(acme.id, str(bob.id), SHOP))
    assert [(g.role, str(g.at), g.reason) for g in grants] == [("user", "project:shop", "new")]
    fact = iam.world.facts[-1]
    assert (fact.action, fact.after["scope"]) == ("role.assigned", "project:shop")
    with pytest.raises(MoreThanYouHold):
        await iam.assignments.give(lead, To(acme.id, str(bob.id), SHOP), "developer", Window())
    for elsewhere in (None, Where("project", "other"), Where("object", "flag:1"), PLATFORM):
        with pytest.raises(Forbidden, match="role:assign_users"):
            await iam.assignments.give(lead, To(acme.id, str(bob.id), elsewhere), "user", Window())
    with pytest.raises(SelfDemotion):
        await iam.assignments.take(lead, To(acme.id, str(ann.id), SHOP), "org_admin")
    await iam.assignments.take(lead, To(acme.id, str(bob.id), SHOP), "user")
    with pytest.raises(RoleNotHeld):
        await iam.assignments.take(lead, To(acme.id, str(bob.id), SHOP), "user")


async def test_a_role_in_a_project_is_none_in_the_tenant(iam, acme, me, ann, shop, ask):
    await iam.assignments.give(me, To(acme.id, str(ann.id), SHOP), "admin", Window())
    assert await roles(iam, ann) == ("user",)
    assert (await ask(ann)).permissions == ann.permissions
    assert await iam.assignments.users(me, "admin") != [ann.id]
    assert await iam.assignments.users(me, "admin", SHOP) == [ann.id]
    assert await iam.assignments.put_users(me, "admin", [], SHOP) == []


async def test_there_must_be_the_project_and_the_principal_and_the_tenant(iam, acme, me, ann):
    with pytest.raises(ProjectUnknown):
        await iam.assignments.give(me, To(acme.id, str(ann.id), SHOP), "user", Window())
    other = iam.tenant("other")
    stranger = iam.user(other, "s@other.test")
    with pytest.raises(TenantNotFound):
        await iam.assignments.give(me, To(other.id, str(stranger.id)), "user", Window())
    for who in (str(stranger.id), "g_none", "u_none", "nonsense"):
        with pytest.raises(UserNotFound):
            await iam.assignments.give(me, To(acme.id, who), "user", Window())


async def test_only_who_holds_everything_everywhere_gives_everywhere(iam, acme, me, ann, make):
    with pytest.raises(PlatformOnly):
        await iam.assignments.give(me, To(acme.id, str(ann.id), PLATFORM), "user", Window())
    root = iam.user(iam.tenant("platform"), grants=(Grant("super_admin", "platform"),))
    caller = make.caller(root)
    await iam.assignments.give(caller, To(acme.id, str(ann.id), PLATFORM), "viewer", Window())
    own = await iam.roles.create(me, NewRole(name="Own"))
    with pytest.raises(BadPlace):
        await iam.assignments.give(caller, To(acme.id, str(ann.id), PLATFORM), own.id, Window())
    async with iam.work() as work:
        grants = (await work.users.get(None, ann.id)).grants
    assert ("viewer", "platform") in {(g.role, g.scope) for g in grants}


async def test_members_hold_what_a_group_was_given(iam, acme, me, ann, ops):
    await iam.assignments.give(me, To(acme.id, "g_ops"), "developer", Window())
    assert await roles(iam, ann) == ("developer", "user")
    (through,) = [g for g in await iam.assignments.of(me, To(acme.id, "u_ann")) if g.through]
    assert (through.role, through.through) == ("developer", ops.id)
    with pytest.raises(HeldThroughGroup):
        await iam.assignments.take(me, To(acme.id, "u_ann"), "developer")
    fact = next(f for f in iam.world.facts if f.action == "role.assigned")
    assert (fact.target.type, fact.target.name) == ("group", "g_ops")
    await iam.gitops.delete(me, Ref(C.MEMBERSHIPS, "u_ann::g_ops"))
    assert await roles(iam, ann) == ("user",)


async def test_every_member_is_told_when_what_a_group_gives_changes(iam, acme, me, ann, ops):
    await iam.gitops.create(me, C.GROUPS, Draft(key="g_all"))
    await join(iam, me, "g_ops", "g_all")

    def news():
        told = {c.id for c in iam.world.changes}
        iam.world.changes.clear()
        return str(ann.id) in told

    news()
    await iam.assignments.give(me, To(acme.id, "g_all"), "viewer", Window())
    assert news()
    await iam.gitops.delete(me, Ref(C.MEMBERSHIPS, "g_ops::g_all"))
    assert (news(), await roles(iam, ann)) == (True, ("user",))
    await join(iam, me, "g_ops", "g_all")
    assert (news(), await roles(iam, ann)) == (True, ("viewer", "user"))
    await iam.gitops.delete(me, Ref(C.GROUPS, "g_all"))
    assert (news(), await roles(iam, ann)) == (True, ("user",))


async def test_a_role_of_a_group_ends_by_itself_for_all_members(iam, acme, me, ann, ops):
    ends = iam.clock.at + timedelta(hours=1)
    await iam.assignments.give(me, To(acme.id, "g_ops"), "viewer", Window(expires_at=ends))
    assert await roles(iam, ann) == ("viewer", "user")
    iam.clock.forward(hours=1)
    iam.world.changes.clear()
    assert (await iam.assignments.turn(), await iam.assignments.turn()) == (1, 0)
    assert str(ann.id) in {c.id for c in iam.world.changes}
    fact = iam.world.facts[-1]
    assert (fact.action, fact.target.type) == ("role.expired", "group")


async def test_nobody_joins_a_group_that_holds_more_than_they_do(iam, acme, me, ann, ops, ask):
    """Who may change a group by its list alone could otherwise give themselves its roles."""
    bob = iam.user(acme, "bob@acme.test", username="bob", roles=["user", "viewer"])
    acl = [EntryDraft(127, ("u_bob",))]
    await iam.gitops.upsert(me, Ref(C.GROUPS, "g_ops"), Draft(acl=acl))
    await iam.assignments.give(me, To(acme.id, "g_ops"), "developer", Window())
    before = len(iam.world.facts)
    with pytest.raises(MoreThanYouHold):
        await join(iam, await ask(bob), "u_bob", "g_ops")
    with pytest.raises(MoreThanYouHold):
        await iam.gitops.delete(await ask(bob), Ref(C.GROUPS, "g_ops"))
    assert (await roles(iam, bob), len(iam.world.facts)) == (("viewer", "user"), before)


async def test_the_last_administrator_stays_also_when_a_group_makes_them_one(
    iam, acme, ann, ops, make
):
    root = iam.user(iam.tenant("platform"), grants=(Grant("super_admin", "platform"),))
    caller = make.caller(root)
    await iam.assignments.give(caller, To(acme.id, str(ops.id)), "admin", Window())
    boss = next(u for u in iam.world.users.values() if u.username == "boss")
    await iam.users.delete(caller, boss.id, None)
    soon = Window(expires_at=iam.clock.at + timedelta(days=1))
    edge = next(e for e in iam.world.entities.values() if e.collection is C.MEMBERSHIPS)
    for attempt in (
        iam.assignments.take(caller, To(acme.id, str(ops.id)), "admin"),
        iam.assignments.give(caller, To(acme.id, str(ops.id)), "admin", soon),
        iam.gitops.delete(caller, Ref(C.GROUPS, str(ops.id))),
        iam.gitops.delete(caller, Ref(C.MEMBERSHIPS, str(edge.id))),
        iam.users.delete(caller, ann.id, None),
    ):
        facts = len(iam.world.facts)
        with pytest.raises(LastAdmin):
            await attempt
        assert len(iam.world.facts) == facts
    assert await roles(iam, ann) == ("admin", "user")


async def test_what_was_given_at_a_project_ends_with_it(iam, acme, me, ann, shop):
    await iam.assignments.give(me, To(acme.id, str(ann.id), SHOP), "viewer", Window())
    await iam.gitops.delete(me, Ref(C.PROJECTS, "shop"))
    await iam.gitops.create(me, C.PROJECTS, Draft(key="shop"))
    assert await iam.assignments.of(me, To(acme.id, str(ann.id), SHOP)) == []


async def test_an_own_role_that_a_group_has_cannot_be_deleted_and_its_change_is_told(
    iam, acme, me, ann, ops
):
    own = await iam.roles.create(me, NewRole(name="Own", permissions=["user:read"]))
    await iam.assignments.give(me, To(acme.id, "g_ops"), own.id, Window())
    with pytest.raises(RoleAssigned):
        await iam.roles.delete(me, own.id, None)
    iam.world.changes.clear()
    await iam.roles.update(me, own.id, RoleChange(permissions=["role:read"]))
    assert str(ann.id) in {c.id for c in iam.world.changes}


async def test_accounts_of_pipelines_and_services_hold_roles_too(iam, acme, me, shop):
    await iam.gitops.create(me, C.SERVICE_ACCOUNTS, Draft(key="sa_ci"))
    to = To(acme.id, "sa_ci", Where("object", "flag:f1"))
    await iam.assignments.give(me, to, "developer", Window())
    assert [str(g.at) for g in await iam.assignments.of(me, to)] == ["object:flag:f1"]
    with pytest.raises(GuestAccount):
        await iam.assignments.give(
            replace(me, platform=True), To(acme.id, "sa_ci", PLATFORM), "user", Window()
        )
