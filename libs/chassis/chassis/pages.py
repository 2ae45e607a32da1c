"""Pages: how much of a list is asked for, and where the next part begins. Pure.

The engine is keyset pagination: a position is the sort key of the last item seen, as strings. A cursor is a position
that the outside may carry but not read into or change: it is sealed with a key and bound to one list of one tenant.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from chassis.errors import BadRequest

T = TypeVar("T")
U = TypeVar("U")
Position = tuple[str, ...]
MAX_LIMIT = 100
DEFAULT_LIMIT = 50
_SEAL = 12


class BadCursor(BadRequest):
    """The cursor was not made by this list, or was changed on the way."""

    code = "bad_cursor"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAsk:
    """What part of a list is wanted: `limit` items of page `page` (from 1), or those after a position."""

    limit: int = DEFAULT_LIMIT
    page: int = 1
    after: Position | None = None

    @property
    def offset(self) -> int:
        """How many items come before this page; 0 when a position says where to begin."""
        return 0 if self.after else (self.page - 1) * self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Generic[T]):
    """A part of a list: its items, the position after them if there are more, and how many there are in all."""

    items: Sequence[T]
    next: Position | None = None
    total: int | None = None

    def map(self, view: Callable[[T], U]) -> "Slice[U]":
        """Return the slice with each item translated."""
        return Slice(items=[view(item) for item in self.items], next=self.next, total=self.total)


def cut(
    rows: Sequence[T], limit: int, position: Callable[[T], Position]
) -> tuple[Sequence[T], Position | None]:
    """Split `limit` + 1 fetched rows into the items of the slice and the position after them, if there are more."""
    items = rows[:limit]
    return items, position(items[-1]) if len(rows) > limit and items else None


@dataclass(frozen=True, slots=True)
class Cursors:
    """Seals positions into cursors and opens them again. `key` is shared by the replicas of a service."""

    key: bytes

    def seal(self, scope: str, position: Position) -> str:
        """Return the cursor of a position; `scope` names the tenant, the list and its filters."""
        said = json.dumps(position, ensure_ascii=False, separators=(",", ":")).encode()
        return urlsafe_b64encode(self._mac(scope, said) + said).rstrip(b"=").decode()

    def open(self, scope: str, cursor: str) -> Position:
        """Return the position of a cursor; BadCursor unless it was sealed for the same scope."""
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError:
            raise BadCursor("this cursor is not one of ours; begin again without it") from None
        mac, said = raw[:_SEAL], raw[_SEAL:]
        if not hmac.compare_digest(mac, self._mac(scope, said)):
            raise BadCursor(
                "this cursor belongs to another list, filter or tenant; begin again without it"
            )
        return tuple(cast("list[str]", json.loads(said)))

    def _mac(self, scope: str, said: bytes) -> bytes:
        return hmac.digest(self.key, scope.encode() + b"\x00" + said, "sha256")[:_SEAL]
