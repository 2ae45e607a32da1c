"""Sessions and refresh tokens in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import PageAsk, Slice, cut
from iam.domain.session import Family, RefreshToken, Session
from iam.store.accounts import HOME, MEMBER, NAME, OPEN, THERE, USER
from iam.store.tables import RefreshTokenRow, SessionRow, table_of

_TOKENS, _SESSIONS = table_of(RefreshTokenRow), table_of(SessionRow)
_TOKEN = tuple(field.name for field in fields(RefreshToken))
_SESSION = tuple(field.name for field in fields(Session))


def _bound(prefix: str, *names: str) -> dict[str, Any]:
    return {name: bindparam(f"{prefix}_{name}") for name in names}


# Refreshing is what iam does most: one statement that reads and one that writes, built once, of columns, not rows.
_FAMILY = (
    select(*_TOKENS.c[_TOKEN], *_SESSIONS.c[_SESSION], NAME, THERE.c.subdomain, OPEN)
    .select_from(_TOKENS)
    .join(_SESSIONS, _SESSIONS.c.id == _TOKENS.c.session)
    .join(USER, USER.c.id == _SESSIONS.c.user)
    .join(HOME, HOME.c.id == USER.c.tenant)
    .join(THERE, THERE.c.id == _SESSIONS.c.tenant)
    .where(_TOKENS.c.hash == bindparam("hash"), USER.c.deleted_at.is_(None), MEMBER)
    .with_for_update(of=(_TOKENS, _SESSIONS), key_share=True)
)
_used = (
    update(_TOKENS)
    .where(_TOKENS.c.hash == bindparam("used_hash"))
    .values(_bound("used", "used_at", "successor"))
)
_seen = (
    update(_SESSIONS)
    .where(_SESSIONS.c.id == bindparam("session_id"))
    .values(_bound("session", "seen_at", "expires_at"))
)
_next = insert(_TOKENS).values(_bound("next", *_TOKEN))
_ROTATE = _next.add_cte(_used.cte("used"), _seen.cte("seen"))
_opened = insert(_SESSIONS).values(_bound("session", *_SESSION))
_BEGIN = _next.add_cte(_opened.cte("opened"))


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
        made = insert(SessionRow).values(**_kept(session))
        new = {name: made.excluded[name] for name in _SESSION if name != "id"}
        await self._session.execute(made.on_conflict_do_update(index_elements=["id"], set_=new))

    async def family(self, hash_: bytes) -> Family | None:
        """Return a refresh token with its session, both locked until the work ends; whoever it is is still there."""
        row = (await self._session.execute(_FAMILY, {"hash": hash_})).one_or_none()
        if row is None:
            return None
        cells = iter(row)
        token = RefreshToken(**{name: next(cells) for name in _TOKEN})
        session = Session(**{name: _read(name, next(cells)) for name in _SESSION})
        name, subdomain, open_ = cells
        return Family(token=token, session=session, name=name, subdomain=subdomain, open=open_)

    async def begin(self, session: Session, token: RefreshToken) -> None:
        """Store a new session with its first refresh token."""
        values = _values("session", session) | _values("next", token)
        await self._session.execute(_BEGIN, values)

    async def rotate(self, used: RefreshToken, session: Session, following: RefreshToken) -> None:
        """Store that a token was used and a session seen by that, and the token that follows."""
        values = _values("used", used) | _values("session", session) | _values("next", following)
        await self._session.execute(_ROTATE, values)

    async def sweep(self, before: datetime) -> int:
        """Forget sessions that were over before that; return how many."""
        over = or_(SessionRow.expires_at < before, SessionRow.ended_at < before)
        gone = delete(SessionRow).where(over).returning(SessionRow.id)
        return len((await self._session.scalars(gone)).all())


def _kept(thing: Session | RefreshToken) -> dict[str, Any]:
    values = {field.name: getattr(thing, field.name) for field in fields(thing)}
    return values | {"amr": list(thing.amr)} if isinstance(thing, Session) else values


def _read(name: str, cell: Any) -> Any:  # noqa: ANN401 - a column's value
    return tuple(cell) if name == "amr" else cell


def _values(prefix: str, thing: Session | RefreshToken) -> dict[str, Any]:
    return {f"{prefix}_{name}": value for name, value in _kept(thing).items()}


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
