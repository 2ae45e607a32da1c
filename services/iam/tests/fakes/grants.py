"""Who may do what and who belongs where, in memory."""

from dataclasses import replace

from authz.confusable import skeleton
from chassis.pages import Slice
from iam.domain.errors import InvitationPending
from iam.domain.gitops import Collection
from iam.domain.grant_errors import RoleNameTaken
from iam.domain.grants import TENANT
from iam.domain.names import folded
from iam.domain.reach_errors import AlreadyMember, LineTaken
from iam.ports import Turned


class FakeRoles:
    def __init__(self, world, users):
        self._world = world
        self._users = users

    async def get(self, tenant, role, *, lock=False, keep=False):
        found = self._world.roles.get(str(role))
        return found if found and tenant in (None, found.tenant) else None

    async def named(self, tenant, name, *, keep=False):
        mine = (r for r in self._world.roles.values() if r.tenant == tenant)
        return next((r for r in mine if folded(r.name) == folded(name)), None)

    async def all(self, tenant, limit):
        mine = [r for r in self._world.roles.values() if r.tenant == tenant]
        return sorted(mine, key=lambda r: folded(r.name))[:limit]

    async def holders(self, tenant, role, limit, where=TENANT):
        def has(user):
            mine = [g for g in user.grants if g.own and g.role == role]
            return any(g.wide if where.wide else g.at == where for g in mine)

        return sorted(u.id for u in self._users._within(tenant) if has(u))[:limit]

    async def put(self, role):
        mine = [r for r in self._world.roles.values() if r.tenant == role.tenant]
        if any(skeleton(r.name) == skeleton(role.name) for r in mine if r.id != role.id):
            raise RoleNameTaken("taken")
        self._world.roles[role.id] = role

    async def drop(self, role):
        del self._world.roles[str(role)]


class FakeBindings:
    def __init__(self, world, users):
        self._world = world
        self._users = users

    def _own(self):
        """Yield (tenant, principal, grant) of everything that was given."""
        for user in self._world.users.values():
            yield from ((user.tenant, user.id, g) for g in user.grants if not user.deleted_at)
        for (tenant, principal), grants in self._world.bindings.items():
            yield from ((tenant, principal, g) for g in grants)

    async def of(self, tenant, principal):
        found = [g for t, p, g in self._own() if (t, p) == (tenant, principal)]
        return sorted(self._users.read(g) for g in found if g.scope != "platform")

    async def put(self, tenant, principal, grants):
        self._world.bindings[tenant, principal] = tuple(g for g in grants if g.own)

    async def at(self, tenant, where):
        return sorted({p for t, p, g in self._own() if t == tenant and g.at == where})

    async def clear(self, tenant, where):
        for key, grants in list(self._world.bindings.items()):
            if key[0] == tenant:
                self._world.bindings[key] = tuple(g for g in grants if g.at != where)
        for user in list(self._world.users.values()):
            if user.tenant == tenant:
                left = tuple(g for g in user.grants if g.at != where)
                self._world.users[user.id] = replace(user, grants=left)

    async def holders(self, role):
        return sorted({p for _, p, g in self._own() if g.role == role})

    async def reached(self, principals):
        edges = [
            e
            for e in self._world.entities.values()
            if e.collection is Collection.MEMBERSHIPS and e.deleted_at is None
        ]
        reached = front = set(principals)
        for _ in range(10):
            front = {e.principal for e in edges if e.parent in front}
            reached = reached | front
        return list(reached)

    async def through(self, group):
        above = {group, *self._users._groups(group)}
        return [self._users.read(g) for _, p, g in self._own() if p in above]

    async def matter(self, group):
        return bool(await self.through(group))

    async def turned(self, now, limit):
        found = []

        def kept(principal, tenant, grants, kind):
            for grant in grants:
                over = grant.expires_at is not None and grant.expires_at <= now
                begins = grant.not_before is not None and grant.not_before <= now
                known = (principal, grant.role, grant.not_before, str(grant.at))
                if over or (begins and known not in self._world.begun):
                    self._world.begun.add(known)
                    where = str(grant.at)
                    found.append(Turned(principal, tenant, grant.role, over, kind, where))
                if not over:
                    yield grant

        for user in list(self._world.users.values()):
            left = tuple(kept(user.id, user.tenant, user.grants, "user"))
            self._world.users[user.id] = replace(user, grants=left)
        for (tenant, principal), grants in list(self._world.bindings.items()):
            thing = self._world.entities.get(principal)
            kind = thing.collection.kind if thing else "user"
            left = tuple(kept(principal, tenant, grants, kind))
            self._world.bindings[tenant, principal] = left
        return found


class FakeExternal:
    def __init__(self, world):
        self._all = world.lines

    async def all(self, tenant, limit, idp=""):
        found = [x for x in self._all.values() if x.tenant == tenant and idp in ("", x.idp)]
        return sorted(found, key=lambda line: line.id)[:limit]

    async def get(self, tenant, line):
        found = self._all.get(line)
        return found if found and found.tenant == tenant else None

    async def put(self, line):
        def what(x):
            return (x.tenant, x.idp, x.claim, x.value, x.role, x.where)

        if any(what(x) == what(line) for x in self._all.values() if x.id != line.id):
            raise LineTaken("taken")
        self._all[line.id] = line

    async def drop(self, line):
        self._all.pop(line, None)

    async def naming(self, role):
        return sum(x.role == role for x in self._all.values())


class FakeGuests:
    def __init__(self, world):
        self._world = world

    async def add(self, user, tenant, by, now):
        if (user, tenant) in self._world.guests:
            raise AlreadyMember("member")
        self._world.guests[user, tenant] = by

    async def remove(self, user, tenant):
        self._world.guests.pop((user, tenant), None)
        self._world.bindings.pop((tenant, user), None)

    async def of(self, tenant):
        return sorted(u for u, t in self._world.guests if t == tenant)


class FakeInvitations:
    def __init__(self, world):
        self._all = world.invitations

    async def get(self, tenant, invitation, *, lock=False):
        found = self._all.get(invitation)
        return found if found and found.tenant == tenant else None

    async def shown(self, hash_, *, lock=False):
        return next((i for i in self._all.values() if i.hash == hash_), None)

    async def open(self, tenant, email):
        mine = (i for i in self._all.values() if i.tenant == tenant)
        open_ = (i for i in mine if not i.accepted_at and not i.revoked_at)
        return next((i for i in open_ if folded(i.email) == folded(email)), None)

    async def list(self, tenant, ask):
        mine = [i for i in self._all.values() if i.tenant == tenant]
        mine.sort(key=lambda i: i.id, reverse=True)
        left = [i for i in mine if ask.after is None or str(i.id) < ask.after[0]][ask.offset :]
        more = len(left) > ask.limit
        page = left[: ask.limit]
        return Slice(items=page, next=(str(page[-1].id),) if more else None, total=len(mine))

    async def waiting(self, tenant, role, now):
        mine = (i for i in self._all.values() if i.tenant == tenant and i.role == role)
        return sum(i.status(now) == "pending" for i in mine)

    async def put(self, invitation):
        other = await self.open(invitation.tenant, invitation.email)
        still = not invitation.accepted_at and not invitation.revoked_at
        if other and still and other.id != invitation.id:
            raise InvitationPending("pending")
        self._all[invitation.id] = invitation
