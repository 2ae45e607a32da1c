"""What is stored behind /global, in every tenant and as it is, for whoever holds godmode. Never a secret."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from authz.verbs import FETCH
from chassis.caller import Caller
from chassis.errors import Forbidden
from iam.domain.errors import TooManyRows
from iam.domain.gitops import C, Collection, Entity
from iam.domain.gitops_errors import BadCollectionName, GodmodeNeeded, NoSuchCollection
from iam.domain.roles import SUPER
from iam.ports import Means, OpenWork, Work
from iam.usecases.gitops_asker import recognised as _recognised

MOST = 10_000


@dataclass(frozen=True, slots=True)
class Debug:
    """Looks at what is stored."""

    work: OpenWork
    means: Means

    async def collections(self, caller: Caller) -> list[str]:
        """Return the names of the collections."""
        with _as_unknown():
            caller.must("debug:read")
        async with self.work() as work:
            await self._godly(work, caller)
        return list(Collection)

    async def dump(self, caller: Caller, name: str) -> list[Mapping[str, Any]]:
        """Return everything in a collection, what was deleted too."""
        with _as_unknown():
            caller.must("debug:read")
        async with self.work() as work:
            await self._godly(work, caller)
            collection = _named(name)
            if collection is C.PERMISSIONS:
                return [await self._holders(work, super_) for super_ in SUPER]
            found = await work.entities.dump(collection, MOST + 1)
        if len(found) > MOST:
            raise TooManyRows(f"there are more than {MOST} {name}")
        return [_document(entity) for entity in found]

    async def _godly(self, work: Work, caller: Caller) -> None:
        asker = await _recognised(work, caller, self.means.now())
        if not asker.everywhere("debug", FETCH):
            raise GodmodeNeeded("debugging needs adm_godmode", needed="debug:read")

    async def _holders(self, work: Work, name: str) -> Mapping[str, Any]:
        holders = await work.entities.holders(name)
        return {"_key": name, "principals": [str(id_) for id_ in holders]}


def _named(name: str) -> Collection:
    if name.startswith("_"):
        raise BadCollectionName("names that begin with _ belong to the system")
    if name not in list(Collection):
        raise NoSuchCollection(f"there is no collection {name[:80]!r}")
    return Collection(name)


@contextmanager
def _as_unknown() -> Generator[None]:
    """Whoever may not debug is told that they are not recognised: 401 and not 403, as clients of old expect."""
    try:
        yield
    except Forbidden:
        raise GodmodeNeeded("debugging needs adm_godmode", needed="debug:read") from None


def _document(entity: Entity) -> Mapping[str, Any]:
    gone = {"deletion": {"deleted_at": entity.deleted_at}} if entity.deleted_at else {}
    return {
        "_key": entity.key or str(entity.id),
        "id": str(entity.id),
        "tenant_id": str(entity.tenant),
        **entity.fields,
        "labels": entity.labels,
        "annotations": entity.annotations,
        "parent": entity.parent and str(entity.parent),
        "principal": entity.principal and str(entity.principal),
        "creator": entity.creator and str(entity.creator),
        "acl": [
            {"permissions": e.permissions, "principals": [str(p) for p in e.principals]}
            | ({"scope": e.scope} if e.scope else {})
            for e in entity.acl.entries
        ],
        "created_at": entity.created_at,
        "updated_at": entity.updated_at,
        "version": entity.version,
        **gone,
    }
