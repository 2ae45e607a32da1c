"""Service and pipeline accounts act by keys of their own: who may make one, what it may do, and how it ends."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from authz.replica import Replica
from chassis.caller import Caller
from chassis.errors import Forbidden
from chassis.facts import Actor
from chassis.pages import PageAsk
from iam.domain.acl import EntryDraft
from iam.domain.authority import Kind, News, decisive_machine
from iam.domain.errors import KeyNotFound
from iam.domain.gitops import C, Draft, Ref
from iam.domain.gitops_errors import NothingThere
from iam.domain.grant_errors import AccountKeyKind, UnknownAccount
from iam.usecases.api_keys import NewKey
from iam.usecases.decisions import Question


@pytest.fixture
def boss(iam, make):
    return make.caller(iam.user(iam.tenant(), "boss@acme.test", roles=["admin"]))


@pytest.fixture
async def robot(iam, boss):
    seen = await iam.gitops.create(boss, C.SERVICE_ACCOUNTS, Draft(key="sa_ci"))
    return seen.entity


@pytest.fixture
def acting(iam):
    """Return the caller that an account is, as services see it by what iam tells them."""

    async def caller(account, scope=None, credential="key-1"):
        async with iam.work() as work:
            machine = await work.machines.get(account.tenant, account.id)
        subject = decisive_machine(machine)
        known, tenant = Replica(), str(machine.tenant)
        standing = known.standing(subject, tenant, scope, iam.clock().timestamp())
        return Caller(
            subject=subject.id,
            tenant=machine.tenant,
            kind="service_account",
            name=subject.name,
            account=subject.id,
            credential=credential,
            key_kind="management",
            scope=scope,
            standing=standing,
            permissions=standing.permissions,
        )

    return caller


def new(account="sa_ci", **more):
    return NewKey(**{"name": "ci", "kind": "management", "account": account, **more})


async def test_a_key_is_made_for_an_account_by_its_key_or_its_id(iam, boss, robot):
    for name in ("sa_ci", str(robot.id)):
        key, text = await iam.keys.create(boss, new(name))
        assert (key.owner, key.kind, key.environment) == (robot.id, "management", "")
        assert key.scopes == boss.permissions
        assert text not in repr(iam.world)
    assert iam.world.facts[-1].actor.id == boss.subject


async def test_who_may_make_keys_of_the_tenant_but_not_change_the_account_is_told_of_none(
    iam, boss, robot, make
):
    user = iam.user(iam.world.tenants[boss.tenant], "k@acme.test", roles=())
    keeper = make.caller(user, permissions=frozenset({"api_key:create", "flag:read"}))
    for name in ("sa_ci", str(robot.id), "sa_none", str(uuid4()), "u_boss", "g_none"):
        with pytest.raises(UnknownAccount, match="there is no account"):
            await iam.keys.create(keeper, new(name, scopes=["flag:read"]))
    assert not iam.world.keys


async def test_a_key_of_an_account_needs_a_permission_and_is_a_management_key(
    iam, boss, robot, make
):
    ann = make.caller(iam.user(iam.world.tenants[boss.tenant], roles=["developer"]))
    with pytest.raises(Forbidden, match="api_key:create"):
        await iam.keys.create(ann, new())
    with pytest.raises(AccountKeyKind):
        await iam.keys.create(boss, new(kind="server"))


async def test_another_tenants_account_is_none(iam, robot, make):
    stranger = make.caller(iam.user(iam.tenant("other"), "s@x.y", roles=["admin"]))
    for name in ("sa_ci", str(robot.id)):
        with pytest.raises(UnknownAccount):
            await iam.keys.create(stranger, new(name))


async def test_an_account_does_what_it_and_its_groups_were_given(iam, boss, robot, acting, make):
    assert not (await acting(robot)).permissions
    to = make.to(boss.tenant, "sa_ci")
    await iam.assignments.give(boss, to, "viewer", make.window(granted_by=boss.subject))
    assert (await acting(robot)).may("flag:read")
    await iam.gitops.create(boss, C.GROUPS, Draft(key="g_ops"))
    await iam.assignments.give(boss, make.to(boss.tenant, "g_ops"), "developer", make.window())
    await iam.gitops.create(boss, C.MEMBERSHIPS, Draft(key="sa_ci::g_ops"))
    told = [change.id for change in iam.world.changes if change.kind is Kind.SUBJECT]
    assert told[-1] == str(robot.id)
    assert (await acting(robot)).may("flag:toggle")
    assert not (await acting(robot, frozenset({"flag:read"}))).may("flag:toggle")


async def test_at_the_gitops_doors_an_account_is_known_by_its_roles_groups_and_entries(
    iam, boss, robot, acting, make
):
    ops = (await iam.gitops.create(boss, C.GROUPS, Draft(key="g_ops"))).entity
    me, at = await acting(robot), Ref(C.GROUPS, "g_ops")
    with pytest.raises(NothingThere):
        await iam.gitops.get(me, at)
    await iam.gitops.upsert(boss, at, Draft(acl=[EntryDraft(7, ("sa_ci",))]))
    assert (await iam.gitops.get(me, at)).entity.id == ops.id
    assert [s.entity.id for s in (await iam.gitops.list(me, C.GROUPS, "", PageAsk())).items] == [
        ops.id
    ]
    question = Question(permission="group:read", kind="group", id="g_ops")
    assert await iam.decisions.check(me, [question]) == [True]
    about = Question(permission="group:read", kind="group", id="g_ops", subject=str(robot.id))
    assert await iam.decisions.check(boss, [about]) == [True]


async def test_what_an_account_does_the_log_tells_by_its_name(iam, boss, robot, acting, make):
    to = make.to(boss.tenant, "sa_ci")
    await iam.assignments.give(boss, to, "org_admin", make.window(granted_by=boss.subject))
    mine, _ = await iam.keys.create(boss, new())
    me = await acting(robot, credential=str(mine.id))
    assert Actor.of(me) == Actor("service_account", str(robot.id), "sa_ci", str(mine.id))
    await iam.gitops.create(me, C.GROUPS, Draft(key="g_made"))
    assert iam.world.facts[-1].actor == Actor.of(me)
    key, _ = await iam.keys.create(me, NewKey(name="next", kind="management"))
    assert (key.owner, key.maker) == (robot.id, UUID(boss.subject))


async def test_who_deletes_an_account_ends_its_keys(iam, boss, robot):
    key, _ = await iam.keys.create(boss, new())
    await iam.keys.rotate(boss, key.id, timedelta(hours=1))
    await iam.gitops.delete(boss, Ref(C.SERVICE_ACCOUNTS, "sa_ci"))
    with pytest.raises(KeyNotFound):
        await iam.keys.get(boss, key.id)
    assert "api_key.revoked" in iam.world.actions()
    hashes = {version.hash for version in iam.world.keys[key.id].versions}
    gone = {c.id for c in iam.world.changes if c.kind is Kind.API_KEY}
    assert hashes <= gone
    lines = [change for change in iam.world.changes if change.id == str(robot.id)]
    async with iam.work() as work:
        assert (await iam.feed.told(work, lines[-1:]))[0] == News(
            lines[-1].epoch, Kind.SUBJECT, str(robot.id), None
        )


async def test_who_deletes_a_project_ends_the_keys_of_its_pipelines(iam, boss):
    await iam.gitops.create(boss, C.PROJECTS, Draft(key="shop"))
    draft = Draft(key="pa_build", fields={"project": "shop"})
    await iam.gitops.create(boss, C.PIPELINE_ACCOUNTS, draft)
    key, _ = await iam.keys.create(boss, new("pa_build"))
    await iam.gitops.delete(boss, Ref(C.PROJECTS, "shop"))
    assert iam.world.keys[key.id].revoked_at
