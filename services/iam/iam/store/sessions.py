"""Sessions and refresh tokens in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import PageAsk, Slice, cut
from iam.domain.session import RefreshToken, Session
from iam.store.tables import RefreshTokenRow, SessionRow


class SqlSessions:
    """The sessions over one session of another kind."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, session: UUID, *, lock: bool = False) -> Session | None:
        """Return a session."""
        query = select(SessionRow).where(SessionRow.id == session)
        row = await self._session.scalar(query.with_for_update() if lock else query)
        return to_session(row) if row else None

    async def live(
        self, user: UUID, now: datetime, ask: PageAsk, *, tenant: UUID | None = None
    ) -> Slice[Session]:
        """Return a part of a user's live sessions, in one tenant only if it is named, newest first."""
        wanted = [
            SessionRow.user == user,
            SessionRow.ended_at.is_(None),
            SessionRow.expires_at > now,
        ]
        if tenant is not None:
            wanted.append(SessionRow.tenant == tenant)
        count = select(func.count()).select_from(SessionRow).where(*wanted)
        total = await self._session.scalar(count)
        query = select(SessionRow).where(*wanted).order_by(SessionRow.id.desc())
        if ask.after:
            query = query.where(SessionRow.id < UUID(ask.after[0]))
        found = await self._session.scalars(query.offset(ask.offset).limit(ask.limit + 1))
        rows = [to_session(row) for row in found]
        items, following = cut(rows, ask.limit, lambda session: (str(session.id),))
        return Slice(items=items, next=following, total=total or 0)

    async def end_all(
        self,
        user: UUID,
        now: datetime,
        but: UUID | None = None,
        *,
        tenant: UUID | None = None,
    ) -> Sequence[Session]:
        """End every live session of a user, in one tenant only if it is named, perhaps all but one; return them."""
        ended = (
            update(SessionRow)
            .where(SessionRow.user == user, SessionRow.ended_at.is_(None))
            .where(SessionRow.expires_at > now)
            .values(ended_at=now)
            .returning(SessionRow)
        )
        if tenant is not None:
            ended = ended.where(SessionRow.tenant == tenant)
        if but is not None:
            ended = ended.where(SessionRow.id != but)
        return [to_session(row) for row in await self._session.scalars(ended)]

    async def put(self, session: Session) -> None:
        """Store a session."""
        values = asdict(session) | {"amr": list(session.amr)}
        await self._session.execute(_written(SessionRow, values, "id"))

    async def token(self, hash_: bytes) -> RefreshToken | None:
        """Return a refresh token, locked until the work ends."""
        query = select(RefreshTokenRow).where(RefreshTokenRow.hash == hash_).with_for_update()
        row = await self._session.scalar(query)
        return _to_token(row) if row else None

    async def put_token(self, token: RefreshToken) -> None:
        """Store a refresh token."""
        await self._session.execute(_written(RefreshTokenRow, asdict(token), "hash"))

    async def sweep(self, before: datetime) -> int:
        """Forget sessions that were over before that; return how many."""
        over = or_(SessionRow.expires_at < before, SessionRow.ended_at < before)
        gone = delete(SessionRow).where(over).returning(SessionRow.id)
        return len((await self._session.scalars(gone)).all())


def _written(row: type[SessionRow | RefreshTokenRow], values: dict[str, Any], key: str) -> Insert:
    """Return what stores a row, new or known, in one step: refreshing is done a hundred times a second."""
    made = insert(row).values(**values)
    return made.on_conflict_do_update(
        index_elements=[key], set_={name: made.excluded[name] for name in values if name != key}
    )


def to_session(row: SessionRow) -> Session:
    """Return the session in a row."""
    return Session(
        id=row.id,
        user=row.user,
        tenant=row.tenant,
        amr=tuple(row.amr),
        ip=row.ip,
        user_agent=row.user_agent,
        created_at=row.created_at,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
    )


def _to_token(row: RefreshTokenRow) -> RefreshToken:
    return RefreshToken(
        hash=row.hash,
        session=row.session,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        successor=row.successor,
    )
