"""An evaluation request of OFREP, read: its context, its key, what the client has already."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from chassis.errors import TooLarge
from flags.api.rendered import PREFIX
from flags.domain.context import Context

MOST_BYTES = 1024 * 1024

Headers = Mapping[bytes, bytes]


class ContextTooLarge(TooLarge):
    """The evaluation context is larger than a mebibyte."""

    code = "flags.context_too_large"


class NotAContext(Exception):
    """The body is not an evaluation request; `code` is OpenFeature's word for why."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


@dataclass(frozen=True, slots=True)
class Asking:
    """One request, read."""

    path: str
    headers: Headers
    body: bytes
    context: Context


def context_in(body: bytes) -> Context:
    """Return the context of an evaluation request. An empty body asks without one, as does a null."""
    if len(body) > MOST_BYTES:
        raise ContextTooLarge("an evaluation request is at most one mebibyte")
    try:
        asked: Any = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as wrong:
        raise NotAContext("PARSE_ERROR", f"the body is not valid JSON: {wrong}") from None
    if not isinstance(asked, dict):
        raise NotAContext("PARSE_ERROR", "the body is not a JSON object")
    context: Any = asked.get("context")  # type: ignore[reportUnknownMemberType]
    if context is None:
        return {}
    if not isinstance(context, dict):
        raise NotAContext("INVALID_CONTEXT", "the context is not an object")
    if not isinstance(context.get("targetingKey", ""), str):  # type: ignore[reportUnknownMemberType]
        raise NotAContext("INVALID_CONTEXT", "the targetingKey is not a string")
    return context  # type: ignore[reportUnknownVariableType]


def key_in(path: str) -> str:
    """Return the flag's key in a path; empty for the bulk."""
    return path.removeprefix(PREFIX).strip("/")


def tags(sent: bytes) -> list[bytes]:
    """Return the entity tags that a client has; weak ones name the same."""
    return [tag.strip().removeprefix(b"W/") for tag in sent.split(b",")]
