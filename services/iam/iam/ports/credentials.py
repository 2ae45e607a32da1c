"""What iam asks of the store about API keys, sessions and the keys that sign tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.pages import PageAsk, Slice
from iam.domain.api_key import ApiKey
from iam.domain.authority import LiveKey
from iam.domain.session import RefreshToken, Session
from iam.domain.signing import SigningKey


class ApiKeys(Protocol):
    """The API keys of all tenants. Revoked ones are not found by anything here."""

    async def get(self, tenant: UUID, key: UUID, *, lock: bool = False) -> ApiKey | None:
        """Return a key of a tenant."""
        ...

    async def list(self, tenant: UUID, owner: UUID | None, ask: PageAsk) -> Slice[ApiKey]:
        """Return a part of a tenant's keys, or of one owner's there."""
        ...

    async def known(self, hash_: str) -> LiveKey | None:
        """Return the key with this SHA-256."""
        ...

    async def put(self, key: ApiKey) -> None:
        """Store a key with its versions."""
        ...


class Sessions(Protocol):
    """Sessions and their refresh tokens."""

    async def get(self, session: UUID, *, lock: bool = False) -> Session | None:
        """Return a session."""
        ...

    async def live(self, user: UUID, now: datetime, ask: PageAsk) -> Slice[Session]:
        """Return a part of a user's live sessions, newest first."""
        ...

    async def end_all(self, user: UUID, now: datetime) -> Sequence[Session]:
        """End every live session of a user; return them."""
        ...

    async def put(self, session: Session) -> None:
        """Store a session."""
        ...

    async def token(self, hash_: bytes) -> RefreshToken | None:
        """Return a refresh token, locked until the work ends."""
        ...

    async def put_token(self, token: RefreshToken) -> None:
        """Store a refresh token of a session that is stored."""
        ...

    async def sweep(self, before: datetime) -> int:
        """Forget sessions that were over before that; return how many."""
        ...


class SigningKeys(Protocol):
    """The keys that tokens are signed with; the private halves are sealed."""

    async def all(self, *, lock: bool = False) -> Sequence[SigningKey]:
        """Return every key; with `lock` nobody else decides about keys until the work ends."""
        ...

    async def put(self, key: SigningKey) -> None:
        """Store a key."""
        ...

    async def drop(self, kid: str) -> None:
        """Forget a key."""
        ...
