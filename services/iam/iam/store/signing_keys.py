"""Signing keys in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from iam.domain.signing import SigningKey
from iam.store.tables import SigningKeyRow


class SqlSigningKeys:
    """The signing keys over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def all(self, *, lock: bool = False) -> Sequence[SigningKey]:
        """Return every key; with `lock` nobody else decides about keys until the work ends."""
        if lock:
            await self._session.execute(
                text("LOCK TABLE iam.signing_key IN SHARE ROW EXCLUSIVE MODE")
            )
        rows = await self._session.scalars(select(SigningKeyRow).order_by(SigningKeyRow.kid))
        return [to_signing_key(row) for row in rows]

    async def put(self, key: SigningKey) -> None:
        """Store a key."""
        await self._session.merge(SigningKeyRow(**asdict(key)))
        await self._session.flush()

    async def drop(self, kid: str) -> None:
        """Forget a key."""
        await self._session.execute(delete(SigningKeyRow).where(SigningKeyRow.kid == kid))


def to_signing_key(row: SigningKeyRow) -> SigningKey:
    """Return the key in a row."""
    return SigningKey(
        kid=row.kid,
        jwk=row.jwk,
        sealed=row.sealed,
        created_at=row.created_at,
        signs_from=row.signs_from,
    )
