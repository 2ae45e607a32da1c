"""One contract for what /global keeps, on the fake and on PostgreSQL."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from chassis.db import DatabaseAway
from chassis.errors import Conflict
from chassis.pages import PageAsk
from iam.domain.acl import Acl, Entry
from iam.domain.authority import Kind
from iam.domain.gitops import C, Draft, Entity, EntityQuery, Ref
from iam.domain.gitops_errors import KeyTaken
from iam.ports import Means
from iam.usecases.gitops import Gitops

READ, ROOT = 7, 127


@pytest.fixture
async def tenant(work, make):
    made = make.tenant()
    async with work() as w:
        await w.tenants.put(made)
    return made


@pytest.fixture
async def ann(work, tenant, make):
    made = make.user(tenant=tenant.id, username=f"ann{uuid4().hex[:8]}")
    async with work() as w:
        await w.users.put(made)
    return made


@pytest.fixture
def thing(tenant, make):
    def made(collection=C.GROUPS, key=None, **more):
        prefix = {C.GROUPS: "g_", C.SERVICE_ACCOUNTS: "sa_", C.PIPELINE_ACCOUNTS: "pa_"}
        key = f"{prefix.get(collection, '')}{uuid4().hex[:8]}" if key is None else key
        times = {"created_at": make.start, "updated_at": make.start}
        values = {"id": uuid4(), "tenant": tenant.id, "collection": collection, "key": key}
        return Entity(**(values | times | more))

    return made


async def keep(work, *entities):
    async with work() as w:
        for entity in entities:
            await w.entities.put(entity, Acl())


async def listed(work, tenant, collection, readers=None, limit=100, after=None, search=""):
    query = EntityQuery(
        tenant=tenant.id,
        collection=collection,
        readers=None if readers is None else frozenset(readers),
        search=search,
    )
    async with work() as w:
        return await w.entities.list(query, PageAsk(limit=limit, after=after))


def edge_of(thing, principal, group):
    return thing(C.MEMBERSHIPS, "", principal=principal, parent=group.id, inherits=True)


async def test_a_thing_comes_back_as_it_was_put(work, thing, tenant, ann):
    acl = Acl((Entry(READ, (ann.id,)), Entry(ROOT, (ann.id,), "groups")), thing().created_at)
    group = thing(
        fields={"name": "Óps"}, labels={"a": "b"}, annotations={"c": "d"}, acl=acl, creator=ann.id
    )
    await keep(work, group)
    async with work() as w:
        assert await w.entities.get(tenant.id, C.GROUPS, group.id) == group
        assert await w.entities.get(None, C.GROUPS, group.id) == group
        assert await w.entities.named(tenant.id, C.GROUPS, group.key) == group
        assert await w.entities.get(uuid4(), C.GROUPS, group.id) is None
        assert await w.entities.get(tenant.id, C.PROJECTS, group.id) is None
        assert await w.entities.named(uuid4(), C.GROUPS, group.key) is None


async def test_a_part_of_a_key_finds_people_and_memberships(work, thing, tenant, ann, make):
    other = make.user(tenant=tenant.id, username=f"bob{uuid4().hex[:8]}")
    async with work() as w:
        await w.users.put(other)
    ops, robot = thing(), thing(C.SERVICE_ACCOUNTS)
    edges = [edge_of(thing, one.id, ops) for one in (ann, other, robot)]
    await keep(work, ops, robot, *edges)

    async def found(collection, search):
        return {e.id for e in (await listed(work, tenant, collection, search=search)).items}

    assert await found(C.USERS, f"u_{ann.username}") == {ann.id}
    assert await found(C.USERS, "U_ANN") == {ann.id}
    assert await found(C.USERS, ann.email) == {ann.id}
    assert await found(C.MEMBERSHIPS, f"::{ops.key}") == {e.id for e in edges}
    assert await found(C.MEMBERSHIPS, f"u_{ann.username}::") == {edges[0].id}
    assert await found(C.MEMBERSHIPS, f"{robot.key}::{ops.key}") == {edges[2].id}
    assert await found(C.MEMBERSHIPS, "g_elsewhere") == await found(C.USERS, "u_%") == set()


async def test_accounts_are_told_among_the_subjects_with_what_they_hold(work, thing, tenant, make):
    ops, robot, pipe = thing(), thing(C.SERVICE_ACCOUNTS), thing(C.PIPELINE_ACCOUNTS)
    gone = replace(thing(C.SERVICE_ACCOUNTS), deleted_at=make.start)
    await keep(work, ops, robot, pipe, gone, edge_of(thing, robot.id, ops))
    async with work() as w:
        await w.bindings.put(tenant.id, robot.id, [make.grant("viewer")])
        await w.bindings.put(tenant.id, ops.id, [make.grant("developer", "project", place="shop")])
    async with work() as w:
        found = await w.machines.get(tenant.id, robot.id)
        assert (found.kind, found.name, found.roles) == ("service_account", robot.key, ("viewer",))
        assert [(g.role, g.through) for g in found.grants] == [
            ("developer", ops.id),
            ("viewer", None),
        ]
        assert (await w.machines.get(tenant.id, pipe.id)).kind == "pipeline_account"
        for id_ in (gone.id, ops.id, uuid4()):
            assert await w.machines.get(tenant.id, id_) is None
        assert await w.machines.get(uuid4(), robot.id) is None
        ids = [str(one.id) for one in (robot, pipe, gone, ops)]
        told = await w.authority.things(Kind.SUBJECT, ids, make.start)
        assert told == {
            str(robot.id): found,
            str(pipe.id): await w.machines.get(tenant.id, pipe.id),
        }


async def test_users_and_accounts_are_paged_together_in_the_order_of_ids(work, thing, tenant, make):
    people = [make.user(tenant=tenant.id) for _ in range(3)]
    robots = [thing(C.SERVICE_ACCOUNTS) for _ in range(3)]
    await keep(work, *robots)
    async with work() as w:
        for person in people:
            await w.users.put(person)
    mine = sorted(str(one.id) for one in (*people, *robots))
    before = str(UUID(int=UUID(mine[0]).int - 1))
    async with work() as w:
        seen, after, full = [], before, True
        while full and not set(mine) <= set(seen):
            page = [id_ for id_, _ in await w.authority.page(Kind.SUBJECT, after, 2, make.start)]
            seen, full = [*seen, *page], len(page) == 2
            after = page[-1] if page else after
    assert seen == sorted(set(seen))
    assert set(mine) <= set(seen)


async def test_a_user_is_the_user_of_users(work, tenant, ann, thing):
    async with work() as w:
        found = await w.entities.named(tenant.id, C.USERS, f"u_{ann.username}")
        assert (found.id, found.version, found.fields["email"]) == (ann.id, 1, ann.email)
        assert found.labels == {}
        await w.entities.put(replace(found, labels={"team": "x"}), Acl())
        await w.users.put(replace(ann, first_name="Änn", version=2))
    async with work() as w:
        found = await w.entities.get(tenant.id, C.USERS, ann.id)
        assert (found.labels, found.fields["first_name"], found.version) == (
            {"team": "x"},
            "Änn",
            2,
        )
        assert await w.entities.named(tenant.id, C.USERS, f"u_{ann.username.upper()}") is None


async def test_keys_are_free_again_when_their_thing_is_deleted(work, thing, tenant, make):
    group = thing(key="g_Ops")
    await keep(work, group)
    with pytest.raises(KeyTaken):
        await keep(work, thing(key="g_oPS"))
    await keep(work, group.deleted(make.start))
    again = thing(key="g_ops")
    await keep(work, again)
    async with work() as w:
        assert await w.entities.named(tenant.id, C.GROUPS, "g_Ops") is None
        assert (await w.entities.named(tenant.id, C.GROUPS, "g_ops")).id == again.id
        assert {group.id, again.id} <= {e.id for e in await w.entities.dump(C.GROUPS, 10_000)}


async def test_two_edges_between_the_same_ends_are_one(work, thing, ann, tenant):
    group = thing()
    await keep(work, group, edge_of(thing, ann.id, group))
    with pytest.raises(KeyTaken):
        await keep(work, edge_of(thing, ann.id, group))
    async with work() as w:
        key = f"u_{ann.username}::{group.key}"
        assert (await w.entities.named(tenant.id, C.MEMBERSHIPS, key)).principal == ann.id
        assert await w.entities.named(tenant.id, C.MEMBERSHIPS, f"u_no::{group.key}") is None


async def test_lists_go_on_where_they_stopped(work, thing, tenant):
    groups = [thing() for _ in range(5)]
    await keep(work, *groups)
    seen, after = [], None
    for _ in range(3):
        part = await listed(work, tenant, C.GROUPS, limit=2, after=after)
        seen += [entity.key for entity in part.items]
        after = part.next
    assert after is None
    assert sorted(seen) == sorted(group.key for group in groups)
    assert len(seen) == 5
    found = await listed(work, tenant, C.GROUPS, search=groups[0].key[2:].upper())
    assert [entity.key for entity in found.items] == [groups[0].key]


async def test_a_list_shows_what_one_of_the_readers_may_list(work, thing, tenant, ann):
    other = uuid4()
    mine = thing(acl=Acl((Entry(2, (ann.id,)),)))
    await keep(work, mine, thing(acl=Acl((Entry(1 | 4, (ann.id,)), Entry(ROOT, (other,))))))
    assert [e.id for e in (await listed(work, tenant, C.GROUPS, {ann.id})).items] == [mine.id]
    assert (await listed(work, tenant, C.GROUPS, {uuid4()})).items == []
    assert (await listed(work, tenant, C.GROUPS, set())).items == []


async def test_users_see_themselves_and_whom_a_list_lets_them_see(work, tenant, ann, make):
    bob = make.user(tenant=tenant.id)
    async with work() as w:
        await w.users.put(bob)
    assert [e.id for e in (await listed(work, tenant, C.USERS, {ann.id})).items] == [ann.id]
    async with work() as w:
        found = await w.entities.get(tenant.id, C.USERS, bob.id)
        await w.entities.put(replace(found, acl=Acl((Entry(READ, (ann.id,)),))), Acl())
    seen = await listed(work, tenant, C.USERS, {ann.id})
    assert {e.id for e in seen.items} == {ann.id, bob.id}


async def test_a_new_list_of_a_project_changes_who_sees_what_is_in_it(work, thing, tenant, ann):
    project = thing(C.PROJECTS)
    group = thing(parent=project.id, inherits=True)
    account = thing(C.PIPELINE_ACCOUNTS, parent=project.id, inherits=True)
    own = thing(parent=project.id)
    await keep(work, project, group, account, own, edge_of(thing, ann.id, group))
    everything = (C.GROUPS, C.MEMBERSHIPS, C.PIPELINE_ACCOUNTS)
    for collection in everything:
        assert (await listed(work, tenant, collection, {ann.id})).items == []
    await keep(work, replace(project, acl=Acl((Entry(READ, (ann.id,), "groups"),))))
    seen = [(await listed(work, tenant, c, {ann.id})).items for c in everything]
    assert [len(items) for items in seen] == [1, 1, 0]
    assert seen[0][0].id == group.id
    await keep(work, replace(project, acl=Acl()))
    for collection in everything:
        assert (await listed(work, tenant, collection, {ann.id})).items == []


async def test_groups_are_found_through_groups_and_circles_do_no_harm(work, thing, ann):
    groups = [thing() for _ in range(13)]
    edges = [edge_of(thing, ann.id, groups[0])]
    edges += [edge_of(thing, groups[n].id, groups[n + 1]) for n in range(12)]
    edges.append(edge_of(thing, groups[3].id, groups[0]))
    await keep(work, *groups, *edges)
    async with work() as w:
        assert await w.entities.groups(ann.id, 10) == {g.id for g in groups[:10]}
        assert await w.entities.groups(uuid4(), 10) == frozenset()
    await keep(work, edges[2].deleted(edges[2].created_at))
    async with work() as w:
        assert await w.entities.groups(ann.id, 10) == {g.id for g in groups[:2]}


async def test_principals_are_known_by_key_and_id_and_in_their_tenant_only(work, thing, ann, make):
    account = thing(C.SERVICE_ACCOUNTS)
    gone = thing().deleted(make.start)
    await keep(work, account, gone)
    async with work() as w:
        asked = [f"u_{ann.username}", account.key, str(ann.id), "g_none", gone.key]
        found = await w.entities.principals(ann.tenant, asked)
        assert found == {asked[0]: ann.id, asked[1]: account.id, asked[2]: ann.id}
        assert await w.entities.principals(uuid4(), asked) == {}
        keys = await w.entities.keys(ann.tenant, {ann.id, account.id, gone.id, uuid4()})
        assert keys == {ann.id: asked[0], account.id: account.key}
        assert await w.entities.keys(uuid4(), {ann.id, account.id}) == {}


async def test_what_is_tied_to_a_thing_is_found(work, thing, ann):
    group, inner = thing(), thing()
    edges = [edge_of(thing, ann.id, group), edge_of(thing, inner.id, group)]
    await keep(work, group, inner, *edges)
    async with work() as w:
        assert {e.id for e in await w.entities.tied(group.id)} == {e.id for e in edges}
        assert {e.id for e in await w.entities.tied(inner.id)} == {edges[1].id}


async def test_holders_of_a_super_permission_are_found(work, ann):
    async with work() as w:
        assert ann.id not in await w.entities.holders("adm_config_editor")
        await w.users.put(ann.empowered("adm_config_editor", held=True))
    async with work() as w:
        assert ann.id in await w.entities.holders("adm_config_editor")


async def test_whoever_makes_the_same_thing_at_once_makes_one(work, ann, iam, make):
    caller = make.caller(ann, permissions=make.permissions_of(["admin"]))
    async with work() as w:
        await w.users.put(replace(ann, grants=(make.grant("admin"),)))
    gitops = Gitops(work, iam.passwords, None, Means(iam.clock, uuid4, str))

    async def patiently(ask):
        """Ask again where the queue of writers was longer than the database lets one wait: nothing was changed."""
        async with asyncio.timeout(60):
            while True:
                try:
                    return await ask()
                except DatabaseAway:
                    continue

    async def upsert(n):
        draft = Draft(labels={f"l{n}": "x"})
        ref = Ref(C.GROUPS, "g_race")
        return await patiently(lambda: gitops.upsert(caller, ref, draft))

    async def create():
        try:
            return await patiently(lambda: gitops.create(caller, C.PROJECTS, Draft(key="race")))
        except Conflict as fault:
            return fault.code

    seen = await asyncio.gather(*(upsert(n) for n in range(8)))
    assert len({one.entity.id for one in seen}) == 1
    assert {one.entity.version for one in seen} == set(range(1, 9))
    made = await asyncio.gather(*(create() for _ in range(6)))
    assert made.count("iam.gitops_id_taken") == 5
