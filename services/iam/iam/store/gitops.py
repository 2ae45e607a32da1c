"""What /global keeps, in PostgreSQL. A user is the row in `user`, with labels and ACL in `entity` if they have any."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Collection as Collections
from dataclasses import asdict
from typing import Any
from unicodedata import normalize
from uuid import UUID

from sqlalchemy import ColumnElement, Select, cast, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, array
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.types import Uuid

from chassis.pages import PageAsk, Slice, cut
from iam.domain.acl import Acl
from iam.domain.authority import DECISIVE, Kind
from iam.domain.gitops import C, Collection, Entity, EntityQuery, edge, user_key
from iam.domain.gitops_errors import KeyTaken
from iam.domain.names import folded
from iam.store.clash import flushed
from iam.store.gitops_rows import (
    BRIEF,
    CALLED,
    LABELLED,
    PERSON,
    WHOLE,
    Name,
    brief_of,
    entity_of,
    person_of,
)
from iam.store.gitops_search import people_wanted, wanted
from iam.store.role_tables import RoleBindingRow
from iam.store.tables import EntityRow, UserRow

_HERE = EntityRow.deleted_at.is_(None)
_LIVE = UserRow.deleted_at.is_(None)
_GROUPS = text(
    """
    WITH RECURSIVE reached(id, steps) AS (
        SELECT CAST(:principal AS uuid), 0
        UNION
        SELECT m.parent, r.steps + 1 FROM reached r JOIN iam.entity m ON m.principal = r.id
        WHERE m.collection = 'memberships' AND m.deleted_at IS NULL AND r.steps < :depth
    )
    SELECT DISTINCT id FROM reached WHERE steps > 0
    """
)


class SqlEntities:
    """What /global keeps, over one session. `changed` hears of what decides about other things."""

    def __init__(self, session: AsyncSession, changed: Callable[[Kind, str], None]) -> None:
        self._session = session
        self._changed = changed

    async def get(self, tenant: UUID | None, collection: Collection, id_: UUID) -> Entity | None:
        """Return a thing by its id, of a tenant or of any if None."""
        if collection is C.USERS:
            return await self._person(tenant, UserRow.id == id_)
        return await self._one(tenant, collection, EntityRow.id == id_)

    async def named(self, tenant: UUID, collection: Collection, key: str) -> Entity | None:
        """Return a thing by its key."""
        if collection is C.USERS:
            found = await self._person(tenant, _called(key))
            return found if found and found.key == key else None
        if collection is C.MEMBERSHIPS:
            ends = edge(key)
            ids = await self.principals(tenant, ends)
            if len(ids) < len(set(ends)):
                return None
            here = (EntityRow.principal == ids[ends[0]], EntityRow.parent == ids[ends[1]])
            return await self._one(tenant, collection, *here)
        return await self._one(tenant, collection, EntityRow.key == key)

    async def last(self, collection: Collection, id_: UUID) -> Entity | None:
        """Return a thing as it is, or as it was when it was deleted."""
        if collection is C.USERS:
            people = await self._people(select(UserRow).where(UserRow.id == id_))
            return people[0] if people else None
        query = select(EntityRow).where(EntityRow.collection == collection, EntityRow.id == id_)
        row = await self._session.scalar(query)
        return entity_of(row) if row else None

    async def list(self, query: EntityQuery, ask: PageAsk) -> Slice[Entity]:
        """Return a part of a collection, the oldest first, briefly: without annotations and ACLs. It is not counted."""
        if query.collection is C.USERS:
            part = people_wanted(query, ask).offset(ask.offset).limit(ask.limit + 1)
            found = await self._people(part, whole=False)
        else:
            part = wanted(query, ask).offset(ask.offset).limit(ask.limit + 1)
            rows = await self._session.execute(part.with_only_columns(*BRIEF))
            found = [brief_of(row) for row in rows]
        items, following = cut(found, ask.limit, lambda entity: (str(entity.id),))
        return Slice(items=items, next=following)

    async def put(self, entity: Entity, lent: Acl) -> None:
        """Store a thing (of a user: what is not in `users`); KeyTaken on a clash. `lent` is its parent's list."""
        values: dict[str, Any] = {n: v for n, v in asdict(entity).items() if n != "acl"}
        if entity.collection in (C.USERS, C.MEMBERSHIPS):
            values["key"] = None
        if entity.collection is C.USERS:
            values["fields"] = {}
        row = EntityRow(
            **values,
            key_folded=None if values["key"] is None else folded(entity.key),
            acl=[_written(asdict(entry)) for entry in entity.acl.entries],
            acl_changed_at=entity.acl.changed_at,
            readers=sorted(entity.readers(lent)),
        )
        await self._session.merge(row)
        taken = KeyTaken(f"{entity.key!r} exists, perhaps in another spelling")
        await flushed(self._session, {"entity_key": taken, "entity_edge": taken})
        await self._lend(entity)
        if kind := DECISIVE.get(entity.collection):
            self._changed(kind, str(entity.id))

    async def principals(self, tenant: UUID, keys: Sequence[str]) -> Mapping[str, UUID]:
        """Return who is meant by the keys (or ids) of principals; who is not there is missing."""
        names = [Name.of(key) for key in keys]
        things = select(EntityRow.key, EntityRow.id).where(EntityRow.tenant == tenant, _HERE)
        principals = EntityRow.collection.in_((C.GROUPS, C.SERVICE_ACCOUNTS, C.PIPELINE_ACCOUNTS))
        ids = [n.id for n in names if n.id]
        others = or_(EntityRow.key.in_([n.key for n in names]), EntityRow.id.in_(ids))
        rows = await self._session.execute(things.where(principals, others))
        found = {key: id_ for key, id_ in rows if key}
        people = or_(
            UserRow.username_key.in_([n.folded for n in names]),
            UserRow.email_key.in_([n.folded for n in names]),
            UserRow.id.in_(ids),
        )
        users = select(*CALLED).where(UserRow.tenant == tenant, _LIVE, people)
        found |= {user_key(*row): row.id for row in await self._session.execute(users)}
        by_id = {str(id_): id_ for id_ in found.values()}
        return {key: id_ for key in keys if (id_ := found.get(key) or by_id.get(key))}

    async def keys(self, tenant: UUID, ids: Collections[UUID]) -> Mapping[UUID, str]:
        """Return how live things of a tenant are called."""
        if not ids:
            return {}
        things = select(EntityRow.id, EntityRow.key).where(
            EntityRow.id.in_(ids), EntityRow.tenant == tenant, _HERE, EntityRow.key.is_not(None)
        )
        found = {id_: key for id_, key in await self._session.execute(things) if key}
        people = select(*CALLED).where(UserRow.id.in_(ids), UserRow.tenant == tenant, _LIVE)
        return found | {row.id: user_key(*row) for row in await self._session.execute(people)}

    async def last_keys(self, ids: Collections[UUID]) -> Mapping[UUID, str]:
        """Return how things of any tenant are called, or were when they were deleted."""
        things = select(EntityRow.id, EntityRow.key).where(
            EntityRow.id.in_(ids), EntityRow.key.is_not(None)
        )
        found = {id_: key for id_, key in await self._session.execute(things) if key}
        people = await self._session.execute(select(*CALLED).where(UserRow.id.in_(ids)))
        return found | {row.id: user_key(*row) for row in people}

    async def principals_of(self, ids: Collections[UUID]) -> Sequence[Entity]:
        """Return the live users, groups and accounts with these ids, of all tenants."""
        others = (C.GROUPS, C.SERVICE_ACCOUNTS, C.PIPELINE_ACCOUNTS)
        wanted = (EntityRow.id.in_(ids), EntityRow.collection.in_(others), _HERE)
        rows = await self._session.scalars(select(EntityRow).where(*wanted))
        people = await self._people(select(UserRow).where(UserRow.id.in_(ids), _LIVE))
        return [*people, *(entity_of(row) for row in rows)]

    async def groups(self, principal: UUID, depth: int) -> frozenset[UUID]:
        """Return the live groups that somebody is in, at most so many steps away; circles do no harm."""
        asked = {"principal": principal, "depth": depth}
        return frozenset((await self._session.scalars(_GROUPS, asked)).all())

    async def tied(self, to: UUID) -> Sequence[Entity]:
        """Return what is governed by a thing, and the memberships that it has as a principal."""
        mine = or_(EntityRow.parent == to, EntityRow.principal == to)
        rows = await self._session.scalars(
            select(EntityRow).where(mine, _HERE).order_by(EntityRow.id)
        )
        return [entity_of(row) for row in rows]

    async def holders(self, permission: str) -> Sequence[UUID]:
        """Return the live users who hold a super-permission, the oldest first."""
        query = (
            select(UserRow.id)
            .join(RoleBindingRow, RoleBindingRow.principal == UserRow.id)
            .where(RoleBindingRow.role == permission, RoleBindingRow.scope == "platform", _LIVE)
            .order_by(UserRow.id)
        )
        return (await self._session.scalars(query)).all()

    async def pictured(self, avatars: Sequence[str]) -> frozenset[str]:
        """Return those of the avatars that a live thing has."""
        mine = EntityRow.avatar.in_(avatars)
        others = select(EntityRow.avatar).where(mine, _HERE, EntityRow.collection != C.USERS)
        people = select(EntityRow.avatar).join(UserRow, UserRow.id == EntityRow.id)
        found = [
            *await self._session.scalars(others),
            *await self._session.scalars(people.where(mine, _LIVE)),
        ]
        return frozenset(found)

    async def faded(self, limit: int) -> Sequence[str]:
        """Return some avatars of what was deleted."""
        return (await self._session.scalars(_faded().limit(limit))).all()

    async def unpicture(self, avatars: Sequence[str]) -> None:
        """Forget avatars of what was deleted."""
        if avatars:
            await self._update(
                EntityRow.avatar.in_(avatars), EntityRow.avatar.in_(_faded()), avatar=""
            )

    async def dump(self, collection: Collection, limit: int) -> Sequence[Entity]:
        """Return the first things of a collection in all tenants, the deleted ones with them."""
        if collection is C.USERS:
            return await self._people(select(UserRow).order_by(UserRow.id).limit(limit))
        query = select(EntityRow).where(EntityRow.collection == collection).order_by(EntityRow.id)
        return [entity_of(row) for row in await self._session.scalars(query.limit(limit))]

    async def _one(
        self, tenant: UUID | None, collection: Collection, *which: ColumnElement[bool]
    ) -> Entity | None:
        query = select(EntityRow).where(EntityRow.collection == collection, _HERE, *which)
        if tenant is not None:
            query = query.where(EntityRow.tenant == tenant)
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        return entity_of(row) if row else None

    async def _person(self, tenant: UUID | None, which: ColumnElement[bool]) -> Entity | None:
        query = select(UserRow).where(which, _LIVE).execution_options(populate_existing=True)
        if tenant is not None:
            query = query.where(UserRow.tenant == tenant)
        found = await self._people(query)
        return found[0] if found else None

    async def _people(self, query: Select[UserRow], *, whole: bool = True) -> Sequence[Entity]:
        mine = EntityRow.id == UserRow.id
        columns = (*PERSON, *(WHOLE if whole else LABELLED))
        told = query.with_only_columns(*columns).outerjoin(EntityRow, mine)
        return [person_of(row) for row in await self._session.execute(told)]

    async def _lend(self, entity: Entity) -> None:
        """Let those see what a thing governs to whom its list lends it."""
        if entity.collection is C.PROJECTS:
            for collection in (C.GROUPS, C.SERVICE_ACCOUNTS, C.PIPELINE_ACCOUNTS):
                lent = _ids(entity.acl.readers(collection.kind))
                mine = (EntityRow.parent == entity.id, EntityRow.collection == collection)
                own = func.array_remove(func.array_append(lent, EntityRow.creator), None)
                await self._update(EntityRow.inherits.is_(True), *mine, readers=own)
            of_groups = select(EntityRow.id).where(EntityRow.parent == entity.id)
            await self._follow(EntityRow.parent.in_(of_groups))
        elif entity.collection is C.GROUPS:
            await self._follow(EntityRow.parent == entity.id)

    async def _follow(self, which: ColumnElement[bool]) -> None:
        """Let memberships be seen by whom their groups are seen."""
        group = aliased(EntityRow)
        readers = select(group.readers).where(group.id == EntityRow.parent).scalar_subquery()
        await self._update(which, EntityRow.collection == C.MEMBERSHIPS, readers=readers)

    async def _update(self, *which: ColumnElement[bool], **values: Any) -> None:  # noqa: ANN401
        change = update(EntityRow).where(*which).values(**values)
        await self._session.execute(change.execution_options(synchronize_session=False))


def _faded() -> Select[str]:
    """Select the avatars of what was deleted; of a user the other row says whether."""
    over = or_(EntityRow.deleted_at.is_not(None), UserRow.deleted_at.is_not(None))
    every = select(EntityRow.avatar).outerjoin(UserRow, UserRow.id == EntityRow.id)
    return every.where(EntityRow.avatar != "", over)


def _ids(ids: Iterable[UUID]) -> ColumnElement[Any]:
    return cast(array(sorted(ids), type_=Uuid), ARRAY(Uuid))


def _called(key: str) -> ColumnElement[bool]:
    name = folded(normalize("NFC", key.removeprefix("u_")))
    column = UserRow.email_key if "@" in name else UserRow.username_key
    return column == name


def _written(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"principals": [str(principal) for principal in entry["principals"]]}
