"""What a question is about: whose it is, in which tenant and project, and which list is in force over it.

iam knows the owners and lists of its own things. Of others' things it knows the lists of their projects; who owns one,
and in which project it is, the question says, as the service that keeps the thing says it of its own decisions.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from authz.decision import Resource
from iam.domain.acl import Acl, Entry
from iam.domain.gitops import C, Entity
from iam.domain.names import as_id
from iam.domain.roles import SYSTEM
from iam.ports import Work
from iam.usecases.gitops_lists import lent_to
from iam.usecases.giving import own_role


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """One thing as a question names it; without an id any of its kind. `owner` and `project` are of others' things."""

    kind: str
    id: str = ""
    owner: str = ""
    project: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A thing as the decision sees it, before it is known who asks, and the list in force over it."""

    place: Resource
    acl: Acl = field(default_factory=Acl)

    def to(self, names: Collection[UUID]) -> Resource:
        """Return the thing as the decision sees it for somebody who goes by these names."""
        return self.place._replace(acl=self.acl.mask(names, self.place.kind))

    async def spread(self, work: Work) -> "Target":
        """Return it with everybody who is in the groups of its list named in their own right."""
        entries = dict[tuple[int, str], set[UUID]]()
        for entry in self.acl.entries:
            entries.setdefault((entry.permissions, entry.scope), set()).update(entry.principals)
        told = [
            Entry(bits, tuple(await work.bindings.reached(named)), scope)
            for (bits, scope), named in entries.items()
        ]
        return replace(self, acl=Acl(tuple(told)))


async def found(work: Work, tenant: UUID, about: About) -> Target:
    """Return what a question is about. What is missing looks like what is another tenant's: behind the wall."""
    if about.id and about.kind in _COLLECTIONS:
        return await _entity(work, tenant, about)
    if about.id and (find := _FIND.get(about.kind)):
        there, owner = await find(work, tenant, about.id)
        return Target(Resource(about.kind, there, owner=owner, id=about.id))
    place = Resource(about.kind, str(tenant), about.owner, about.project, about.id)
    if not about.project:
        return Target(place)
    project = await work.entities.named(tenant, C.PROJECTS, about.project)
    return Target(place, project.acl if project else Acl())


async def _entity(work: Work, tenant: UUID, about: About) -> Target:
    collection, key = _COLLECTIONS[about.kind], as_id(about.id)
    if key is not None:
        entity = await work.entities.get(None, collection, key)
    else:
        entity = await work.entities.named(tenant, collection, about.id)
    if entity is None:
        return Target(Resource(about.kind, "", id=about.id))
    owner = entity.id if collection is C.USERS else entity.creator
    place = Resource(about.kind, str(entity.tenant), str(owner or ""), "", about.id)
    return Target(place, await _list(work, entity) if entity.tenant == tenant else Acl())


async def _list(work: Work, entity: Entity) -> Acl:
    if not entity.inherits:
        return entity.acl
    return Acl((*entity.acl.entries, *(await lent_to(work, entity)).entries))


Place = tuple[str, str]  # the tenant and the owner of a thing
NOWHERE: Place = ("", "")
_COLLECTIONS: Mapping[str, C] = {
    "user": C.USERS,
    "group": C.GROUPS,
    "service_account": C.SERVICE_ACCOUNTS,
    "pipeline_account": C.PIPELINE_ACCOUNTS,
    "project": C.PROJECTS,
}


async def _tenant(work: Work, home: UUID, id_: str) -> Place:
    key = as_id(id_)
    found = await work.tenants.get(key) if key else None
    return (str(found.id), "") if found else NOWHERE


async def _role(work: Work, home: UUID, id_: str) -> Place:
    found = SYSTEM.get(id_) or await own_role(work, None, id_)
    return (str(found.tenant or home), "") if found else NOWHERE


async def _api_key(work: Work, home: UUID, id_: str) -> Place:
    key = as_id(id_)
    found = await work.api_keys.get(home, key) if key else None
    return (str(found.tenant), str(found.owner)) if found else NOWHERE


async def _session(work: Work, home: UUID, id_: str) -> Place:
    key = as_id(id_)
    found = await work.sessions.get(key) if key else None
    return (str(found.tenant), str(found.user)) if found else NOWHERE


async def _invitation(work: Work, home: UUID, id_: str) -> Place:
    key = as_id(id_)
    found = await work.invitations.get(home, key) if key else None
    return (str(found.tenant), "") if found else NOWHERE


_FIND: Mapping[str, Callable[[Work, UUID, str], Awaitable[Place]]] = {
    "tenant": _tenant,
    "role": _role,
    "api_key": _api_key,
    "session": _session,
    "invitation": _invitation,
}
