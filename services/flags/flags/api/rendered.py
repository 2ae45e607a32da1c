"""Answers of one ruleset in OFREP's words, written out before anybody asks.

A flag without targeting has the same answer for everybody: its bytes are made once per revision, and the hot path only
looks them up. What a client-side key sees is a rendering of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from flags.domain.ruleset import Compiled, Ruleset

PREFIX = "/ofrep/v1/evaluate/flags"
Fields = list[tuple[bytes, bytes]]


Reply = tuple[int, Fields, bytes]  # a whole answer: status, header fields, body


@dataclass(frozen=True, slots=True)
class Rendered:
    """Everything a key may be told of a ruleset: single answers by their path, and all of them at once."""

    ruleset: Ruleset
    single: Mapping[str, Reply]
    bulk: Reply
    seal: bytes

    def etag(self, asked: bytes) -> bytes:
        """Return the entity tag of the bulk answer to a request: it covers what is served, to whom, and the context."""
        return b'"' + blake2b(asked, key=self.seal, digest_size=16).hexdigest().encode() + b'"'


def rendered(ruleset: Ruleset, *, client_side: bool) -> Rendered:
    """Return a ruleset's answers as a server-side or a client-side key gets them."""
    metadata = {"environment": ruleset.place.environment, "project": ruleset.place.project}
    bodies = {
        flag.key: orjson.dumps(_said(flag, metadata))
        for flag in ruleset.visible(client_side=client_side)
    }
    everything = b'{"flags":[' + b",".join(bodies.values()) + b"]}"
    scope = f"{ruleset.place} {ruleset.revision} {client_side} ".encode()
    return Rendered(
        ruleset=ruleset,
        single={f"{PREFIX}/{key}": reply(200, body) for key, body in bodies.items()},
        bulk=reply(200, everything),
        seal=blake2b(scope + everything, digest_size=32).digest(),
    )


def _said(flag: Compiled, metadata: Mapping[str, str]) -> dict[str, Any]:
    return {
        "key": flag.key,
        "value": flag.answer.value,
        "variant": flag.answer.variant,
        "reason": flag.answer.reason.value,
        "metadata": metadata,
    }


def failure(status: int, code: str, details: str, key: str = "") -> Reply:
    """Return an evaluation that failed, as OFREP has it; `key` is empty for the bulk."""
    said = {"errorCode": code, "errorDetails": details}
    return reply(status, orjson.dumps({"key": key, **said} if key else said))


def reply(status: int, body: bytes, more: Sequence[tuple[bytes, bytes]] = ()) -> Reply:
    """Return a JSON reply with its length, without which a server would send it in chunks."""
    length = str(len(body)).encode()
    fields = [(b"content-type", b"application/json"), (b"content-length", length), *more]
    return status, fields, body
