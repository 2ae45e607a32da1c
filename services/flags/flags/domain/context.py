"""Who or what asks: an evaluation context in its plain form, and how attributes are read out of it.

A context is a JSON object. Its own attributes are those of the user; other kinds lie below their name:

    {"targetingKey": "ana", "plan": "pro", "organization": {"key": "acme", "size": 40}, "device": {"key": "d-1"}}

Two more forms are understood: `{"kind": "multi", "user": {…}, "organization": {…}}`, and one thing alone that says its
kind, `{"kind": "organization", "key": "acme"}`. An attribute is a name, or a JSON pointer (`/address/city`, `/tags/0`).
An attribute that is null is as good as absent.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Context = Mapping[str, Any]
Read = Callable[[Context], Any]

USER = "user"
KINDS = (USER, "organization", "device")
UNIT = "targetingKey"
NOW = "$now"
LONGEST_NAME = 256
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attribute:
    """Which value of a context is meant: a name or a JSON pointer, among the attributes of a kind."""

    name: str
    kind: str = USER


def plain(context: Context) -> Context:
    """Return a context with the user's attributes at the top and other kinds below their names."""
    kind = context.get("kind")
    if kind is None or kind == USER:
        return context
    if kind == "multi":
        found: Any = context.get(USER)
        user: Context = found if isinstance(found, dict) else {}  # type: ignore[reportUnknownVariableType]
        return {**context, **user, UNIT: _key_of(user) or context.get(UNIT)}  # type: ignore[reportUnknownArgumentType]
    if isinstance(kind, str) and kind in KINDS:
        return {kind: context}
    return context  # an attribute that happens to be called so


def reader(attribute: Attribute) -> Read:
    """Return how an attribute is read; absent ones are None."""
    if attribute.name.startswith("/"):
        return _pointed(_steps(attribute))
    if attribute.kind == USER:
        name = attribute.name
        return lambda context: context.get(name)
    if attribute.name == UNIT:
        return _key_below(attribute.kind)
    return _pointed((attribute.kind, attribute.name))


def unit(value: object) -> str | None:
    """Return what a split goes by: a text that is not empty, or a whole number as text; None of anything else."""
    if value.__class__ is str:
        return value or None  # type: ignore[return-value]
    if value.__class__ is int:
        return str(value) if abs(value) < 2**63 else None  # type: ignore[operator]
    return None


def _key_below(kind: str) -> Read:
    def read(context: Context) -> object:
        return _key_of(context.get(kind))

    return read


def _key_of(thing: object) -> object:
    if not isinstance(thing, dict):
        return None
    return thing.get(UNIT) or thing.get("key")  # type: ignore[reportUnknownMemberType]


def _steps(attribute: Attribute) -> tuple[str, ...]:
    steps = attribute.name[1:].split("/")
    names = tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)
    return names if attribute.kind == USER else (attribute.kind, *names)


def _pointed(steps: tuple[str, ...]) -> Read:
    def read(context: Context) -> object:
        found: Any = context
        for step in steps:
            if isinstance(found, dict):
                found = found.get(step)  # type: ignore[reportUnknownMemberType]
            elif isinstance(found, list):
                found = _item(found, step)  # type: ignore[reportUnknownArgumentType]
            else:
                return None
        return found  # type: ignore[reportUnknownVariableType]

    return read


def _item(found: list[Any], step: str) -> object:
    if not _INDEX.fullmatch(step) or int(step) >= len(found):
        return None
    return found[int(step)]
