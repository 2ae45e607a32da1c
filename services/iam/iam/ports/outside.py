"""What iam asks of the world beside the store: the clock, the dice, and what is slow or secret."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Means:
    """The clock and the dice. `new_secret` gives 256 random bits as text."""

    now: Callable[[], datetime]
    new_id: Callable[[], UUID]
    new_secret: Callable[[], str]


class Passwords(Protocol):
    """Hashes passwords, slowly and off the event loop."""

    async def hash(self, password: str) -> str:
        """Return the hash of a password."""
        ...

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Tell whether a password has this hash; with None it takes as long and says no."""
        ...

    def outdated(self, hashed: str) -> bool:
        """Tell whether a hash was made in a way that we would not use today."""
        ...


class Throttle(Protocol):
    """Slows down guessing, per account and address."""

    async def attempt(self, account: str, address: str) -> float:
        """Count an attempt; return for how many seconds it must not be made, 0 if it may."""
        ...

    async def clear(self, account: str, address: str) -> None:
        """Forget the attempts, since one succeeded."""
        ...


class Sealer(Protocol):
    """Encrypts what the database must not be able to read."""

    def seal(self, secret: bytes, about: str) -> bytes:
        """Return the secret, sealed to what it is about."""
        ...

    def unseal(self, sealed: bytes, about: str) -> bytes | None:
        """Return the secret; None if it was sealed with another key or about something else."""
        ...


class Signer(Protocol):
    """Signs tokens."""

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return an access token; NoSigningKey while there is no key."""
        ...
