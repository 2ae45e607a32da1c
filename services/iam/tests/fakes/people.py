"""Organizations, people and accounts, in memory."""

from dataclasses import replace

from authz.confusable import skeleton
from chassis.pages import Slice
from iam.domain.account import Account
from iam.domain.errors import EmailTaken, TenantTaken, UsernameTaken
from iam.domain.gitops import Collection
from iam.domain.machine import Machine
from iam.domain.names import folded
from iam.domain.tenant import PLATFORM
from services.iam.tests.fakes.world import slice_of


class FakeTenants:
    def __init__(self, world):
        self._all = world.tenants

    async def get(self, tenant, *, lock=False):
        return self._all.get(tenant)

    async def named(self, subdomain):
        return next((t for t in self._all.values() if t.subdomain == subdomain), None)

    async def list(self, among, search, ask):
        found = [t for t in self._all.values() if among is None or t.id in among]
        texts = lambda t: (t.subdomain, t.name, t.full_name)  # noqa: E731
        found = [t for t in found if any(search.lower() in x.lower() for x in texts(t))]
        return slice_of(sorted(found, key=lambda t: t.subdomain), ask, lambda t: (t.subdomain,))

    async def alike(self, name):
        return [t for t in self._all.values() if skeleton(t.name) == skeleton(name)]

    async def put(self, tenant):
        other = await self.named(tenant.subdomain)
        if other and other.id != tenant.id:
            raise TenantTaken("taken")
        self._all[tenant.id] = tenant


class FakeUsers:
    def __init__(self, world, clock):
        self._world = world
        self._clock = clock

    def _here(self):
        return [self._read(u) for u in self._world.users.values() if u.deleted_at is None]

    def _read(self, user):
        """Add what groups and other tenants give; give the grants their roles as they are now."""
        w = self._world
        through = [
            replace(grant, through=group)
            for group in self._groups(user.id)
            for (tenant, who), grants in w.bindings.items()
            if who == group
            for grant in grants
            if tenant == user.tenant
        ]
        tenants = sorted(t for u, t in w.guests if u == user.id)
        elsewhere = [
            replace(grant, tenant=t) for t in tenants for grant in w.bindings.get((t, user.id), ())
        ]
        return replace(
            user,
            grants=tuple(sorted(self.read(g) for g in (*user.grants, *through))),
            tenants=tuple(tenants),
            elsewhere=tuple(sorted(map(self.read, elsewhere))),
        )

    def read(self, grant):
        now = self._clock()
        begun = grant.not_before is None or grant.not_before <= now
        over = grant.expires_at is not None and grant.expires_at <= now
        return replace(grant, custom=self._world.roles.get(grant.role), in_force=begun and not over)

    def _groups(self, principal):
        edges = [
            e
            for e in self._world.entities.values()
            if e.collection is Collection.MEMBERSHIPS and e.deleted_at is None
        ]
        reached, front = set(), {principal}
        for _ in range(10):
            front = {e.parent for e in edges if e.principal in front}
            reached |= front
        return reached

    def _within(self, tenant):
        found = [self._seen(u, tenant) for u in self._here()]
        return [u for u in found if u]

    def _seen(self, user, tenant):
        if tenant in (None, user.tenant):
            return user
        return user.within(tenant) if tenant in user.tenants else None

    async def get(self, tenant, user, *, lock=False):
        found = self._world.users.get(user)
        if found is None or found.deleted_at:
            return None
        return self._seen(self._read(found), tenant)

    async def list(self, query, ask):
        users = self._within(query.tenant)
        if query.guests:
            users = [u for u in users if u.guest]
        if query.brief:
            users = [u for u in users if u.active]
        if query.search:
            needle = query.search.lower()
            names = lambda u: (u.username or "", u.first_name, u.last_name)  # noqa: E731
            texts = names if query.brief else lambda u: (u.email, *names(u))
            users = [u for u in users if any(needle in t.lower() for t in texts(u))]
        name, down = query.sort.removeprefix("-"), query.sort.startswith("-")

        def position(user):
            value = folded(user.email) if name == "email" else getattr(user, name).isoformat()
            return value, str(user.id)

        users.sort(key=position, reverse=down)
        if ask.after:
            after = tuple(ask.after)
            users_left = [
                u for u in users if (position(u) < after if down else position(u) > after)
            ]
            page = users_left[: ask.limit]
            more = len(users_left) > ask.limit
            following = position(page[-1]) if more else None
            return Slice(items=page, next=following, total=len(users))
        return slice_of(users, ask, position)

    async def administrators(self, tenant, without):
        return sum(u.administers for u in self._within(tenant) if u.id != without)

    async def counts(self, tenant):
        here = self._within(tenant)
        roles = [r for u in here for r in {g.role for g in u.grants if g.wide and g.own}]
        return {role: roles.count(role) for role in roles}

    async def put(self, user):
        others = [u for u in self._here() if u.tenant == user.tenant and u.id != user.id]
        if user.deleted_at is None:
            if folded(user.email) in {folded(u.email) for u in others}:
                raise EmailTaken("taken")
            if user.username and folded(user.username) in {
                folded(u.username or "") for u in others
            }:
                raise UsernameTaken("taken")
        own = tuple(sorted(g for g in user.grants if g.own))
        if user.guest:
            own = tuple(g for g in own if g.scope != "platform")
            self._world.bindings[user.tenant, user.id] = own
        else:
            self._world.users[user.id] = replace(user, grants=own, tenants=(), elsewhere=())


