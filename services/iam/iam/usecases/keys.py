"""The signing keys: made, published, used, forgotten; by itself, by whichever replica comes first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from iam.domain import signing
from iam.domain.authority import Kind
from iam.domain.errors import KeepsOldKeys
from iam.domain.signing import Rotation, SigningKey
from iam.ports import OpenWork, Work
from iam.usecases.facts import signing_key_fact

_NOTHING = timedelta(0)


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

    async def rotate(self, *, at_once: bool, revoke_old: bool, reason: str) -> SigningKey:
        """Make the next key ahead of its time; it signs when every verifier of ours has heard of it.

        `at_once`: in seconds, not in an hour. `revoke_old`, in an emergency: it signs now, and all other keys are
        forgotten, so every access token signed before is refused within a second. Sessions go on with their
        refresh tokens.
        """
        if revoke_old and not at_once:
            raise KeepsOldKeys("--revoke-old needs --now: without an old key a new one must sign")
        ahead = self.rotation.heard_within if at_once else self.rotation.published_ahead
        async with self.work() as work:
            others = await work.signing_keys.all(lock=True)
            made = self.ring.make(self.now(), self.now() + (ahead if not revoke_old else _NOTHING))
            await self._come(work, made, reason)
            for key in others if revoke_old else ():
                await self._go(work, key.kid, "revoked", reason)
        return made

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
            await self._come(work, self.ring.make(self.now(), signs_from))
        for key in self._outlived(keys):
            await self._go(work, key.kid, "retired")

    async def _come(self, work: Work, made: SigningKey, reason: str = "") -> None:
        await work.signing_keys.put(made)
        work.changed(Kind.SIGNING_KEY, made.kid)
        work.record(signing_key_fact("created", made.kid, reason))

    async def _go(self, work: Work, kid: str, verb: str, reason: str = "") -> None:
        await work.signing_keys.drop(kid)
        work.changed(Kind.SIGNING_KEY, kid)
        work.record(signing_key_fact(verb, kid, reason))
