"""Which flags of a project are asked for, and in which order; and which projects."""

from dataclasses import dataclass
from typing import Literal

from flags.domain.flag import Lifecycle
from flags.domain.values import FlagType

SortField = Literal["key", "name", "created_at", "updated_at"]


@dataclass(frozen=True, slots=True)
class Order:
    """By which field; its id decides between equals, in the same direction."""

    field: SortField = "created_at"
    descending: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A filter over flags: what is None does not matter. `enabled` is about `environment`."""

    environment: str
    search: str | None = None
    enabled: bool | None = None
    type: FlagType | None = None
    lifecycle: Lifecycle | None = None
    tag: str | None = None
    owner_id: str | None = None
    order: Order = Order()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Which projects are wanted: the one with a key, those with a text in their key or name; None: any."""

    key: str | None = None
    search: str | None = None
