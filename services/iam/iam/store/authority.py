"""The authority as replicas see it, and the log of its changes, in PostgreSQL."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from iam.domain.authority import Change, EndedSession, Kind, LiveKey, PublicKey, Thing
from iam.domain.gitops import C, Collection
from iam.domain.session import Issuer
from iam.store.api_keys import SqlApiKeys
from iam.store.gitops_rows import entity_of
from iam.store.machines import SqlMachines
from iam.store.tables import (
    ApiKeyRow,
    ApiKeyVersionRow,
    ChangeRow,
    EntityRow,
    EpochRow,
    SessionRow,
    SigningKeyRow,
    TenantRow,
    UserRow,
)
from iam.store.tenants import to_tenant
from iam.store.users import SqlUsers

Found = Sequence[tuple[str, Thing]]


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Where things of one kind are: the column with their id, which of them count, and how an id is read."""

    id: Any
    counts: Callable[[datetime], tuple[ColumnElement[bool], ...]]
    read: Callable[[str], object] = str


def _live_version(now: datetime) -> tuple[ColumnElement[bool], ...]:
    ends = (ApiKeyVersionRow.expires_at, ApiKeyRow.expires_at)
    return ApiKeyRow.revoked_at.is_(None), *(or_(e.is_(None), e > now) for e in ends)


def _kept(collection: Collection) -> Callable[[datetime], tuple[ColumnElement[bool], ...]]:
    return lambda _: (EntityRow.collection == collection, EntityRow.deleted_at.is_(None))


