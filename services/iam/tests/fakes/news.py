"""What iam tells of changes and counts, in memory."""

from datetime import timedelta

from iam.domain.authority import DECISIVE, EndedSession, Kind, LiveKey, PublicKey
from iam.domain.stats import Counted
from services.iam.tests.fakes.world import ISSUER


class FakeAuthority:
    def __init__(self, world, users, machines):
        self._world = world
        self._users = users
        self._machines = machines

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
                found = {str(u.id): u for u in (*users, *self._machines.here())}
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