class FakeMachines:
    def __init__(self, world, users):
        self._world = world
        self._users = users

    def here(self):
        kinds = (Collection.SERVICE_ACCOUNTS, Collection.PIPELINE_ACCOUNTS)
        things = self._world.entities.values()
        return [self._read(e) for e in things if e.collection in kinds and e.deleted_at is None]

    def _read(self, entity):
        given = self._world.bindings.items()
        own = [g for (_, who), grants in given if who == entity.id for g in grants]
        through = [
            replace(grant, through=group)
            for group in self._users._groups(entity.id)
            for (_, who), grants in given
            if who == group
            for grant in grants
        ]
        return Machine(
            id=entity.id,
            tenant=entity.tenant,
            kind=entity.collection.kind,
            name=entity.key,
            grants=tuple(sorted(self._users.read(g) for g in (*own, *through))),
        )

    async def get(self, tenant, id_):
        return next((m for m in self.here() if (m.tenant, m.id) == (tenant, id_)), None)


class FakeAccounts:
    def __init__(self, world, users):
        self._world = world
        self._users = users

    def _account(self, user):
        there, home = (self._world.tenants[t] for t in (user.tenant, user.home or user.tenant))
        return Account(
            id=user.id,
            tenant=user.tenant,
            name=user.name,
            password=user.password,
            subdomain=there.subdomain,
            open=user.active and there.active and home.active,
        )

    async def get(self, tenant, user):
        found = await self._users.get(tenant, user)
        return found and self._account(found)

    async def named(self, login, subdomain, limit):
        key = folded(login)
        slug = {t.id: t.subdomain for t in self._world.tenants.values()}
        tenant = next((id_ for id_, name in slug.items() if name == subdomain), None)
        if subdomain and tenant is None:
            return []
        meant = [
            u
            for u in self._users._within(tenant)
            if key in (folded(u.email), folded(u.username or ""))
        ]
        first = lambda u: u.guest if tenant else slug[u.tenant] != PLATFORM  # noqa: E731
        found = sorted(meant, key=lambda u: (first(u), u.id))[:limit]
        return [self._account(user) for user in found]

    async def logged_in(self, user, at, rehashed):
        known = self._world.users[user]
        password = known.password if rehashed is None else rehashed
        self._world.users[user] = replace(known, last_login_at=at, password=password)
