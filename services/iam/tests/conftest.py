"""Fakes of everything that iam asks of the world, and the use-cases on top of them."""

import itertools
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from authz.confusable import skeleton
from chassis.caller import Caller
from chassis.pages import Slice
from iam.clients.keyring import Keyring
from iam.clients.seal import AesSealer
from iam.clients.throttle import MemoryThrottle
from iam.domain.account import Account
from iam.domain.acl import Acl
from iam.domain.authority import DECISIVE, Change, EndedSession, Kind, LiveKey, PublicKey
from iam.domain.avatar import NotAnImage, StorageAway
from iam.domain.errors import EmailTaken, InvitationPending, TenantTaken, UsernameTaken
from iam.domain.gitops import Collection, Entity, edge, user_key
from iam.domain.gitops_errors import KeyTaken
from iam.domain.grant_errors import RoleNameTaken
from iam.domain.grants import TENANT, Grant, Where, Window
from iam.domain.happening import Happening, notes_of
from iam.domain.names import folded
from iam.domain.password import POLICIES
from iam.domain.reach_errors import AlreadyMember, LineTaken
from iam.domain.roles import ADMINISTRATORS, SYSTEM, permissions_of
from iam.domain.session import Family, Issuer, Lifetimes
from iam.domain.signing import Rotation
from iam.domain.stats import Connected, Counted
from iam.domain.tenant import PLATFORM, Tenant
from iam.domain.user import User
from iam.ports import Means, Turned
from iam.usecases.api_keys import Keys
from iam.usecases.assignments import Assignments, To
from iam.usecases.authority import Replicas
from iam.usecases.avatars import Avatars
from iam.usecases.board import Board
from iam.usecases.bootstrap import Bootstrap
from iam.usecases.debug import Debug
from iam.usecases.decisions import Decisions
from iam.usecases.external import External
from iam.usecases.feed import Feed
from iam.usecases.gitops import Gitops
from iam.usecases.gitops_supers import Supers
from iam.usecases.guests import Guests
from iam.usecases.hall import Hall
from iam.usecases.invitations import Invitations
from iam.usecases.keys import SigningKeys
from iam.usecases.live import Live
from iam.usecases.logins import Logins
from iam.usecases.members import Members
from iam.usecases.opening import Opening
from iam.usecases.organizations import Organizations
from iam.usecases.passwords import PasswordChanges
from iam.usecases.roles import Roles
from iam.usecases.sessions import Sessions
from iam.usecases.stats import Statistics
from iam.usecases.users import Users

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
PASSWORD = "correct horse battery"
ISSUER = Issuer(
    name="http://iam.test",
    audience="switchyard",
    lifetimes=Lifetimes(access=timedelta(minutes=10), refresh=timedelta(days=30)),
)


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    at: datetime = START

    def __call__(self):
        return self.at

    def forward(self, **by):
        self.at += timedelta(**by)


@dataclass
class World:
    """What a fake database holds, and what was recorded."""

    tenants: dict = field(default_factory=dict)
    users: dict = field(default_factory=dict)
    roles: dict = field(default_factory=dict)
    invitations: dict = field(default_factory=dict)
    begun: set = field(default_factory=set)
    bindings: dict = field(
        default_factory=dict
    )  # (tenant, principal) → grants, but of users at home
    lines: dict = field(default_factory=dict)
    guests: dict = field(default_factory=dict)  # (user, tenant) → who added them
    keys: dict = field(default_factory=dict)
    sessions: dict = field(default_factory=dict)
    tokens: dict = field(default_factory=dict)
    signing_keys: dict = field(default_factory=dict)
    resets: dict = field(default_factory=dict)
    changes: list = field(default_factory=list)
    entities: dict = field(default_factory=dict)
    trimmed: int = 0
    facts: list = field(default_factory=list)
    happenings: list = field(default_factory=list)
    forgotten: int = 0

    def copy(self):
        return World(**{name: _copied(value) for name, value in vars(self).items()})

    def actions(self):
        return [fact.action for fact in self.facts]


def _copied(value):
    return value if isinstance(value, int) else value.copy()


