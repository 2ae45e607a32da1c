"""API keys and their versions in PostgreSQL."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import PageAsk, Slice, cut
from iam.domain.api_key import ApiKey, Kind, Version
from iam.domain.authority import LiveKey
from iam.store.tables import ApiKeyRow, ApiKeyVersionRow

_HERE = ApiKeyRow.revoked_at.is_(None)


class SqlApiKeys:
    """The API keys over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, tenant: UUID, key: UUID, *, lock: bool = False) -> ApiKey | None:
        """Return a key of a tenant."""
        query = select(ApiKeyRow).where(ApiKeyRow.id == key, ApiKeyRow.tenant == tenant, _HERE)
        found = await self.read(query.with_for_update() if lock else query)
        return found[0] if found else None

    async def list(self, tenant: UUID, owner: UUID | None, ask: PageAsk) -> Slice[ApiKey]:
        """Return a part of a tenant's keys, or of one owner's there."""
        wanted: list[ColumnElement[bool]] = [ApiKeyRow.tenant == tenant, _HERE]
        if owner is not None:
            wanted.append(func.coalesce(ApiKeyRow.account, ApiKeyRow.owner) == owner)
        count = select(func.count()).select_from(ApiKeyRow).where(*wanted)
        total = await self._session.scalar(count)
        query = select(ApiKeyRow).where(*wanted).order_by(ApiKeyRow.id)
        if ask.after:
            query = query.where(ApiKeyRow.id > UUID(ask.after[0]))
        keys = await self.read(query.offset(ask.offset).limit(ask.limit + 1))
        items, following = cut(keys, ask.limit, lambda key: (str(key.id),))
        return Slice(items=items, next=following, total=total or 0)

    async def known(self, hash_: str) -> LiveKey | None:
        """Return the key with this SHA-256."""
        query = (
            select(ApiKeyRow)
            .join(ApiKeyVersionRow, ApiKeyVersionRow.key == ApiKeyRow.id)
            .where(ApiKeyVersionRow.hash == hash_, _HERE)
        )
        return next(
            (LiveKey(k, v) for k in await self.read(query) for v in k.versions if v.hash == hash_),
            None,
        )

    async def used(self, keys: Sequence[UUID], at: datetime) -> None:
        """Note when keys were used last. Rows that others hold are skipped, so tellings never wait for each other."""
        free = (
            select(ApiKeyRow.id)
            .where(ApiKeyRow.id.in_(keys))
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        later = func.greatest(ApiKeyRow.last_used_at, at)
        await self._session.execute(
            update(ApiKeyRow).where(ApiKeyRow.id.in_(free)).values(last_used_at=later)
        )

    async def put(self, key: ApiKey) -> None:
        """Store a key with its versions."""
        await self._session.merge(
            ApiKeyRow(
                id=key.id,
                tenant=key.tenant,
                owner=key.maker,
                account=None if key.owner == key.maker else key.owner,
                name=key.name,
                kind=key.kind,
                environment=key.environment,
                project=key.project,
                scopes=sorted(key.scopes),
                created_at=key.created_at,
                expires_at=key.expires_at,
                revoked_at=key.revoked_at,
                version=key.version,
            )
        )
        await self._session.flush()
        for number, version in enumerate(key.versions, 1):
            await self._session.merge(_version_row(key, number, version))
        await self._session.flush()

    async def read(self, query: Select[ApiKeyRow]) -> Sequence[ApiKey]:
        """Return the keys that a query finds, with their versions."""
        rows = (await self._session.scalars(query)).all()
        versions: dict[UUID, list[Version]] = defaultdict(list)
        found = await self._session.scalars(
            select(ApiKeyVersionRow)
            .where(ApiKeyVersionRow.key.in_([row.id for row in rows]))
            .order_by(ApiKeyVersionRow.number)
        )
        for row in found:
            versions[row.key].append(_to_version(row))
        return [_to_key(row, versions[row.id]) for row in rows]


def _version_row(key: ApiKey, number: int, version: Version) -> ApiKeyVersionRow:
    return ApiKeyVersionRow(
        hash=version.hash,
        key=key.id,
        number=number,
        prefix=version.prefix,
        created_at=version.created_at,
        expires_at=version.expires_at,
    )


def _to_version(row: ApiKeyVersionRow) -> Version:
    return Version(
        hash=row.hash, prefix=row.prefix, created_at=row.created_at, expires_at=row.expires_at
    )


def _to_key(row: ApiKeyRow, versions: Sequence[Version]) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant=row.tenant,
        owner=row.account or row.owner,
        maker=row.owner,
        name=row.name,
        kind=cast("Kind", row.kind),
        environment=row.environment,
        project=row.project,
        scopes=frozenset(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        versions=tuple(versions),
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        version=row.version,
    )
