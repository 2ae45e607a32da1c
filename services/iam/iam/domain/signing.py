"""The keys that access tokens are signed with, and when each of them may be used.

A key is published before it signs, so that no verifier meets a token whose key it has not heard of, and stays published
after it has signed for the last time until its last token has expired.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One key. `jwk` is the public half as JSON, `sealed` the private one, encrypted."""

    kid: str
    jwk: str
    sealed: bytes
    created_at: datetime
    signs_from: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """How long a key signs, how long before that it is published, and how long after that it is kept."""

    signs_for: timedelta
    published_ahead: timedelta
    kept_after: timedelta
    # How long the slowest verifier of ours takes to hear of a key: three times the gateway's look at the key set.
    heard_within: timedelta = timedelta(seconds=15)


def signing(keys: Sequence[SigningKey], now: datetime) -> SigningKey | None:
    """Return the key that signs now: the newest whose time has come.

    By a clock that is behind the maker's that of no key may have come; then the first one signs (docs/adr/0077).
    """
    ready = [key for key in keys if key.signs_from <= now] or sorted(keys, key=_age)[:1]
    return max(ready, key=_age, default=None)


def _age(key: SigningKey) -> tuple[datetime, str]:
    return key.signs_from, key.kid


def next_from(keys: Sequence[SigningKey], rotation: Rotation, now: datetime) -> datetime | None:
    """Return from when on the next key shall sign; None if none is needed yet."""
    newest = max((key.signs_from for key in keys), default=None)
    if newest is None:
        return now
    due = newest + rotation.signs_for
    return (
        None if now < due - rotation.published_ahead else max(due, now + rotation.published_ahead)
    )


def outlived(keys: Sequence[SigningKey], rotation: Rotation, now: datetime) -> list[SigningKey]:
    """Return the keys that no token in use can have been signed with."""
    current = signing(keys, now)
    if current is None or now < current.signs_from + rotation.kept_after:
        return []
    return [key for key in keys if key.signs_from < current.signs_from]