def _slice(items, ask, position):
    rest = [i for i in items if ask.after is None or position(i) > ask.after]
    rest = rest[ask.offset :]
    page = rest[: ask.limit]
    more = len(rest) > ask.limit
    return Slice(items=page, next=position(page[-1]) if more and page else None, total=len(items))


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
        return _slice(sorted(found, key=lambda t: t.subdomain), ask, lambda t: (t.subdomain,))

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
        return _slice(users, ask, position)

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


class FakeApiKeys:
    def __init__(self, world):
        self._world = world

    async def get(self, tenant, key, *, lock=False):
        found = self._world.keys.get(key)
        return found if found and found.tenant == tenant and not found.revoked_at else None

    async def list(self, tenant, owner, ask):
        keys = [
            k
            for k in self._world.keys.values()
            if k.tenant == tenant and not k.revoked_at and owner in (None, k.owner)
        ]
        return _slice(sorted(keys, key=lambda k: k.id), ask, lambda k: (str(k.id),))

    async def known(self, hash_):
        live = (k for k in self._world.keys.values() if not k.revoked_at)
        return next((LiveKey(k, v) for k in live for v in k.versions if v.hash == hash_), None)

    async def used(self, keys, at):
        known = self._world.keys
        for key in (known[k] for k in keys if k in known):
            known[key.id] = replace(key, last_used_at=max(at, key.last_used_at or at))

    async def put(self, key):
        self._world.keys[key.id] = key


class FakeSessions:
    def __init__(self, world, accounts):
        self._world = world
        self._accounts = accounts

    async def get(self, session, *, lock=False):
        return self._world.sessions.get(session)

    async def live(self, user, now, ask, *, tenant=None):
        found = [s for s in self._world.sessions.values() if s.user == user and s.live(now)]
        found = [s for s in found if tenant in (None, s.tenant)]
        count = len(found)
        found.sort(key=lambda s: s.id, reverse=True)
        if ask.after:
            found = [s for s in found if str(s.id) < ask.after[0]]
        page = found[ask.offset :][: ask.limit]
        more = len(found) > ask.offset + ask.limit
        return Slice(items=page, next=(str(page[-1].id),) if more else None, total=count)

    async def end_all(self, user, now, but=None, *, tenant=None):
        live = [s for s in self._world.sessions.values() if s.user == user and s.live(now)]
        ended = [s.ended(now) for s in live if s.id != but and tenant in (None, s.tenant)]
        self._world.sessions.update({s.id: s for s in ended})
        return ended

    async def put(self, session):
        self._world.sessions[session.id] = session

    async def family(self, hash_):
        token = self._world.tokens.get(hash_)
        session = token and self._world.sessions[token.session]
        account = session and await self._accounts.get(session.tenant, session.user)
        if account is None:
            return None
        told = {"name": account.name, "subdomain": account.subdomain, "open": account.open}
        return Family(token=token, session=session, **told)

    async def begin(self, session, token):
        self._world.sessions[session.id] = session
        self._world.tokens[token.hash] = token

    async def rotate(self, used, session, following):
        await self.begin(session, used)
        await self.begin(session, following)

    async def sweep(self, before):
        over = [
            s.id
            for s in self._world.sessions.values()
            if s.expires_at < before or (s.ended_at and s.ended_at < before)
        ]
        for id_ in over:
            del self._world.sessions[id_]
        kept = self._world.tokens.items()
        self._world.tokens = {h: t for h, t in kept if t.session not in over}
        return len(over)


class FakeResets:
    def __init__(self, world):
        self._all = world.resets

    async def shown(self, hash_):
        return next((r for r in self._all.values() if r.hash == hash_), None)

    async def put(self, reset):
        self._all[reset.user] = reset

    async def drop(self, user):
        self._all.pop(user, None)

    async def sweep(self, before):
        over = [user for user, reset in self._all.items() if reset.expires_at < before]
        for user in over:
            del self._all[user]
        return len(over)


