"""One contract for roles at every scope, for groups and for guests, on the fake and on PostgreSQL."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from uuid import uuid4

import pytest

from chassis.pages import PageAsk
from iam.domain.acl import Acl
from iam.domain.external import Line
from iam.domain.gitops import C, Entity
from iam.domain.grants import Grant, Where
from iam.domain.reach_errors import AlreadyMember, LineTaken
from iam.ports import UserQuery

SHOP = Where("project", "shop")


@pytest.fixture
def put(work, make):
    """Return a maker of tenants, users, groups and memberships that are stored at once."""

    class Put:
        async def tenant(self):
            made = make.tenant()
            async with work() as w:
                await w.tenants.put(made)
            return made

        async def user(self, tenant, *grants, **more):
            made = make.user(tenant=tenant.id, grants=grants, **more)
            async with work() as w:
                await w.users.put(made)
            return made

        async def group(self, tenant, *members, grants=()):
            made = self._thing(tenant, C.GROUPS, f"g_{uuid4().hex[:8]}")
            async with work() as w:
                await w.entities.put(made, Acl())
                await w.bindings.put(tenant.id, made.id, grants)
            for member in members:
                await self.edge(tenant, member, made)
            return made

        async def edge(self, tenant, member, group):
            ends = {"principal": member.id, "parent": group.id}
            async with work() as w:
                await w.entities.put(self._thing(tenant, C.MEMBERSHIPS, "", **ends), Acl())

        def _thing(self, tenant, collection, key, **more):
            times = {"created_at": make.start, "updated_at": make.start}
            what = {"id": uuid4(), "tenant": tenant.id, "collection": collection, "key": key}
            return Entity(**what, **times, **more)

    return Put()


async def test_one_role_is_held_at_many_scopes_at_once(work, put):
    acme = await put.tenant()
    grants = (
        Grant("viewer", "object", place="flag:1"),
        Grant("viewer", "platform"),
        Grant("viewer", "project", place="shop"),
        Grant("viewer", "project", place="shop", source="okta"),
        Grant("viewer"),
    )
    ann = await put.user(acme, *grants)
    async with work() as w:
        assert (await w.users.get(None, ann.id)).grants == grants
        assert await w.roles.holders(acme.id, "viewer", 9, SHOP) == [ann.id]
        assert await w.roles.holders(acme.id, "viewer", 9, Where("project", "other")) == []
        assert await w.users.counts(acme.id) == {"viewer": 1}
        assert await w.bindings.at(acme.id, SHOP) == [ann.id]
        await w.bindings.clear(acme.id, SHOP)
    async with work() as w:
        left = (await w.users.get(None, ann.id)).grants
        assert {str(g.at) for g in left} == {"object:flag:1", "platform", "tenant"}


async def test_what_a_group_holds_its_members_hold_through_ten_groups_and_circles(work, put):
    acme = await put.tenant()
    ann = await put.user(acme)
    groups = [await put.group(acme) for _ in range(11)]
    await put.edge(acme, ann, groups[0])
    for inner, outer in pairwise(groups):
        await put.edge(acme, inner, outer)
    await put.edge(acme, groups[10], groups[0])
    async with work() as w:
        await w.bindings.put(acme.id, groups[9].id, [Grant("developer")])
        await w.bindings.put(acme.id, groups[10].id, [Grant("viewer")])
        assert await w.bindings.matter(groups[0].id)
    async with work() as w:
        found = await w.users.get(acme.id, ann.id)
        assert found.grants == (Grant("developer", through=groups[9].id),)
        assert ann.id in await w.bindings.reached([groups[9].id])
        await w.users.put(found)  # writes nothing of what the group gives
    async with work() as w:
        assert await w.bindings.of(acme.id, ann.id) == []
        assert await w.bindings.of(acme.id, groups[9].id) == [Grant("developer")]


async def test_a_member_of_a_group_of_administrators_is_one(work, put):
    acme = await put.tenant()
    ann, off = await put.user(acme), await put.user(acme, active=False)
    group = await put.group(acme, ann, off, grants=[Grant("org_admin")])
    async with work() as w:
        assert await w.users.administrators(acme.id, None) == 1
        assert await w.users.administrators(acme.id, ann.id) == 0
        ends = (await w.users.get(acme.id, ann.id)).created_at + timedelta(days=36500)
        await w.bindings.put(acme.id, group.id, [Grant("org_admin", expires_at=ends)])
        assert await w.users.administrators(acme.id, None) == 0


async def test_a_guest_is_seen_from_each_tenant_with_what_they_hold_there(work, put):
    home, there, far = await put.tenant(), await put.tenant(), await put.tenant()
    ann = await put.user(home, Grant("admin"))
    async with work() as w:
        await w.guests.add(ann.id, there.id, "boss", ann.created_at)
        guest = await w.users.get(there.id, ann.id)
        assert (guest.tenant, guest.home, guest.grants) == (there.id, home.id, ())
        await w.users.put(replace(guest, grants=(Grant("org_admin"),)))
    async with work() as w:
        assert await w.users.get(far.id, ann.id) is None
        assert (await w.users.get(there.id, ann.id)).roles == ("org_admin",)
        known = await w.users.get(None, ann.id)
        assert (known.roles, known.tenants) == (("admin",), (there.id,))
        assert known.elsewhere == (Grant("org_admin", tenant=there.id),)
        assert await w.users.administrators(there.id, None) == 1
        assert await w.roles.holders(there.id, "org_admin", 9) == [ann.id]
        assert await w.users.counts(home.id) == {"admin": 1}
        await w.users.put(replace(known, grants=(Grant("viewer"),)))
    async with work() as w:
        assert (await w.users.get(there.id, ann.id)).roles == ("org_admin",)
        assert await w.guests.of(there.id) == [ann.id]
        await w.guests.remove(ann.id, there.id)
    async with work() as w:
        assert await w.users.get(there.id, ann.id) is None
        assert (await w.users.get(None, ann.id)).elsewhere == ()
        assert await w.users.administrators(there.id, None) == 0


async def test_nobody_is_a_guest_twice(work, put):
    home, there = await put.tenant(), await put.tenant()
    ann = await put.user(home)
    async with work() as w:
        await w.guests.add(ann.id, there.id, "boss", ann.created_at)
    with pytest.raises(AlreadyMember):
        async with work() as w:
            await w.guests.add(ann.id, there.id, "boss", ann.created_at)


async def test_a_tenants_list_has_its_guests_and_pages_over_them(work, put):
    home, there = await put.tenant(), await put.tenant()
    own, ann = await put.user(there), await put.user(home)
    async with work() as w:
        await w.guests.add(ann.id, there.id, "boss", ann.created_at)
    query = UserQuery(tenant=there.id, sort="email")
    async with work() as w:
        first = await w.users.list(query, PageAsk(limit=1))
        rest = await w.users.list(query, PageAsk(limit=1, after=first.next))
        assert {u.id for u in (*first.items, *rest.items)} == {own.id, ann.id}
        assert (first.total, rest.next) == (2, None)
        assert {u.tenant for u in (*first.items, *rest.items)} == {there.id}
        here = await w.users.list(UserQuery(tenant=home.id), PageAsk(limit=5))
        assert [u.id for u in here.items] == [ann.id]


async def test_a_guest_is_meant_by_their_name_where_they_are_one(work, put, make):
    home, there = await put.tenant(), await put.tenant()
    ann = await put.user(home)
    async with work() as w:
        assert await w.accounts.named(ann.email, there.subdomain, 4) == []
        await w.guests.add(ann.id, there.id, "boss", make.start)
        (meant,) = await w.accounts.named(ann.email, there.subdomain, 4)
        assert (meant.tenant, meant.subdomain) == (there.id, there.subdomain)
        assert await w.accounts.get(there.id, ann.id) == meant
        assert [a.tenant for a in await w.accounts.named(ann.email, None, 4)] == [home.id]
        assert await w.accounts.named(ann.email, "nowhere", 4) == []
        assert meant.open
        await w.tenants.put(replace(home, active=False))
    async with work() as w:  # whose own organization is disabled is a guest of nobody
        assert not (await w.accounts.get(there.id, ann.id)).open


async def test_a_groups_role_that_ends_is_told_with_what_it_was(work, put, make):
    acme = await put.tenant()
    past = make.start - timedelta(days=1)
    group = await put.group(acme, grants=[Grant("viewer", "project", expires_at=past, place="p")])
    async with work() as w:
        (one,) = [t for t in await w.bindings.turned(make.start, 999) if t.principal == group.id]
        assert (one.kind, one.scope, one.ended, one.tenant) == ("group", "project:p", True, acme.id)


async def test_the_table_of_outside_groups_comes_back_and_says_nothing_twice(work, put, make):
    acme, other = await put.tenant(), await put.tenant()
    line = Line(
        id=uuid4(),
        tenant=acme.id,
        idp="okta",
        claim="groups",
        value="devs",
        role="developer",
        where=SHOP,
        rule="highest",
        created_by="boss",
        created_at=make.start,
    )
    async with work() as w:
        await w.external.put(line)
        assert (
            await w.external.all(acme.id, 9) == await w.external.all(acme.id, 9, "okta") == [line]
        )
        assert await w.external.all(acme.id, 9, "entra") == await w.external.all(other.id, 9) == []
        assert await w.external.get(acme.id, line.id) == line
        assert await w.external.get(other.id, line.id) is None
        assert await w.external.naming("developer") >= 1
    with pytest.raises(LineTaken):
        async with work() as w:
            await w.external.put(replace(line, id=uuid4(), rule="union"))
    async with work() as w:
        await w.external.drop(line.id)
        assert await w.external.get(acme.id, line.id) is None


async def test_tenants_are_found_by_what_their_names_look_like(work, put, make):
    name = f"Scope {uuid4().hex}"
    twin = replace(make.tenant(), name=name.replace("Scope", "Ѕсоре"))  # noqa: RUF001 - Cyrillic
    async with work() as w:
        await w.tenants.put(twin)
        assert [t.id for t in await w.tenants.alike(name)] == [twin.id]
        assert await w.tenants.alike(name + "x") == []
