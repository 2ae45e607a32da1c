"""An OpenAPI document becomes a list of doors.

A door is a path and a group of its methods that are treated alike. A path whose operations differ (public
and not, slow and fast, safe to retry and not) gets several doors; the strictest of them takes every
method that is not named, so that a wrong method is answered 405 by the service and not let in easier.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gate.limits import AddressLimit
from gate.openapi import operations
from gate.shapes import Doc

HOT_PREFIX = "/ofrep/"
_PARAMETER = re.compile(r"\{[^{}/]+\}")


class DoorError(Exception):
    """An operation carries a marker that the gate does not know."""


class Auth(StrEnum):
    """Who is let in."""

    PUBLIC = "public"
    KEY = "key"
    BEARER = "bearer"
    EITHER = "either"


class Kind(StrEnum):
    """What goes through: requests, an endless answer, or a two-way socket."""

    PLAIN = "plain"
    STREAM = "stream"
    WEBSOCKET = "websocket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One route to be: `methods` empty means all that no other door of the path names."""

    path: str
    service: str
    methods: tuple[str, ...]
    auth: Auth
    kind: Kind = Kind.PLAIN
    timeout: float | None = None
    limit: AddressLimit | None = None
    large_body: bool = False
    greedy: bool = False

    @property
    def hot(self) -> bool:
        """Whether each microsecond counts (flag evaluation)."""
        return self.path.startswith(HOT_PREFIX) and self.kind is Kind.PLAIN

    @property
    def exact(self) -> bool:
        """Whether the path has no parameters."""
        return not _PARAMETER.search(self.path)

    @property
    def repeatable(self) -> bool:
        """Whether a request may be sent again although it may have arrived."""
        reads = bool(self.methods) and set(self.methods) <= {"GET", "HEAD"}
        return self.kind is Kind.PLAIN and (self.hot or reads)

    def regex(self) -> str:
        """Return the regular expression for the path, trailing slash and all."""
        parts = _PARAMETER.split(self.path.rstrip("/"))
        gaps = ["[^/]+"] * (len(parts) - 1)
        if self.greedy and gaps:
            gaps[-1] = ".+"
        pairs = zip(parts, [*gaps, ""], strict=True)
        return "".join(re.escape(p).replace(r"\-", "-") + g for p, g in pairs) + "/?"


def doors(document: Doc) -> list[Door]:
    """Return the doors of all services, in the order in which they must be tried."""
    found = [d for path, item in document["paths"].items() for d in _of_path(path, item)]
    return sorted((d for d in found if d.service != "gateway"), key=_order)


def _of_path(path: str, item: Doc) -> list[Door]:
    groups: dict[Door, list[str]] = {}
    for method, operation in operations(item):
        reads = method in ("get", "head")
        alike = replace(_door(path, operation), methods=("GET",) if reads else ())
        groups.setdefault(alike, []).append(method.upper())
    split = [replace(d, methods=tuple(sorted(m))) for d, m in groups.items()]
    *named, strictest = sorted(split, key=_strictness)
    rest_is_read = strictest.repeatable and not strictest.hot
    # What is safe to repeat for GET is not for other methods: they get a door of their own.
    return (
        [*named, strictest, replace(strictest, methods=())]
        if rest_is_read
        else [
            *named,
            replace(strictest, methods=()),
        ]
    )


def _door(path: str, operation: Doc) -> Door:
    return Door(
        path=path,
        service=operation["x-service"],
        methods=(),
        auth=_auth(path, operation["security"]),
        kind=_kind(path, operation.get("x-door", "plain")),
        timeout=operation.get("x-timeout"),
        limit=_limit(path, operation.get("x-limit")),
        large_body=operation.get("x-body-limit", 0) > 0,
        greedy=bool(operation.get("x-path-greedy")),
    )


def _auth(path: str, security: Sequence[Doc]) -> Auth:
    if not security or {} in security:
        return Auth.PUBLIC
    names = {name for requirement in security for name in requirement}
    modes = {
        frozenset({"apiKey"}): Auth.KEY,
        frozenset({"bearer"}): Auth.BEARER,
        frozenset({"apiKey", "bearer"}): Auth.EITHER,
    }
    if frozenset(names) not in modes or any(len(r) > 1 for r in security):
        raise DoorError(f"{path}: no such way in: {security}")
    return modes[frozenset(names)]


def _kind(path: str, marker: str) -> Kind:
    try:
        return Kind(marker)
    except ValueError as error:
        raise DoorError(f"{path}: x-door {marker!r} is not known") from error


def _limit(path: str, marker: str | None) -> AddressLimit | None:
    try:
        return AddressLimit(marker) if marker else None
    except ValueError as error:
        raise DoorError(f"{path}: x-limit {marker!r} is not known") from error


def _strictness(door: Door) -> tuple[bool, bool, bool, bool]:
    """Sort key: the last takes the methods that nobody named."""
    return (
        door.auth is not Auth.PUBLIC,
        door.limit is AddressLimit.STRICT,
        door.limit is not None,
        not door.methods or "GET" not in door.methods,
    )


def _order(door: Door) -> tuple[bool, bool, list[int], str, bool]:
    """Sort key: hot first, exact before templates, words before parameters, greedy last."""
    segments = [
        (2 if door.greedy else 1) if _PARAMETER.search(s) else 0 for s in door.path.split("/")
    ]
    return (not door.hot, not door.exact, segments, door.path, not door.methods)
