"""Password resets in PostgreSQL."""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from iam.domain.reset import PasswordReset
from iam.store.tables import PasswordResetRow


class SqlResets:
    """The password resets over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def shown(self, hash_: bytes) -> PasswordReset | None:
        """Return the reset whose token has this SHA-256."""
        row = await self._session.scalar(
            select(PasswordResetRow)
            .where(PasswordResetRow.hash == hash_)
            .execution_options(populate_existing=True)
        )
        return row and PasswordReset(
            user=row.user, hash=row.hash, created_at=row.created_at, expires_at=row.expires_at
        )

    async def put(self, reset: PasswordReset) -> None:
        """Store a user's reset in the place of any before."""
        await self._session.merge(PasswordResetRow(**asdict(reset)))
        await self._session.flush()

    async def drop(self, user: UUID) -> None:
        """Forget a user's reset."""
        await self._session.execute(delete(PasswordResetRow).where(PasswordResetRow.user == user))

    async def sweep(self, before: datetime) -> int:
        """Forget what expired before that; return how many."""
        gone = delete(PasswordResetRow).where(PasswordResetRow.expires_at < before)
        found = await self._session.scalars(gone.returning(PasswordResetRow.user))
        return len(found.all())