class FakeEntities:
    """Things in a dictionary; of users only what /global adds. Who may list what is worked out anew each time."""

    def __init__(self, world, changed):
        self._world = world
        self._changed = changed

    def _person(self, user):
        fields = {
            "email": user.email,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "is_active": user.active,
        }
        known = self._world.entities.get(user.id)
        now = {"fields": fields, "version": user.version, "updated_at": user.updated_at}
        now |= {"key": user_key(user.username, user.email, user.id), "deleted_at": user.deleted_at}
        if known:
            return replace(known, **now)
        return Entity(
            id=user.id,
            tenant=user.tenant,
            collection=Collection.USERS,
            created_at=user.created_at,
            **now,
        )

    def _every(self, collection):
        if collection is Collection.USERS:
            found = [self._person(user) for user in self._world.users.values()]
        else:
            found = [e for e in self._world.entities.values() if e.collection is collection]
        return sorted(found, key=lambda entity: entity.id)

    def _here(self, tenant, collection):
        live = [e for e in self._every(collection) if e.deleted_at is None]
        return [e for e in live if tenant in (None, e.tenant)]

    def _lent(self, entity):
        parent = self._world.entities.get(entity.parent)
        if parent is None or parent.deleted_at:
            return Acl()
        if entity.collection is not Collection.MEMBERSHIPS or not parent.inherits:
            return parent.acl
        return Acl((*parent.acl.entries, *self._lent(parent).entries))

    async def get(self, tenant, collection, id_):
        return next((e for e in self._here(tenant, collection) if e.id == id_), None)

    async def named(self, tenant, collection, key):
        if collection is Collection.MEMBERSHIPS:
            principal, group = edge(key)
            ids = await self.principals(tenant, [principal, group])
            ends = (ids.get(principal), ids.get(group))
            here = self._here(tenant, collection)
            return next((e for e in here if (e.principal, e.parent) == ends), None)
        return next((e for e in self._here(tenant, collection) if e.key == key), None)

    async def last(self, collection, id_):
        return next((e for e in self._every(collection) if e.id == id_), None)

    async def last_keys(self, ids):
        kinds = [c for c in Collection if c is not Collection.MEMBERSHIPS]
        return {e.id: e.key for kind in kinds for e in self._every(kind) if e.id in ids}

    def _pictured(self, *, live):
        every = [e for c in Collection for e in self._every(c)]
        return [e for e in every if e.avatar and (e.deleted_at is None) is live]

    async def pictured(self, avatars):
        return frozenset(e.avatar for e in self._pictured(live=True)) & frozenset(avatars)

    async def faded(self, limit):
        return [e.avatar for e in self._pictured(live=False)][:limit]

    async def unpicture(self, avatars):
        for entity in self._pictured(live=False):
            if entity.avatar in avatars:
                self._world.entities[entity.id] = replace(entity, avatar="")

    async def list(self, query, ask):
        found = self._here(query.tenant, query.collection)
        if query.readers is not None:
            found = [
                e
                for e in found
                if query.readers & e.readers(self._lent(e))
                or (e.collection is Collection.USERS and e.id in query.readers)
            ]
        if query.search:
            found = [e for e in found if query.search.lower() in e.key.lower()]
        part = _slice(found, ask, lambda e: (str(e.id),))
        return replace(part, total=None)

    async def put(self, entity, lent):
        others = self._here(entity.tenant, entity.collection)
        twins = [e for e in others if e.id != entity.id and folded(e.key) == folded(entity.key)]
        if entity.collection is Collection.MEMBERSHIPS:
            entity = replace(entity, key="")
            ends = (entity.principal, entity.parent)
            twins = [e for e in others if e.id != entity.id and (e.principal, e.parent) == ends]
        if twins and entity.deleted_at is None and entity.collection is not Collection.USERS:
            raise KeyTaken("taken")
        self._world.entities[entity.id] = entity
        if kind := DECISIVE.get(entity.collection):
            self._changed(kind, str(entity.id))

    async def principals(self, tenant, keys):
        kinds = [Collection(c) for c in ("users", "groups", "service_accounts")]
        kinds.append(Collection.PIPELINE_ACCOUNTS)
        live = [e for kind in kinds for e in self._here(tenant, kind)]
        known = {e.key: e.id for e in live} | {str(e.id): e.id for e in live}
        return {key: known[key] for key in keys if key in known}

    async def keys(self, tenant, ids):
        kinds = [c for c in Collection if c is not Collection.MEMBERSHIPS]
        live = [e for kind in kinds for e in self._here(tenant, kind)]
        return {e.id: e.key for e in live if e.id in ids}

    async def principals_of(self, ids):
        without = (Collection.MEMBERSHIPS, Collection.PROJECTS, Collection.PERMISSIONS)
        kinds = [c for c in Collection if c not in without]
        return [e for kind in kinds for e in self._here(None, kind) if e.id in ids]

    async def groups(self, principal, depth):
        edges = self._here(None, Collection.MEMBERSHIPS)
        reached, front = set(), {principal}
        for _ in range(depth):
            front = {e.parent for e in edges if e.principal in front}
            reached |= front
        return frozenset(reached)

    async def tied(self, to):
        every = [e for c in Collection for e in self._here(None, c)]
        return [e for e in every if to in (e.parent, e.principal)]

    async def holders(self, permission):
        live = [u for u in self._world.users.values() if u.deleted_at is None]
        held = [u.id for u in live if Grant(permission, "platform") in u.grants]
        return sorted(held)

    async def dump(self, collection, limit):
        return self._every(collection)[:limit]


