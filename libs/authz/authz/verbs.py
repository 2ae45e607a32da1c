"""The alphabet of verbs: one bit each. A permission is a kind and some bits, a mask any set of bits of a kind."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from authz.permissions import CATALOGUE, named

FETCH, LIST, NOTIFY, CREATE, UPDATE, CUSTOM1, CUSTOM2, DELETE = (1 << n for n in range(8))
MODIFY = UPDATE | DELETE  # one bit (16) on the wire, two inside
READ = FETCH | LIST | NOTIFY
WRITE = READ | CREATE | MODIFY
ALL = 255

WIRE_MODIFY, WIRE_READ, WIRE_WRITE, WIRE_ROOT = 16, 7, 31, 127

_VERBS = {"read": READ, "create": CREATE, "update": UPDATE, "delete": DELETE}
_GENERAL = {**_VERBS, "custom1": CUSTOM1, "custom2": CUSTOM2}
_CUSTOM1 = {
    "flag": "toggle",
    "vm": "power_manage",
    "role": "assign_users",
    "user": "impersonate",
    "project": "share",
    "experiment": "process",
    "agent": "execute",
    "audit": "export",
    "platform": "configure",
}
_CUSTOM2 = {
    "vm": "read_logs",
    "user": "reset_credentials",
    "experiment": "schedule",
    "flag": "evaluate",
    "audit": "admin",
}


def _bit(kind: str, verb: str) -> int:
    custom = {_CUSTOM1.get(kind): CUSTOM1, _CUSTOM2.get(kind): CUSTOM2}
    return _VERBS.get(verb) or custom[verb]


# kind → verb → bits. Every permission of the catalogue has its own, or this module cannot be imported.
BITS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {kind: {verb: _bit(kind, verb) for verb in verbs} for kind, verbs in CATALOGUE.items()}
)


def need_of(permission: str) -> tuple[str, int] | None:
    """Return the kind and the bits that a permission (or an alias) stands for; None if it is none."""
    if (found := named(permission)) is None:
        return None
    kind, _, verb = found.partition(":")
    return kind, BITS[kind][verb]


def masks(permissions: Iterable[str]) -> dict[str, int]:
    """Return permissions as one mask per kind; what is in no catalogue gives nothing."""
    made: dict[str, int] = defaultdict(int)
    for kind, bits in filter(None, map(need_of, permissions)):
        made[kind] |= bits
    return dict(made)


def meaning(kind: str) -> int:
    """Return the bits that stand for something with a kind."""
    made = 0
    for bits in BITS.get(kind, _VERBS).values():
        made |= bits
    return made


def spelled(kind: str, mask: int) -> tuple[str, ...]:
    """Return the permissions of a kind that a mask touches; a bit that has no name in the kind by its general one."""
    names = BITS.get(kind, {})
    nameless = mask & ~sum(names.values())
    touched = [verb for verb, bits in names.items() if bits & mask]
    return tuple(
        f"{kind}:{verb}"
        for verb in (*touched, *(v for v, bits in _GENERAL.items() if bits & nameless))
    )


def from_wire(mask: int) -> int:
    """Return a mask as it is inside: MODIFY means update and delete."""
    return mask & WIRE_ROOT | (DELETE if mask & WIRE_MODIFY else 0)


def to_wire(mask: int) -> int:
    """Return a mask as the wire has it: MODIFY only where it means both."""
    return mask & WIRE_ROOT & ~WIRE_MODIFY | (WIRE_MODIFY if mask & MODIFY == MODIFY else 0)
