"""What /global keeps: read, make, change and delete it, as far as roles, groups and ACLs let one.

Whoever changes something in a tenant keeps its row locked meanwhile, so that two who make the same thing at once
do it one after the other. What may not be done is told in the same words as what is not there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from authz.verbs import ALL, CREATE, CUSTOM2, DELETE, FETCH, LIST, UPDATE, spelled
from chassis.caller import Caller
from chassis.pages import PageAsk, Slice
from iam.domain.acl import Acl
from iam.domain.errors import MoreThanYouHold
from iam.domain.gitops import (
    C,
    Collection,
    Draft,
    Entity,
    EntityQuery,
    Ref,
    bad_field,
    edge,
    new_key,
)
from iam.domain.gitops_errors import KeyTaken, nothing
from iam.domain.password import Policy
from iam.ports import Means, OpenWork, Passwords, Work
from iam.usecases import gitops_people as _people
from iam.usecases.gitops_asker import Asker
from iam.usecases.gitops_asker import recognised as _recognised
from iam.usecases.gitops_facts import entity_fact
from iam.usecases.gitops_lists import drawn as _drawn
from iam.usecases.gitops_lists import lent_to as _lent_to
from iam.usecases.gitops_ties import cut_ties as _cut_ties
from iam.usecases.gitops_ties import weighed as _weighed


@dataclass(frozen=True, slots=True)
class Seen:
    """A thing, the list that governs it, and how everybody is called whom it names."""

    entity: Entity
    acl: Acl
    keys: Mapping[UUID, str]


@dataclass(frozen=True, slots=True)
class Gitops:
    """Everything one can do to users, groups, accounts, memberships and projects at the gitops doors."""

    work: OpenWork
    passwords: Passwords
    policy: Policy
    means: Means

    async def list(
        self, caller: Caller, collection: Collection, search: str, ask: PageAsk
    ) -> Slice[Seen]:
        """Return a part of what the caller may list."""
        caller.must_be_known()
        async with self.work() as work:
            asker = await _recognised(work, caller, self.means.now())
            if not asker.may(LIST, collection, caller.tenant, acl=ALL):
                return Slice(items=[])
            everything = asker.may(LIST, collection, caller.tenant)
            query = EntityQuery(
                tenant=caller.tenant,
                collection=collection,
                readers=None if everything else asker.names,
                search=search,
            )
            part = await work.entities.list(query, ask)
            ids = {id_ for entity in part.items for id_ in entity.ends}
            keys = await work.entities.keys(caller.tenant, ids)
        return part.map(lambda entity: Seen(entity, Acl(), keys))

    async def get(self, caller: Caller, ref: Ref) -> Seen:
        """Return one thing."""
        caller.must_be_known()
        async with self.work() as work:
            asker = await _recognised(work, caller, self.means.now())
            entity = await self._found(work, caller, ref)
            if not asker.can(FETCH, entity, await _lent_to(work, entity)):
                raise nothing(_spelled(entity, FETCH))
            return await self._seen(work, entity)

    async def create(self, caller: Caller, collection: Collection, draft: Draft) -> Seen:
        """Make a thing; the caller may do everything with it."""
        caller.must_be_known()
        draft = draft.called(collection).checked(collection, whole=True)
        hashed = await self._hashed(draft)
        async with self.work() as work:
            asker = await self._enter(work, caller)
            return await self._seen(work, await self._make(work, asker, collection, draft, hashed))

    async def upsert(self, caller: Caller, ref: Ref, draft: Draft) -> Seen:
        """Make a thing, or change of it what is sent."""
        caller.must_be_known()
        draft = draft.called(ref.collection, ref.key).checked(ref.collection, whole=False)
        hashed = await self._hashed(draft)
        async with self.work() as work:
            asker = await self._enter(work, caller)
            if await self._free(work, caller, ref, draft):
                draft = asker.whole(ref.collection, draft)
                after = await self._make(work, asker, ref.collection, draft, hashed)
            else:
                after = await self._change(work, asker, ref, draft, hashed)
            return await self._seen(work, after)

    async def replace(self, caller: Caller, ref: Ref, draft: Draft) -> Seen:
        """Write a thing anew. Who can log in, and whose list it is, stays unless it is sent."""
        caller.must_be_known()
        draft = draft.called(ref.collection, ref.key).checked(ref.collection, whole=True)
        hashed = await self._hashed(draft)
        async with self.work() as work:
            asker = await self._enter(work, caller)
            after = await self._change(work, asker, ref, draft, hashed, whole=True)
            return await self._seen(work, after)

    async def delete(self, caller: Caller, ref: Ref) -> None:
        """Delete a thing with its memberships. Its key becomes free; whoever has it next inherits nothing."""
        caller.must_be_known()
        async with self.work() as work:
            asker = await self._enter(work, caller)
            entity = await self._locked(work, caller, ref)
            if not asker.can(_need(ref, DELETE), entity, await _lent_to(work, entity)):
                raise nothing(_spelled(entity, DELETE))
            ref.checked(entity)
            now = self.means.now()
            if ref.collection is C.USERS:
                await _people.deleted(work, caller, entity, now)
            async with _weighed(work, caller, entity, now):
                await work.entities.put(entity.deleted(now), Acl())
                work.record(entity_fact(caller, "deleted", entity, None))
                await _cut_ties(work, caller, entity, now)

    async def changeable(self, caller: Caller, ref: Ref) -> UUID:
        """Return the id of a thing that the caller may change."""
        caller.must_be_known()
        async with self.work() as work:
            asker = await _recognised(work, caller, self.means.now())
            entity = await self._found(work, caller, ref)
            if not asker.can(UPDATE, entity, await _lent_to(work, entity)):
                raise nothing()
            ref.checked(entity)
            return entity.id

    async def picture(self, caller: Caller, ref: Ref, avatar: str) -> tuple[Seen, str]:
        """Give a thing another picture, or none; return it, and the picture that it had."""
        caller.must_be_known()
        async with self.work() as work:
            asker = await self._enter(work, caller)
            before = await self._locked(work, caller, ref)
            if not asker.can(UPDATE, before, await _lent_to(work, before)):
                raise nothing()
            ref.checked(before)
            after = replace(before, avatar=avatar)
            after = await self._keep(work, caller, before, after, None)
            return await self._seen(work, after), before.avatar

    # --- steps ------------------------------------------------------------------------------------------------------

    async def _hashed(self, draft: Draft) -> str | None:
        """Return the hash of the password that was sent, if one was."""
        if not (password := draft.fields.get("password")):
            return None
        email, name = draft.fields.get("email") or "", (draft.key or "").removeprefix("u_")
        return await self.passwords.hash(self.policy.check(password, email, name))

    async def _enter(self, work: Work, caller: Caller) -> Asker:
        """Return who asks, and let nobody else change their tenant until the work ends."""
        await work.tenants.get(caller.tenant, lock=True)
        return await _recognised(work, caller, self.means.now())

    async def _free(self, work: Work, caller: Caller, ref: Ref, draft: Draft) -> bool:
        """Tell whether a key is nobody's; who has read something there already does not mean a new thing."""
        if isinstance(ref.known, UUID) or draft.hash_code is not None or ref.expected is not None:
            return False
        return await work.entities.named(caller.tenant, ref.collection, ref.known) is None

    async def _found(self, work: Work, caller: Caller, ref: Ref) -> Entity:
        if isinstance(known := ref.known, UUID):
            entity = await work.entities.get(None, ref.collection, known)
        else:
            entity = await work.entities.named(caller.tenant, ref.collection, known)
        if entity is None:
            raise nothing()
        return entity

    async def _locked(self, work: Work, caller: Caller, ref: Ref) -> Entity:
        """Return a thing that nobody changes meanwhile, in whichever tenant it is."""
        entity = await self._found(work, caller, ref)
        if entity.tenant == caller.tenant:
            return entity
        await work.tenants.get(entity.tenant, lock=True)
        return await self._found(work, caller, ref)

    async def _make(
        self, work: Work, asker: Asker, collection: Collection, draft: Draft, hashed: str | None
    ) -> Entity:
        """Make what the draft describes where the asker may."""
        entity = self._begun(asker, collection, draft)
        if collection is C.MEMBERSHIPS:
            entity = await self._tied(work, asker, entity)
        else:
            parent = await self._project(work, asker, entity, draft)
            entity = replace(entity, parent=parent, creator=asker.account)
        if await work.entities.named(entity.tenant, collection, entity.key):
            raise KeyTaken(f"{entity.key!r} exists; PUT or POST to its own path to change it")
        acl = await _drawn(work, entity, draft.acl or (), entity.created_at)
        if entity.creator is not None:
            acl = acl.with_root(entity.creator, entity.created_at)
        entity = replace(entity.written(draft, whole=True), acl=acl)
        if collection is C.USERS:
            entity = await _people.made(work, entity, hashed)
        async with _weighed(work, asker.caller, entity, entity.created_at):
            await work.entities.put(entity, await _lent_to(work, entity))
        work.record(entity_fact(asker.caller, "created", None, entity))
        return entity

    def _begun(self, asker: Asker, collection: Collection, draft: Draft) -> Entity:
        now, key = self.means.now(), draft.key or ""
        return Entity(
            id=self.means.new_id(),
            tenant=asker.caller.tenant,
            collection=collection,
            key=key if collection is C.MEMBERSHIPS else new_key(collection, key),
            inherits=draft.acl is None,
            created_at=now,
            updated_at=now,
        )

    async def _tied(self, work: Work, asker: Asker, entity: Entity) -> Entity:
        """Return the edge between a principal and a group which the asker may change."""
        principal, group = edge(entity.key)
        if not entity.inherits:
            raise bad_field("acl", "the list of the group governs it")
        found = await self._found(work, asker.caller, Ref(C.GROUPS, group))
        if not asker.can(UPDATE, found, await _lent_to(work, found)):
            raise nothing(_spelled(found, UPDATE))
        ids = await work.entities.principals(entity.tenant, [principal])
        if principal not in ids:
            raise bad_field("principal", f"there is no {principal}")
        if ids[principal] == found.id:
            raise bad_field("principal", "a group is no member of itself")
        return replace(entity, parent=found.id, principal=ids[principal])

    async def _project(self, work: Work, asker: Asker, entity: Entity, draft: Draft) -> UUID | None:
        """Return the project in which a thing shall be, if the asker may make such things there."""
        name, lent = draft.fields.get("project"), Acl()
        found = await work.entities.named(entity.tenant, C.PROJECTS, name) if name else None
        if found is not None:
            lent = found.acl
        kind = entity.collection.kind
        asker.must(CREATE, entity.collection, entity.tenant, asker.given(lent, entity.tenant, kind))
        if name and found is None:
            raise bad_field("project", f"there is no project {name}")
        return found and found.id

    async def _change(
        self,
        work: Work,
        asker: Asker,
        ref: Ref,
        draft: Draft,
        hashed: str | None,
        *,
        whole: bool = False,
    ) -> Entity:
        """Change a thing, if the asker may and has read it as it is."""
        before = await self._locked(work, asker.caller, ref)
        lent = await _lent_to(work, before)
        if not asker.can(_need(ref, UPDATE) | (CUSTOM2 if hashed else 0), before, lent):
            raise nothing(_spelled(before, UPDATE))
        ref.checked(before, draft)
        after = before.written(draft, whole=whole)
        if whole or "project" in draft.fields:
            after = await self._moved(work, asker, after, draft)
        if draft.acl is not None and before.collection is C.MEMBERSHIPS:
            await self._listed(work, replace(after, acl=lent), draft, 0)
        elif draft.acl is not None:
            after = await self._listed(work, after, draft, asker.held(before, lent))
        return await self._keep(work, asker.caller, before, after, hashed)

    async def _moved(self, work: Work, asker: Asker, entity: Entity, draft: Draft) -> Entity:
        """Return a thing in the project that the draft names; into another one only who may make it there."""
        if entity.collection in (C.MEMBERSHIPS, C.USERS, C.PROJECTS):
            return entity
        if not (name := draft.fields.get("project")):
            return replace(entity, parent=None)
        project = await work.entities.named(entity.tenant, C.PROJECTS, name)
        if project is not None and project.id == entity.parent:
            return entity
        return replace(entity, parent=await self._project(work, asker, entity, draft))

    async def _listed(self, work: Work, entity: Entity, draft: Draft, held: int) -> Entity:
        """Return a thing with the list that was sent; nobody gives more than they hold."""
        acl = await _drawn(work, entity, draft.acl or (), self.means.now())
        if entity.collection is C.MEMBERSHIPS and acl != entity.acl:
            raise bad_field("acl", "the list of the group governs it: change that")
        if acl.gives_beyond(entity.acl, held):
            raise MoreThanYouHold("the ACL would give more than you may do to this yourself")
        return entity if acl == entity.acl else replace(entity, acl=acl, inherits=False)

    async def _keep(
        self, work: Work, caller: Caller, before: Entity, after: Entity, hashed: str | None
    ) -> Entity:
        """Store a change, if it is one."""
        if after == before and hashed is None:
            return before
        after = after.changed(self.means.now())
        if after.collection is C.USERS:
            after = await _people.changed(work, caller, after, hashed)
        await work.entities.put(after, await _lent_to(work, after))
        work.record(entity_fact(caller, "updated", before, after))
        return after

    async def _seen(self, work: Work, entity: Entity) -> Seen:
        tied = entity.collection is C.MEMBERSHIPS
        acl = await _lent_to(work, entity) if tied else entity.acl
        named = {p for entry in acl.entries for p in entry.principals}
        keys = await work.entities.keys(entity.tenant, named | set(entity.ends))
        return Seen(entity, acl, keys)


def _need(ref: Ref, need: int) -> int:
    """Whoever may change a group may say who is in it; being allowed to make groups is not enough."""
    return UPDATE if ref.collection is C.MEMBERSHIPS else need


def _spelled(entity: Entity, need: int) -> str:
    """Name the permission that would have been enough, for the audit log."""
    return spelled(entity.collection.kind, need)[0]
