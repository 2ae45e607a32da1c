from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.errors import Forbidden
from iam.domain.authority import Kind
from iam.domain.errors import (
    LastAdmin,
    MoreThanYouHold,
    SelfDemotion,
    TenantNotFound,
    UnknownUser,
    UserNotFound,
)
from iam.domain.grant_errors import (
    RoleAssigned,
    RoleNameTaken,
    RoleNotFound,
    RoleNotHeld,
    RoleStale,
    SystemRole,
    UnknownPermission,
    UnknownRole,
)
from iam.domain.grants import Grant, Window
from iam.usecases.assignments import To
from iam.usecases.roles import NewRole, RoleChange
from iam.usecases.users import NewUser, UserChange

KEEPER = NewRole(name="Keeper", permissions=["user:read", "toggle_feature_flags"])


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


@pytest.fixture
def keeper(iam, me):
    async def made():
        return await iam.roles.create(me, KEEPER)

    return made


async def held(iam, user):
    async with iam.work() as work:
        return (await work.users.get(None, user.id)).permissions


async def test_a_role_of_ones_own_is_made_listed_and_counted(iam, me, ann, keeper):
    role = await keeper()
    assert (role.permissions, role.system) == ({"user:read", "flag:toggle"}, False)
    await iam.assignments.put_users(me, role.id, [ann.id])
    counted = {r.label: n for r, n in await iam.roles.list(me)}
    assert (counted["Keeper"], counted["user"]) == (1, 1)
    assert await iam.roles.get(me, role.id) == (role, 1)
    assert iam.world.actions() == ["role.created", "role.assigned"]
    assert iam.world.facts[0].after["permissions"] == ["flag:toggle", "user:read"]


async def test_nobody_makes_or_changes_a_role_that_holds_more_than_they_do(iam, boss, make, me):
    lesser = make.caller(boss, permissions=boss.permissions - {"vm:delete"})
    with pytest.raises(MoreThanYouHold):
        await iam.roles.create(lesser, NewRole(name="x", permissions=["vm:delete"]))
    role = await iam.roles.create(me, NewRole(name="x", permissions=["vm:delete"]))
    for attempt in (
        iam.roles.update(lesser, role.id, RoleChange(permissions=["user:read"])),
        iam.roles.update(lesser, role.id, RoleChange(name="y")),
        iam.roles.remove(lesser, role.id, ["vm:delete"]),
        iam.roles.delete(lesser, role.id, None),
    ):
        with pytest.raises(MoreThanYouHold):
            await attempt
    small = await iam.roles.create(lesser, NewRole(name="small"))
    with pytest.raises(MoreThanYouHold):
        await iam.roles.add(lesser, small.id, ["vm:delete"])
    assert iam.world.roles[role.id] == role


async def test_a_changed_role_is_told_for_everybody_who_has_it(iam, me, ann, keeper):
    role = await keeper()
    await iam.assignments.put_users(me, role.id, [ann.id])
    iam.world.changes.clear()
    after, count = await iam.roles.update(me, role.id, RoleChange(permissions=["vm:read"]))
    assert (after.version, count) == (2, 1)
    assert [(c.kind, c.id) for c in iam.world.changes] == [(Kind.SUBJECT, str(ann.id))]
    assert "vm:read" in await held(iam, ann)
    assert "flag:toggle" not in await held(iam, ann)
    with pytest.raises(RoleStale):
        await iam.roles.update(me, role.id, RoleChange(name="x", expected=1))


async def test_permissions_go_in_and_out_one_by_one_and_twice_is_once(iam, me, keeper):
    role = await keeper()
    assert (await iam.roles.add(me, role.id, ["flag:toggle"])).version == 1
    assert (await iam.roles.add(me, role.id, ["vm:read"])).version == 2
    left = await iam.roles.remove(me, role.id, ["flag:toggle", "vm:read"])
    assert left.permissions == {"user:read"}
    with pytest.raises(UnknownPermission):
        await iam.roles.add(me, role.id, ["vm:explode"])


@pytest.mark.parametrize("name", ["Admin", "Super administrator", "kEEPER", "VIEWER"])
async def test_a_name_that_is_taken_in_any_case_is_refused(iam, me, keeper, name):
    await keeper()
    with pytest.raises(RoleNameTaken):
        await iam.roles.create(me, NewRole(name=name))


async def test_a_role_that_somebody_has_cannot_be_deleted(iam, me, ann, keeper):
    role = await keeper()
    await iam.assignments.put_users(me, role.id, [ann.id])
    with pytest.raises(RoleAssigned):
        await iam.roles.delete(me, role.id, None)
    await iam.assignments.put_users(me, role.id, [])
    await iam.roles.delete(me, role.id, 1)
    with pytest.raises(RoleNotFound):
        await iam.roles.get(me, role.id)
    assert iam.world.actions()[-2:] == ["role.unassigned", "role.deleted"]


async def test_system_roles_stay_as_they_are(iam, me):
    for attempt in (
        iam.roles.update(me, "viewer", RoleChange(name="x")),
        iam.roles.add(me, "viewer", ["vm:delete"]),
        iam.roles.delete(me, "viewer", None),
    ):
        with pytest.raises(SystemRole):
            await attempt


