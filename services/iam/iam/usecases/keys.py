"""The signing keys: made, published, used, forgotten; by itself, by whichever replica comes first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from iam.domain import signing
from iam.domain.authority import Kind
from iam.domain.signing import Rotation, SigningKey
from iam.ports import OpenWork, Work
from iam.usecases.facts import signing_key_fact


class Ring(Protocol):
    """The keys in memory."""

    def make(self, now: datetime, signs_from: datetime) -> SigningKey:
        """Return a new key."""
        ...

    def opens(self, key: SigningKey) -> bool:
        """Tell whether the private half can be read."""
        ...

    def take(self, keys: Sequence[SigningKey]) -> None:
        """Hold exactly these keys from now on."""
        ...

    def published(self) -> Sequence[Mapping[str, str]]:
        """Return the public halves, as a JWK set has them."""
        ...


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Everything that happens to signing keys."""

    work: OpenWork
    ring: Ring
    rotation: Rotation
    now: Callable[[], datetime]

    def published(self) -> Sequence[Mapping[str, str]]:
        """Return the public keys that tokens may be signed with. They are for everybody."""
        return self.ring.published()

    async def turn(self) -> None:
        """Make the next key if it is time, forget those that nobody needs, and hold the rest."""
        async with self.work() as work:
            keys = await work.signing_keys.all()
        if self._due(keys):
            async with self.work() as work:
                await self._decide(work, await work.signing_keys.all(lock=True))
                keys = await work.signing_keys.all()
        self.ring.take(keys)

    def _due(self, keys: Sequence[SigningKey]) -> bool:
        return self._next(keys) is not None or bool(self._outlived(keys))

    def _next(self, keys: Sequence[SigningKey]) -> datetime | None:
        return signing.next_from(self._usable(keys), self.rotation, self.now())

    def _outlived(self, keys: Sequence[SigningKey]) -> list[SigningKey]:
        """Return what may go; measured by the keys that we can sign with, for only those follow one another."""
        current = signing.signing(self._usable(keys), self.now())
        if current is None:
            return []
        older = [key for key in keys if key.signs_from < current.signs_from]
        return signing.outlived([*older, current], self.rotation, self.now())

    def _usable(self, keys: Sequence[SigningKey]) -> list[SigningKey]:
        return [key for key in keys if self.ring.opens(key)]

    async def _decide(self, work: Work, keys: Sequence[SigningKey]) -> None:
        """Look again now that nobody else can decide, and do it."""
        if (signs_from := self._next(keys)) is not None:
            made = self.ring.make(self.now(), signs_from)
            await work.signing_keys.put(made)
            work.changed(Kind.SIGNING_KEY, made.kid)
            work.record(signing_key_fact("created", made.kid))
        for key in self._outlived(keys):
            await work.signing_keys.drop(key.kid)
            work.changed(Kind.SIGNING_KEY, key.kid)
            work.record(signing_key_fact("retired", key.kid))