class FakeSigningKeys:
    def __init__(self, world):
        self._all = world.signing_keys

    async def all(self, *, lock=False):
        return [self._all[kid] for kid in sorted(self._all)]

    async def put(self, key):
        self._all[key.kid] = key

    async def drop(self, kid):
        self._all.pop(kid, None)


class FakeAuthority:
    def __init__(self, world, users):
        self._world = world
        self._users = users

    async def epoch(self):
        return self._world.trimmed + len(self._world.changes)

    async def oldest(self):
        return self._world.trimmed

    async def changes(self, after, limit):
        return [c for c in self._world.changes if c.epoch > after][:limit]

    async def things(self, kind, ids, now):
        return {id_: t for id_, t in self._all(kind, now) if id_ in ids}

    async def page(self, kind, after, limit, now):
        return [(id_, t) for id_, t in self._all(kind, now) if id_ > after][:limit]

    async def trim(self, before):
        count = len(self._world.changes)
        self._world.trimmed += count
        self._world.changes.clear()
        return count

    def _all(self, kind, now):
        w = self._world
        match kind:
            case Kind.SIGNING_KEY:
                found = {k.kid: PublicKey(k.kid, k.jwk) for k in w.signing_keys.values()}
            case Kind.TENANT:
                found = {str(t.id): t for t in w.tenants.values()}
            case Kind.SUBJECT:
                users = self._users._here()
                found = {str(u.id): u for u in users}
            case Kind.SESSION:
                ended = [s for s in w.sessions.values() if s.ended_at]
                until = {s: ISSUER.forgotten_after(s.ended_at) for s in ended}
                found = {str(s.id): EndedSession(s.id, u) for s, u in until.items() if u > now}
            case Kind.API_KEY:
                keys = [k for k in w.keys.values() if not k.revoked_at]
                live = [LiveKey(k, v) for k in keys for v in k.versions]
                found = {
                    k.version.hash: k for k in live if k.expires_at is None or k.expires_at > now
                }
            case Kind.MEMBERSHIP | Kind.PROJECT:
                things = w.entities.values()
                live = [e for e in things if DECISIVE.get(e.collection) is kind]
                found = {str(e.id): e for e in live if e.deleted_at is None}
        return sorted(found.items())


class FakeHappenings:
    def __init__(self, world):
        self._world = world

    async def newest(self):
        return self._world.forgotten + len(self._world.happenings)

    async def oldest(self):
        return self._world.happenings[0].position if self._world.happenings else 0

    async def after(self, position, limit):
        return [h for h in self._world.happenings if h.position > position][:limit]

    async def trim(self, before):
        old = [h for h in self._world.happenings[:-1] if h.at < before]
        self._world.forgotten += len(old)
        self._world.happenings = self._world.happenings[len(old) :]
        return len(old)


class FakeCounts:
    def __init__(self, world):
        self._world = world

    async def taken(self, now):
        w, day = self._world, now - timedelta(days=1)
        users = [u for u in w.users.values() if u.deleted_at is None]
        keys = [k for k in w.keys.values() if not k.revoked_at]
        return Counted(
            tenants=len(w.tenants),
            tenants_active=sum(t.active for t in w.tenants.values()),
            users=len(users),
            users_active=sum(u.active for u in users),
            sessions=sum(s.live(now) for s in w.sessions.values()),
            api_keys=sum(k.expires_at is None or k.expires_at > now for k in keys),
            logins_24h=sum(s.created_at > day for s in w.sessions.values()),
            users_seen_24h=sum(bool(u.last_login_at and u.last_login_at > day) for u in users),
            changes_24h=sum(h.at > day for h in w.happenings),
        )


