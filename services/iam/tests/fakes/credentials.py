"""What people and machines prove themselves with, in memory."""

from dataclasses import replace

from chassis.pages import Slice
from iam.domain.authority import LiveKey
from iam.domain.session import Family
from services.iam.tests.fakes.world import slice_of


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
        return slice_of(sorted(keys, key=lambda k: k.id), ask, lambda k: (str(k.id),))

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


class FakeSigningKeys:
    def __init__(self, world):
        self._all = world.signing_keys

    async def all(self, *, lock=False):
        return [self._all[kid] for kid in sorted(self._all)]

    async def put(self, key):
        self._all[key.kid] = key

    async def drop(self, kid):
        self._all.pop(kid, None)


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