class SqlAuthority:
    """The authority over one session. `issuer` knows how long an ended session matters."""

    def __init__(self, session: AsyncSession, issuer: Issuer) -> None:
        self._session = session
        self._issuer = issuer
        self._machines = SqlMachines(session)
        self._shelves = {
            Kind.SIGNING_KEY: _Shelf(SigningKeyRow.kid, lambda _: ()),
            Kind.TENANT: _Shelf(TenantRow.id, lambda _: (), UUID),
            Kind.SUBJECT: _Shelf(UserRow.id, lambda _: (UserRow.deleted_at.is_(None),), UUID),
            Kind.API_KEY: _Shelf(ApiKeyVersionRow.hash, _live_version),
            Kind.SESSION: _Shelf(SessionRow.id, self._ended, UUID),
            Kind.MEMBERSHIP: _Shelf(EntityRow.id, _kept(C.MEMBERSHIPS), UUID),
            Kind.PROJECT: _Shelf(EntityRow.id, _kept(C.PROJECTS), UUID),
        }

    async def epoch(self) -> int:
        """Return the position of the newest change."""
        return await self._session.scalar(select(EpochRow.value)) or 0

    async def oldest(self) -> int:
        """Return the position from which on all changes are known."""
        return await self._session.scalar(select(EpochRow.trimmed)) or 0

    async def changes(self, after: int, limit: int) -> Sequence[Change]:
        """Return changes after a position, in order."""
        query = (
            select(ChangeRow).where(ChangeRow.epoch > after).order_by(ChangeRow.epoch).limit(limit)
        )
        return [Change(r.epoch, Kind(r.kind), r.id) for r in await self._session.scalars(query)]

    async def things(self, kind: Kind, ids: Sequence[str], now: datetime) -> Mapping[str, Thing]:
        """Return how things stand now; what is no more is missing."""
        shelf = self._shelves[kind]
        wanted = (shelf.id.in_([shelf.read(id_) for id_ in ids]), *shelf.counts(now))
        found = dict(await self._read(kind, *wanted))
        if kind is Kind.SUBJECT:
            machines = await self._machines.among([UUID(id_) for id_ in ids])
            found |= {str(machine.id): machine for machine in machines}
        return found

    async def page(self, kind: Kind, after: str, limit: int, now: datetime) -> Found:
        """Return the first things of a kind after an id, with their ids, in the order of ids."""
        shelf = self._shelves[kind]
        wanted = list(shelf.counts(now))
        if after:
            wanted.append(shelf.id > shelf.read(after))
        found = await self._read(kind, *wanted, limit=limit)
        if kind is not Kind.SUBJECT:
            return found
        machines = await self._machines.after(UUID(after) if after else None, limit)
        both = [*found, *((str(machine.id), machine) for machine in machines)]
        return sorted(both, key=lambda one: one[0])[:limit]

    async def trim(self, before: datetime) -> int:
        """Forget changes from before that; return how many."""
        gone = delete(ChangeRow).where(ChangeRow.at < before).returning(ChangeRow.epoch)
        epochs = (await self._session.scalars(gone)).all()
        if epochs:
            newest = func.greatest(EpochRow.trimmed, max(epochs))
            await self._session.execute(update(EpochRow).values(trimmed=newest))
        return len(epochs)

    async def append(self, changes: Iterable[tuple[Kind, str]]) -> int:
        """Log changes and return the position of the last; one row hands positions out, so commits keep their order."""
        made = list(changes)
        bump = update(EpochRow).values(value=EpochRow.value + len(made)).returning(EpochRow.value)
        last = await self._session.scalar(bump)
        if last is None:
            raise RuntimeError("the epoch row is missing: the schema is not migrated")
        first = last - len(made) + 1
        rows = [{"epoch": first + n, "kind": k, "id": i} for n, (k, i) in enumerate(made)]
        await self._session.execute(insert(ChangeRow), rows)
        return last

    def _ended(self, now: datetime) -> tuple[ColumnElement[bool], ...]:
        matters = now - (self._issuer.forgotten_after(now) - now)
        return (SessionRow.ended_at.is_not(None), SessionRow.ended_at > matters)

    async def _read(self, kind: Kind, *wanted: ColumnElement[bool], limit: int = 10_000) -> Found:
        shelf = self._shelves[kind]

        def narrowed(query: Select[Any]) -> Select[Any]:
            return query.where(*wanted).order_by(shelf.id).limit(limit)

        match kind:
            case Kind.SIGNING_KEY:
                rows = await self._session.scalars(narrowed(select(SigningKeyRow)))
                return [(row.kid, PublicKey(row.kid, row.jwk)) for row in rows]
            case Kind.TENANT:
                rows = await self._session.scalars(narrowed(select(TenantRow)))
                return [(str(row.id), to_tenant(row)) for row in rows]
            case Kind.SUBJECT:
                users = await SqlUsers(self._session).read(narrowed(select(UserRow)))
                return [(str(user.id), user) for user in users]
            case Kind.SESSION:
                rows = await self._session.scalars(narrowed(select(SessionRow)))
                return [(str(row.id), self._told(row)) for row in rows]
            case Kind.API_KEY:
                return await self._keys(narrowed)
            case Kind.MEMBERSHIP | Kind.PROJECT:
                rows = await self._session.scalars(narrowed(select(EntityRow)))
                return [(str(row.id), entity_of(row)) for row in rows]

    def _told(self, row: SessionRow) -> EndedSession:
        return EndedSession(row.id, self._issuer.forgotten_after(row.ended_at or row.expires_at))

    async def _keys(self, narrowed: Callable[[Select[Any]], Select[Any]]) -> Found:
        texts = select(ApiKeyVersionRow).join(ApiKeyRow, ApiKeyRow.id == ApiKeyVersionRow.key)
        rows = (await self._session.scalars(narrowed(texts))).all()
        hashes: dict[str, UUID] = {row.hash: row.key for row in rows}
        chosen = select(ApiKeyRow).where(ApiKeyRow.id.in_(set(hashes.values())))
        keys = {key.id: key for key in await SqlApiKeys(self._session).read(chosen)}
        return [
            (hash_, LiveKey(keys[id_], version))
            for hash_, id_ in hashes.items()
            for version in keys[id_].versions
            if version.hash == hash_
        ]