class FakeWork:
    def __init__(self, world, clock=lambda: START):
        self._world = world
        self._clock = clock
        self._changes = {}
        self._notes = {}
        self.tenants = FakeTenants(world)
        self.users = FakeUsers(world, clock)
        self.accounts = FakeAccounts(world, self.users)
        self.roles = FakeRoles(world, self.users)
        self.bindings = FakeBindings(world, self.users)
        self.guests = FakeGuests(world)
        self.external = FakeExternal(world)
        self.invitations = FakeInvitations(world)
        self.api_keys = FakeApiKeys(world)
        self.sessions = FakeSessions(world, self.accounts)
        self.resets = FakeResets(world)
        self.happenings = FakeHappenings(world)
        self.counts = FakeCounts(world)
        self.entities = FakeEntities(world, self.changed)
        self.signing_keys = FakeSigningKeys(world)
        self.authority = FakeAuthority(world, self.users)

    async def alone(self, name):
        pass

    def changed(self, kind, id_):
        self._changes[kind, id_] = None

    @property
    def news(self):
        return bool(self._changes or self._notes)

    def record(self, fact):
        json.dumps([fact.before, fact.after])
        self._world.facts.append(fact)
        self._notes |= dict.fromkeys(notes_of(fact))

    def close(self):
        next_ = self._world.trimmed + len(self._world.changes) + 1
        self._world.changes += [Change(next_ + n, *c) for n, c in enumerate(self._changes)]
        next_ = self._world.forgotten + len(self._world.happenings) + 1
        self._world.happenings += [
            Happening(next_ + n, note, self._clock()) for n, note in enumerate(self._notes)
        ]


class FakePasswords:
    """Reverses passwords; counts what was verified."""

    def __init__(self):
        self.verified = []

    async def hash(self, password):
        return f"fake${password[::-1]}"

    async def verify(self, password, hashed):
        self.verified.append(hashed)
        return hashed is not None and hashed.partition("$")[2] == password[::-1]

    def outdated(self, hashed):
        return hashed.startswith("old$")


class FakeImages:
    """Takes everything for an image that begins with IMAGE."""

    async def avatar(self, sent):
        if not sent.startswith(b"IMAGE"):
            raise NotAnImage("no image")
        return b"webp:" + sent[:64]


class FakeShelf:
    """A dictionary; `away` makes it refuse."""

    def __init__(self, clock):
        self.files = {}
        self.away = False
        self._clock = clock

    def _there(self):
        if self.away:
            raise StorageAway("away")

    async def put(self, name, data):
        self._there()
        self.files[name] = data, self._clock()

    async def get(self, name):
        self._there()
        return self.files.get(name, (None,))[0]

    async def drop(self, name):
        self._there()
        self.files.pop(name, None)

    async def names(self):
        self._there()
        for name, (_, at) in list(self.files.items()):
            yield name, at


class FakePresence:
    """This process alone; `away` makes it know nothing."""

    def __init__(self, hall):
        self.away = False
        self._hall = hall

    async def connected(self):
        return None if self.away else Connected(1, self._hall.sockets, self._hall.streams)


