"""Who asks at the gitops doors, and what they may do to one thing: roles, own things and ACLs, decided in one place.

Authority is read in the transaction that uses it, not from the replica: who was put into a group may use that at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from authz.decision import Binding, Compiled, Resource, Who, compile_subject, decide
from authz.verbs import ALL, CREATE, masks, meaning, spelled
from chassis.caller import Caller
from iam.domain.acl import Acl
from iam.domain.gitops import C, Collection, Draft, Entity
from iam.domain.gitops_errors import BadField, nothing
from iam.domain.grants import Where
from iam.domain.machine import Machine
from iam.domain.user import User
from iam.ports import Work

DEPTH = 10  # steps from somebody to a group that contains them
_BITS = tuple(1 << n for n in range(8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Somebody with a credential: `names` are all under which an ACL can mean them."""

    caller: Caller
    account: UUID | None
    names: frozenset[UUID]
    compiled: Compiled

    def may(self, need: int, collection: Collection, tenant: UUID, acl: int = 0) -> bool:
        """Tell whether they may do something to things of a collection to which an ACL gives them `acl`."""
        return decide(self.compiled, need, Resource(collection.kind, str(tenant), acl=acl))

    def must(self, need: int, collection: Collection, tenant: UUID, acl: int = 0) -> None:
        """Refuse as if nothing were there, unless they may."""
        if not self.may(need, collection, tenant, acl):
            raise nothing(spelled(collection.kind, need)[0])

    def whole(self, collection: Collection, draft: Draft) -> Draft:
        """Return a draft with all that a new thing needs; only who may make one is told what is lacking.

        Others would learn from it that there is no such thing yet.
        """
        try:
            return draft.checked(collection, whole=True)
        except BadField:
            self.must(CREATE, collection, self.caller.tenant)
            raise

    def given(self, acl: Acl, tenant: UUID, kind: str) -> int:
        """Return what a list gives them; those of another tenant's lists mean nobody here."""
        return acl.mask(self.names, kind) if tenant == self.caller.tenant else 0

    def on(self, entity: Entity, lent: Acl) -> Resource:
        """Return a thing as the decision sees it. A person is their own; of others' things none is."""
        kind = entity.collection.kind
        mask = self.given(entity.acl, entity.tenant, kind)
        if entity.inherits:
            mask |= self.given(lent, entity.tenant, kind)
        owner = entity.id if entity.collection is C.USERS else entity.creator
        return Resource(kind, str(entity.tenant), owner=str(owner or ""), acl=mask)

    def can(self, need: int, entity: Entity, lent: Acl) -> bool:
        """Tell whether they may do something to a thing; `lent` is the list of what governs it."""
        return decide(self.compiled, need, self.on(entity, lent))

    def held(self, entity: Entity, lent: Acl) -> int:
        """Return everything that they may do to a thing; what means nothing for its kind anybody may."""
        idle = ALL & ~meaning(entity.collection.kind)
        return idle | sum(bit for bit in _BITS if self.can(bit, entity, lent))

    def holds(self, permissions: Iterable[str], tenant: UUID, where: Where) -> bool:
        """Tell whether they hold all of these permissions at a scope of a tenant."""
        there = Resource("", str(tenant))
        if where.scope == "project":
            there = there._replace(project=where.id)
        if where.scope == "object":
            there = there._replace(id=where.id)
        asked = masks(permissions).items()
        return all(decide(self.compiled, bits, there._replace(kind=kind)) for kind, bits in asked)

    def everywhere(self, kind: str, need: int) -> bool:
        """Tell whether they may do something to things of a kind in every tenant."""
        return decide(self.compiled, need, Resource(kind, ""))


async def recognised(work: Work, caller: Caller, now: datetime) -> Asker:
    """Return who asks, with their roles and groups as they are now."""
    behind = await _behind(work, caller)
    names = frozenset[UUID]()
    if behind is not None:
        names = await work.entities.groups(behind.id, DEPTH) | {behind.id}
    who = Who(
        id=str(behind.id) if behind else caller.subject,
        tenant=str(caller.tenant),
        active=behind is None or behind.active,
        scope=None if caller.scope is None else masks(caller.scope),
    )
    bindings = behind.bindings if behind else [_own(caller)]
    compiled = compile_subject(who, bindings, now)
    return Asker(caller=caller, account=behind and behind.id, names=names, compiled=compiled)


async def _behind(work: Work, caller: Caller) -> User | Machine | None:
    """Return whose authority stands behind a caller; None if that is nobody's (a key of the tenant, say)."""
    return await principal(work, caller.tenant, UUID(caller.account)) if caller.account else None


async def principal(work: Work, tenant: UUID, id_: UUID) -> User | Machine | None:
    """Return a user as they are in a tenant, or an account of it, with this id."""
    return await work.users.get(tenant, id_) or await work.machines.get(tenant, id_)


def _own(caller: Caller) -> Binding:
    """What a key without an account behind it may do by itself."""
    return Binding(role="key", masks=masks(caller.permissions), where=str(caller.tenant))
