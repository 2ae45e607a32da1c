"""The gitops API's entities, in memory."""

from dataclasses import replace

from iam.domain.acl import Acl
from iam.domain.authority import DECISIVE
from iam.domain.gitops import Collection, Entity, edge, user_key
from iam.domain.gitops_errors import KeyTaken
from iam.domain.grants import Grant
from iam.domain.names import folded
from services.iam.tests.fakes.world import slice_of


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
            found = [e for e in found if query.search.lower() in self._texts(e)]
        part = slice_of(found, ask, lambda e: (str(e.id),))
        return replace(part, total=None)

    def _texts(self, entity):
        called = {e.id: e.key for c in Collection for e in self._every(c)}
        ends = f"{called.get(entity.principal)}::{called.get(entity.parent)}"
        texts = (entity.key or ends, entity.fields.get("email", ""))
        return " ".join(texts).lower()

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
