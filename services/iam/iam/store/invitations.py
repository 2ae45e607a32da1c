"""Invitations in PostgreSQL."""

from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import BadRequest
from chassis.pages import PageAsk, Slice, cut
from iam.domain.errors import InvitationPending
from iam.domain.invitation import Invitation
from iam.domain.names import folded
from iam.store.clash import flushed
from iam.store.tables import InvitationRow

_OPEN = (InvitationRow.accepted_at.is_(None), InvitationRow.revoked_at.is_(None))
_FIELDS = tuple(f.name for f in fields(Invitation))


class SqlInvitations:
    """The invitations over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, tenant: UUID, invitation: UUID, *, lock: bool = False) -> Invitation | None:
        """Return an invitation of a tenant."""
        query = select(InvitationRow).where(
            InvitationRow.id == invitation, InvitationRow.tenant == tenant
        )
        return await self._one(query, lock=lock)

    async def shown(self, hash_: bytes, *, lock: bool = False) -> Invitation | None:
        """Return the invitation whose token has this SHA-256."""
        query = select(InvitationRow).where(InvitationRow.hash == hash_)
        return await self._one(query, lock=lock)

    async def open(self, tenant: UUID, email: str) -> Invitation | None:
        """Return the invitation of an address that was neither accepted nor revoked; locked."""
        mine = (InvitationRow.tenant == tenant, InvitationRow.email_key == folded(email))
        return await self._one(select(InvitationRow).where(*mine, *_OPEN), lock=True)

    async def list(self, tenant: UUID, ask: PageAsk) -> Slice[Invitation]:
        """Return a part of a tenant's invitations, newest first."""
        mine = InvitationRow.tenant == tenant
        total = await self._session.scalar(
            select(func.count()).select_from(InvitationRow).where(mine)
        )
        query = select(InvitationRow).where(mine).order_by(InvitationRow.id.desc())
        if ask.after is not None:
            query = query.where(InvitationRow.id < _opened(ask.after))
        rows = await self._session.scalars(query.offset(ask.offset).limit(ask.limit + 1))
        items, following = cut([_read(row) for row in rows], ask.limit, lambda i: (str(i.id),))
        return Slice(items=items, next=following, total=total or 0)

    async def waiting(self, tenant: UUID, role: str, now: datetime) -> int:
        """Return how many invitations with a role can still be accepted."""
        which = (InvitationRow.tenant == tenant, InvitationRow.role == role, *_OPEN)
        query = select(func.count()).select_from(InvitationRow)
        return await self._session.scalar(query.where(*which, InvitationRow.expires_at > now)) or 0

    async def put(self, invitation: Invitation) -> None:
        """Store an invitation; InvitationPending if its address has another open one."""
        values = {name: getattr(invitation, name) for name in _FIELDS}
        await self._session.merge(InvitationRow(**values, email_key=folded(invitation.email)))
        pending = InvitationPending(f"{invitation.email!r} was invited already: resend or revoke")
        await flushed(self._session, {"invitation_pending_key": pending})

    async def _one(self, query: Select[InvitationRow], *, lock: bool) -> Invitation | None:
        fresh = query.execution_options(populate_existing=True)
        row = await self._session.scalar(fresh.with_for_update() if lock else fresh)
        return _read(row) if row else None


def _opened(position: Any) -> UUID:  # noqa: ANN401 - as the cursor has it
    try:
        (id_,) = position
        return UUID(id_)
    except ValueError:
        raise BadRequest("this cursor belongs to another order", code="bad_cursor") from None


def _read(row: InvitationRow) -> Invitation:
    return Invitation(**{name: getattr(row, name) for name in _FIELDS})
