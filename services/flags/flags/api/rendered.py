"""Answers of one ruleset in OFREP's words, written out before anybody asks.

A flag can give only so many answers, all known when it is compiled, so the bytes of each are made once per revision:
the hot path finds out which answer it is, and looks the bytes up. A flag without targeting has one answer, found by
its path. What a client-side key sees is a rendering of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from flags.domain.answers import Answer, Bundle
from flags.domain.compile import Asked
from flags.domain.context import Context, plain
from flags.domain.ruleset import Compiled, Ruleset

PREFIX = "/ofrep/v1/evaluate/flags"
Fields = list[tuple[bytes, bytes]]


Reply = tuple[int, Fields, bytes]  # a whole answer: status, header fields, body


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """Everything a key may be told of a ruleset.

    `single` are the answers that are the same for everybody, and `asked` the flags that have to be asked, by path;
    `replies` and `parts` are each answer's bytes, alone and in the bulk; `bulk` is all flags in order, bytes where that
    is known already, `same` the answers in these. `timed`: some answer may change although nothing else does.
    """

    ruleset: Ruleset
    single: Mapping[str, Answer]
    asked: Mapping[str, Compiled]
    replies: Mapping[Answer, Reply]
    parts: Mapping[Answer, bytes]
    bulk: Sequence[bytes | Compiled]
    same: Bundle
    timed: bool
    seal: bytes

    def etag(self, asked: bytes) -> bytes:
        """Return the entity tag of the bulk answer to a request: it covers what is served, to whom, and the context."""
        return b'"' + blake2b(asked, key=self.seal, digest_size=16).hexdigest().encode() + b'"'

    def alone(self, path: str, context: Context, now: float) -> Answer | None:
        """Return the answer of the flag at a path; None if there is none. `replies` has its bytes."""
        if found := self.single.get(path):
            return found
        flag = self.asked.get(path)
        return None if flag is None else self.ruleset.ask(flag, context, now)

    def everything(self, context: Context, now: float) -> bytes:
        """Return what all flags serve to a context, in the order of their keys."""
        return self.written(self.served(context, now))

    def served(self, context: Context, now: float) -> Sequence[Answer]:
        """Return the answers of the flags of the bulk that have to be asked; those of the others are `same`."""
        context, asked = plain(context), Asked(now, members={})
        serve = self.ruleset.serve
        return [serve(flag, context, asked) for flag in self.bulk if not isinstance(flag, bytes)]

    def written(self, served: Sequence[Answer], more: bytes = b"") -> bytes:
        """Return the bulk with what these flags served, and `more` fields, written out."""
        parts, turn = self.parts, iter(served)
        said = [flag if isinstance(flag, bytes) else parts[next(turn)] for flag in self.bulk]
        return b'{"flags":[' + b",".join(said) + b"]" + more + b"}"


def rendered(ruleset: Ruleset, *, client_side: bool, before: Rendered | None = None) -> Rendered:
    """Return a ruleset's answers as a server-side or a client-side key gets them.

    What was written out `before`, for the same place and kind of key, is not written out again.
    """
    flags = list(ruleset.visible(client_side=client_side))
    metadata = {"environment": ruleset.place.environment, "project": ruleset.place.project}
    old: Mapping[Answer, bytes] = before.parts if before else {}
    sent: Mapping[Answer, Reply] = before.replies if before else {}
    parts = {
        answer: old.get(answer) or _written(_said(flag.key, answer, metadata))
        for flag in flags
        for answer in flag.answers
    }
    replies = {
        answer: sent.get(answer) or reply(400 if answer.trouble else 200, body)
        for answer, body in parts.items()
    }
    scope = f"{ruleset.place} {ruleset.revision} {client_side} ".encode()
    return Rendered(
        ruleset=ruleset,
        single={f"{PREFIX}/{flag.key}": flag.answer for flag in flags if flag.answer},
        asked={f"{PREFIX}/{flag.key}": flag for flag in flags if flag.answer is None},
        replies=replies,
        parts=parts,
        bulk=_joined([parts[flag.answer] if flag.answer else flag for flag in flags]),
        same=Bundle(tuple(flag.answer for flag in flags if flag.answer)),
        timed=any(flag.timed for flag in flags),
        seal=blake2b(scope + b",".join(parts.values()), digest_size=32).digest(),
    )


def _joined(flags: Sequence[bytes | Compiled]) -> list[bytes | Compiled]:
    """Return the flags with neighbours that are bytes put together."""
    joined: list[bytes | Compiled] = []
    for flag in flags:
        if isinstance(flag, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] += b"," + flag
        else:
            joined.append(flag)
    return joined


def _written(said: dict[str, Any]) -> bytes:
    """Return JSON in no more memory than it needs: orjson leaves its whole buffer, 4 KiB, to every result."""
    return bytes(memoryview(orjson.dumps(said)))


def _said(key: str, answer: Answer, metadata: Mapping[str, str]) -> dict[str, Any]:
    if answer.trouble:
        return {"key": key, "errorCode": answer.trouble.value, "errorDetails": answer.details}
    return {
        "key": key,
        "value": answer.value,
        "variant": answer.variant,
        "reason": answer.reason.value,
        "metadata": {**metadata, **marks(answer)},
    }


def marks(answer: Answer) -> dict[str, Any]:
    """Return what tells a client of the experiment that it is in."""
    if not answer.experiment:
        return {}
    marks = {"experiment": answer.experiment, "experimentPhase": answer.phase}
    return {**marks, "flagVariant": answer.serves}


def failure(status: int, code: str, details: str, key: str = "") -> Reply:
    """Return an evaluation that failed, as OFREP has it; `key` is empty for the bulk."""
    said = {"errorCode": code, "errorDetails": details}
    return reply(status, orjson.dumps({"key": key, **said} if key else said))


def reply(status: int, body: bytes, more: Sequence[tuple[bytes, bytes]] = ()) -> Reply:
    """Return a JSON reply with its length, without which a server would send it in chunks."""
    fields = _fields(len(body))
    return status, [*fields, *more] if more else fields, body


@lru_cache(4096)
def _fields(length: int) -> Fields:
    """Return the header fields of a body; whoever adds to them makes a list of their own."""
    return [(b"content-type", b"application/json"), (b"content-length", str(length).encode())]
