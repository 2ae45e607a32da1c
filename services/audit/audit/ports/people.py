"""What is asked of keys: those of people, and encryption under them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

PersonId = tuple[UUID, str]  # in whose log, and who


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody whom a log speaks of: their wrapped key (None: erased) and what they were called, folded."""

    tenant: UUID
    id: str
    key: bytes | None
    names: str = ""


class Vault(Protocol):
    """Keys, and encryption under them."""

    def fresh(self) -> bytes:
        """Return a new key, wrapped."""
        ...

    def seal(self, key: bytes, text: bytes, about: bytes) -> bytes:
        """Return a text, sealed under a wrapped key to what it is about."""
        ...

    def unseal(self, key: bytes, sealed: bytes, about: bytes) -> bytes | None:
        """Return a text; None if it was not sealed so."""
        ...

    def wrap(self, text: bytes, about: bytes) -> bytes:
        """Return a secret of our own, sealed."""
        ...

    def unwrap(self, sealed: bytes, about: bytes) -> bytes:
        """Return what was wrapped."""
        ...


class People(Protocol):
    """Those of whom the logs speak."""

    async def find(self, ids: Collection[PersonId]) -> Mapping[PersonId, Person]:
        """Return those who are known."""
        ...

    async def keep(self, people: Sequence[Person]) -> Mapping[PersonId, Person]:
        """Add people, or their names to those who are known; return them as they are now. The erased stay so."""
        ...