@dataclass
class Service:
    """All of iam on fakes. `wake` is called after each commit that changed authority."""

    clock: Clock = field(default_factory=Clock)
    world: World = field(default_factory=World)

    def __post_init__(self):
        secrets = (f"secret-{n:040}" for n in itertools.count())
        ids = (UUID(int=(1 << 80) + n) for n in itertools.count())
        self.means = Means(self.clock, lambda: next(ids), lambda: next(secrets))
        self.passwords = FakePasswords()
        policy = POLICIES["compat"]
        self.ring = Keyring(AesSealer("s" * 32, "test"), self.clock)
        self.ring.take([self.ring.make(self.clock(), self.clock())])
        self.opening = Opening(ISSUER, self.ring, self.means)
        self.feed = Feed(self.work, self.clock)
        self.replicas = Replicas(self.work, self.feed, self.means)
        throttle = MemoryThrottle(lambda: self.clock().timestamp())
        self.logins = Logins(self.work, self.passwords, throttle, self.opening)
        self.changes = PasswordChanges(self.work, self.passwords, throttle, policy, self.means)
        self.users = Users(self.work, self.passwords, policy, self.means)
        self.decisions = Decisions(self.work, self.means)
        self.members = Members(self.work, self.users)
        self.organizations = Organizations(self.work, self.passwords, policy, self.opening)
        self.roles = Roles(self.work, self.means)
        self.assignments = Assignments(self.work, self.means)
        self.invitations = Invitations(self.work, self.passwords, policy, self.opening)
        self.guests = Guests(self.work, self.means)
        self.external = External(self.work, self.means)
        self.keys = Keys(self.work, self.means)
        self.sessions = Sessions(self.work, self.means)
        self.gitops = Gitops(self.work, self.passwords, policy, self.means)
        self.supers = Supers(self.work, self.means)
        self.debug = Debug(self.work, self.means)
        self.bootstrap = Bootstrap(self.work, self.passwords, policy, self.means)
        self._listen()
        self._sign()

    def _sign(self):
        rotation = Rotation(
            signs_for=timedelta(days=30),
            published_ahead=timedelta(hours=1),
            kept_after=timedelta(hours=2),
        )
        self.signing = SigningKeys(self.work, self.ring, rotation, self.clock)

    def _listen(self):
        self.board = Board(self.work)
        self.live = Live(self.work, self.board, self.means)
        self.hall = Hall()
        self.shelf = FakeShelf(self.clock)
        self.avatars = Avatars(self.gitops, self.work, FakeImages(), self.shelf, self.means)
        self.presence = FakePresence(self.hall)
        self.statistics = Statistics(self.work, self.presence, self.means)

    @asynccontextmanager
    async def work(self):
        draft = self.world.copy()
        made = FakeWork(draft, self.clock)
        yield made
        made.close()
        vars(self.world).update(vars(draft))
        if made.news:
            self.feed.wake()
            self.board.wake()

    def tenant(self, subdomain="acme", **more):
        made = a_tenant(subdomain=subdomain, id=self.means.new_id(), **more)
        self.world.tenants[made.id] = made
        return made

    def user(self, tenant, email="ann@acme.test", roles=("user",), **more):
        made = a_user(tenant=tenant.id, email=email, id=self.means.new_id(), **more)
        if "grants" not in more:
            made = replace(made, grants=tuple(Grant(r) for r in roles))
        self.world.users[made.id] = made
        return made


def a_tenant(**more):
    values = {"id": uuid4(), "subdomain": f"t{uuid4().hex[:10]}", "name": "T"}
    return Tenant(**(values | {"created_at": START, "updated_at": START} | more))


def a_user(**more):
    values = {
        "id": uuid4(),
        "tenant": uuid4(),
        "email": f"{uuid4().hex[:10]}@acme.test",
        "password": f"fake${PASSWORD[::-1]}",
        "created_at": START,
        "updated_at": START,
    }
    return User(**(values | more))


def as_caller(user, session=None, **more):
    """Return the caller that a user is."""
    values = {
        "subject": str(user.id),
        "tenant": user.tenant,
        "permissions": user.permissions,
        "roles": user.roles,
        "name": user.name,
        "platform": user.platform,
        "account": str(user.id),
        "credential": str(session or uuid4()),
    }
    return Caller(**(values | more))


@dataclass(frozen=True)
class Makers:
    """The makers above, for test modules (which cannot import each other)."""

    password: str = PASSWORD
    issuer: Issuer = ISSUER
    start: datetime = START
    tenant = staticmethod(a_tenant)
    user = staticmethod(a_user)
    caller = staticmethod(as_caller)
    work = FakeWork
    world = World
    permissions_of = staticmethod(permissions_of)
    grant = Grant
    to = To
    where = Where
    window = Window
    system_roles = SYSTEM
    administrators = ADMINISTRATORS


@pytest.fixture(scope="session")
def make():
    return Makers()


@pytest.fixture
def iam():
    return Service()
