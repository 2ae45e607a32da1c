"""What iam asks of the store about API keys, sessions and the keys that sign tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.pages import PageAsk, Slice
from iam.domain.api_key import ApiKey
from iam.domain.authority import LiveKey
from iam.domain.reset import PasswordReset
from iam.domain.session import Family, RefreshToken, Session
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

    async def used(self, keys: Sequence[UUID], at: datetime) -> None:
        """Note when keys were used last; a key that is being changed right now is passed over."""
        ...

    async def put(self, key: ApiKey) -> None:
        """Store a key with its versions."""
        ...


class Sessions(Protocol):
    """Sessions and their refresh tokens."""

    async def get(self, session: UUID, *, lock: bool = False) -> Session | None:
        """Return a session."""
        ...

    async def live(
        self, user: UUID, now: datetime, ask: PageAsk, *, tenant: UUID | None = None
    ) -> Slice[Session]:
        """Return a part of a user's live sessions, in one tenant only if it is named, newest first."""
        ...

    async def end_all(
        self,
        user: UUID,
        now: datetime,
        but: UUID | None = None,
        *,
        tenant: UUID | None = None,
    ) -> Sequence[Session]:
        """End every live session of a user, in one tenant only if it is named, perhaps all but one; return them."""
        ...

    async def put(self, session: Session) -> None:
        """Store a session."""
        ...

    async def family(self, hash_: bytes) -> Family | None:
        """Return a refresh token with its session, both locked until the work ends; whoever it is is still there."""
        ...

    async def begin(self, session: Session, token: RefreshToken) -> None:
        """Store a new session with its first refresh token."""
        ...

    async def rotate(self, used: RefreshToken, session: Session, following: RefreshToken) -> None:
        """Store that a token was used and a session seen by that, and the token that follows."""
        ...

    async def sweep(self, before: datetime) -> int:
        """Forget sessions that were over before that; return how many."""
        ...


class Resets(Protocol):
    """The password resets; a user has one at most."""

    async def shown(self, hash_: bytes) -> PasswordReset | None:
        """Return the reset whose token has this SHA-256, as it is now."""
        ...

    async def put(self, reset: PasswordReset) -> None:
        """Store a user's reset in the place of any before."""
        ...

    async def drop(self, user: UUID) -> None:
        """Forget a user's reset."""
        ...

    async def sweep(self, before: datetime) -> int:
        """Forget what expired before that; return how many."""
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