async def test_a_role_of_another_tenant_is_not_there(iam, me, keeper, make, ann):
    role = await keeper()
    stranger = make.caller(iam.user(iam.tenant("other"), "s@x.y", roles=["admin"]))
    for attempt in (
        iam.roles.get(stranger, role.id),
        iam.roles.update(stranger, role.id, RoleChange(name="x")),
        iam.roles.delete(stranger, role.id, None),
        iam.assignments.users(stranger, role.id),
        iam.assignments.put_users(stranger, role.id, []),
    ):
        with pytest.raises(RoleNotFound):
            await attempt
    assert role.id not in [r.id for r, _ in await iam.roles.list(stranger)]
    with pytest.raises(TenantNotFound):
        await iam.assignments.give(stranger, To(ann.tenant, str(ann.id)), "viewer", Window())
    with pytest.raises(UserNotFound):
        await iam.assignments.give(stranger, To(stranger.tenant, str(ann.id)), "viewer", Window())
    with pytest.raises(UnknownUser):
        await iam.assignments.put_users(stranger, "viewer", [ann.id])
    with pytest.raises(UnknownRole):
        new = NewUser(email="n@x.y", password="long enough", roles=[role.id])
        await iam.users.create(stranger, new)


async def test_users_can_be_made_with_and_given_own_roles_by_name(iam, me, make, ann, keeper):
    await keeper()
    new = NewUser(email="n@x.y", password=make.password, roles=["user", "KEEPER"])
    user = await iam.users.create(me, new)
    assert user.roles == ("user", "Keeper")
    assert user.grants[0].granted_by == me.subject
    after = await iam.users.update(me, ann.id, UserChange(fields={}, roles=["Keeper"]))
    assert after.roles == ("Keeper",)


async def test_putting_users_gives_and_takes_all_of_it_or_nothing(iam, me, ann, acme, keeper):
    role, bob = await keeper(), iam.user(acme, "bob@acme.test")
    await iam.assignments.put_users(me, role.id, [ann.id])
    before = iam.world.copy()
    with pytest.raises(UnknownUser):
        await iam.assignments.put_users(me, role.id, [bob.id, uuid4()])
    assert iam.world == before
    assert await iam.assignments.put_users(me, role.id, [bob.id, bob.id]) == [bob.id]
    assert await iam.assignments.users(me, role.id) == [bob.id]
    assert iam.world.actions()[-2:].count("role.unassigned") == 1


async def test_nobody_gives_what_they_do_not_hold_or_to_whom_holds_more(iam, acme, ann, make):
    chief = iam.user(acme, "chief@acme.test", roles=["org_admin"])
    top = iam.user(acme, "top@acme.test", roles=["admin"])
    caller = make.caller(chief)
    for user, role in ((ann, "admin"), (chief, "admin"), (top, "viewer")):
        with pytest.raises(MoreThanYouHold):
            await iam.assignments.give(caller, To(acme.id, str(user.id)), role, Window())
    with pytest.raises(MoreThanYouHold):
        await iam.assignments.put_users(caller, "admin", [top.id, ann.id])


async def test_the_last_admin_stays_and_nobody_demotes_themselves(iam, acme, boss, me, make):
    with pytest.raises(SelfDemotion):
        await iam.assignments.take(me, To(acme.id, str(boss.id)), "admin")
    root = iam.user(iam.tenant("platform"), grants=(Grant("super_admin", "platform"),))
    with pytest.raises(LastAdmin):
        await iam.assignments.take(make.caller(root), To(acme.id, str(boss.id)), "admin")


async def test_a_role_for_a_time_begins_and_ends_by_itself(iam, acme, me, ann):
    at = iam.clock()
    window = Window(
        not_before=at + timedelta(hours=1), expires_at=at + timedelta(hours=2), reason="on call"
    )
    await iam.assignments.give(me, To(acme.id, str(ann.id)), "developer", window)
    (later,) = [g for g in await iam.assignments.of(me, To(acme.id, str(ann.id))) if g.reason]
    assert not later.held
    assert iam.world.facts[-1].reason == "on call"
    iam.world.changes.clear()
    assert await iam.assignments.turn() == 0
    iam.clock.forward(hours=1)
    assert "flag:toggle" in await held(iam, ann)
    assert (await iam.assignments.turn(), await iam.assignments.turn()) == (1, 0)
    iam.clock.forward(hours=1)
    assert "flag:toggle" not in await held(iam, ann)
    assert (await iam.assignments.turn(), await iam.assignments.turn()) == (1, 0)
    assert [c.id for c in iam.world.changes] == [str(ann.id)] * 2
    assert iam.world.actions()[-2:] == ["role.begun", "role.expired"]
    with pytest.raises(RoleNotHeld):
        await iam.assignments.take(me, To(acme.id, str(ann.id)), "developer")


async def test_every_verb_asks_for_its_permission_before_it_looks(iam, make, acme, ann):
    nobody = make.caller(ann)
    for attempt, permission in (
        (iam.roles.create(nobody, KEEPER), "role:create"),
        (iam.roles.get(nobody, "x"), "role:read"),
        (iam.roles.update(nobody, "x", RoleChange()), "role:update"),
        (iam.roles.add(nobody, "x", []), "role:update"),
        (iam.roles.delete(nobody, "x", None), "role:delete"),
        (iam.assignments.users(nobody, "x"), "role:read"),
        (iam.assignments.put_users(nobody, "x", []), "role:assign_users"),
        (iam.assignments.of(nobody, To(acme.id, str(ann.id))), "role:read"),
        (
            iam.assignments.give(nobody, To(acme.id, str(ann.id)), "x", Window()),
            "role:assign_users",
        ),
        (iam.assignments.take(nobody, To(acme.id, str(ann.id)), "x"), "role:assign_users"),
    ):
        with pytest.raises(Forbidden, match=permission):
            await attempt
