"""OFREP 0.3, the door of OpenFeature's SDKs: raw ASGI, dispatched before FastAPI, because it is the hot one.

A warm request touches nothing that is shared: its API key is a dictionary entry (a *desk*), its answer is bytes that were
written when the ruleset came in. A desk is made anew when the authority changes (a key revoked, a tenant closed); it
turns to new answers when a new ruleset is in force. The request id is given back if one was sent, as the gateway does.

OFREP's own errors (400, 404) have OFREP's form. All others are problem documents that carry `errorCode` and
`errorDetails` as well, for clients that read every failure in that form.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis import problems
from chassis.context import CURRENT, request_id_of
from chassis.edge import asked_by
from chassis.errors import BadRequest, Fault, TooLarge, TooMany
from chassis.identity import BadKey, Identity, credentials
from chassis.limits import Bucket, Limiter
from chassis.telemetry import span
from flags.api.rendered import PREFIX, Fields, Rendered, Reply, failure, rendered, reply
from flags.domain.place import Place
from flags.usecases.rulesets import Held, Rulesets

log = logging.getLogger(__name__)

MOST_DESKS = 20_000
MOST_BYTES = 1024 * 1024
SHADES = 100  # RateLimit counts down in so many steps, rounded down, so that its text is made once

Headers = Mapping[bytes, bytes]


class KeyNeeded(BadRequest):
    """Evaluation is for API keys: a person's access token belongs to no environment."""

    code = "api_key_needed"


class ContextTooLarge(TooLarge):
    """The evaluation context is larger than a mebibyte."""

    code = "flags.context_too_large"


class NotAContext(Exception):
    """The body is not an evaluation request; `code` is OpenFeature's word for why."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


@dataclass(slots=True)
class Desk:
    """Where one API key is served, until `expires` (monotonic seconds) or the authority's next `generation`."""

    generation: int
    expires: float
    client_side: bool
    held: Held
    bucket: Bucket
    answers: Rendered


@dataclass(slots=True)
class Ofrep:
    """The door. `reply` is the whole of it but for reading the request and writing the answer."""

    rulesets: Rulesets
    identity: Identity
    limiter: Limiter
    _desks: dict[bytes, Desk] = field(default_factory=dict[bytes, Desk])
    _rendered: dict[tuple[Place, bool], Rendered] = field(
        default_factory=dict[tuple[Place, bool], Rendered]
    )
    _limits: dict[int, Fields] = field(default_factory=dict[int, Fields])

    def before(self, app: ASGIApp) -> ASGIApp:
        """Return an app that answers evaluations itself and leaves the rest to `app`."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or not _is_ours(scope):
                await app(scope, receive, send)
                return
            body = await _read(receive)
            if body is None:
                return
            status, fields, said = await self.reply(scope["path"], dict(scope["headers"]), body)
            await send({"type": "http.response.start", "status": status, "headers": fields})
            await send({"type": "http.response.body", "body": said})

        return answer

    async def reply(self, path: str, headers: Headers, body: bytes) -> Reply:
        """Return the answer to an evaluation request, whatever comes of it."""
        try:
            if headers.get(b"traceparent", b"")[-1:] == b"1":
                return await self._traced(path, headers, body)
            return await self._evaluate(path, headers, body)
        except NotAContext as wrong:
            return failure(400, wrong.code, wrong.details, key_in(path))
        except Fault as fault:
            return _refused(fault, path, headers)
        except Exception:
            log.exception("a bug: POST %s", path)
            return reply(500, b'{"errorDetails":"something went wrong on our side"}')

    async def _traced(self, path: str, headers: Headers, body: bytes) -> Reply:
        token = CURRENT.set(asked_by(headers.items()))
        try:
            with span(f"POST {PREFIX}"):
                return await self._evaluate(path, headers, body)
        finally:
            CURRENT.reset(token)

    async def _evaluate(self, path: str, headers: Headers, body: bytes) -> Reply:
        now = time.monotonic()
        desk = self._desks.get(_credential(headers))
        if (
            desk is None
            or desk.generation != self.identity.authority.generation
            or desk.expires <= now
        ):
            desk = await self._seat(headers, now)
        if desk.answers.ruleset is not desk.held.ruleset:
            desk.answers = self._answers(desk.held, client_side=desk.client_side)
        left = desk.bucket.take(now)
        if left < 0:
            raise TooMany("too many evaluations with this API key", retry_after=1)
        check(body)
        answers = desk.answers
        found = answers.single.get(path) or _otherwise(answers, path, headers, body)
        return Reply(found.status, [*found.fields, *self._told(left), *_echo(headers)], found.body)

    async def _seat(self, headers: Headers, now: float) -> Desk:
        """Find out who asks, and give a key that the authority knows a desk of its own."""
        generation = self.identity.authority.generation
        text = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        _, key = credentials(text)
        known = self.identity.key(key) if key else None
        expires = now + (known.expires - self.identity.clock() if known and known.expires else inf)
        if expires <= now:
            raise BadKey("the API key has expired")
        caller = self.identity.caller_of(known) if known else await self.identity.of(text)
        if caller.kind != "api_key":
            raise KeyNeeded("evaluation is for API keys: send one as X-API-Key")
        held = await self.rulesets.open(caller)
        desk = Desk(
            generation=generation,
            expires=expires,
            client_side=caller.key_kind == "client",
            held=held,
            bucket=self.limiter.bucket(caller.credential, now),
            answers=self._answers(held, client_side=caller.key_kind == "client"),
        )
        if known:
            self._keep(_credential(headers), desk)
        return desk

    def _keep(self, credential: bytes, desk: Desk) -> None:
        if len(self._desks) >= MOST_DESKS:
            self._desks.clear()
        self._desks[credential] = desk

    def _answers(self, held: Held, *, client_side: bool) -> Rendered:
        """Return what is in force at a place, written out once for all keys of a kind."""
        ruleset, known = held.ruleset, self._rendered.get((held.place, client_side))
        if ruleset is None:
            raise RuntimeError("a place is opened before it is asked")
        if known is None or known.ruleset is not ruleset:
            known = rendered(ruleset, client_side=client_side)
            self._rendered[held.place, client_side] = known
        return known

    def _told(self, left: int) -> Fields:
        """Return the rate limit's header fields, rounded down so that their text is made only once."""
        coarse = max(1, self.limiter.rate // SHADES)
        left -= left % coarse
        if (fields := self._limits.get(left)) is None:
            fields = self._limits[left] = self.limiter.verdict(left, 1.0).headers()
        return fields


def _is_ours(scope: Scope) -> bool:
    return scope["path"].startswith(PREFIX) and scope["method"] == "POST"


async def _read(receive: Receive) -> bytes | None:
    """Return the body of a request; None if the client is gone. What is too large is not kept but read to its end."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"") if len(body) <= MOST_BYTES else b""
    return None if message["type"] == "http.disconnect" else body


def _credential(headers: Headers) -> bytes:
    """Return what a desk goes by. Who sends two credentials has none that is known."""
    key, bearer = headers.get(b"x-api-key"), headers.get(b"authorization")
    if key is None:
        return bearer or b""
    return key if bearer is None else key + b"\n" + bearer


def _otherwise(answers: Rendered, path: str, headers: Headers, body: bytes) -> Reply:
    """Return the answer to what is not the plain path of a flag: the bulk, a trailing slash, or no such flag."""
    path = path.rstrip("/")
    if path == PREFIX:
        return _bulk(answers, headers, body)
    if found := answers.single.get(path):
        return found
    key = key_in(path)
    return failure(404, "FLAG_NOT_FOUND", f"there is no flag {key!r} for this API key", key)


def _bulk(answers: Rendered, headers: Headers, body: bytes) -> Reply:
    tag = answers.etag(body)
    if tag in _tags(headers.get(b"if-none-match", b"")):
        return Reply(304, [(b"etag", tag)], b"")
    status, fields, said = answers.bulk
    return Reply(status, [*fields, (b"etag", tag)], said)


def _tags(sent: bytes) -> list[bytes]:
    return [tag.strip().removeprefix(b"W/") for tag in sent.split(b",")]


def _echo(headers: Headers) -> Fields:
    if (sent := headers.get(b"x-request-id")) is None:
        return []
    return [(b"x-request-id", request_id_of(sent.decode("latin-1")).encode())]


def check(body: bytes) -> None:
    """Refuse a body that is not an evaluation request. An empty one asks without a context."""
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
        return
    if not isinstance(context, dict):
        raise NotAContext("INVALID_CONTEXT", "the context is not an object")
    if not isinstance(context.get("targetingKey", ""), str):  # type: ignore[reportUnknownMemberType]
        raise NotAContext("INVALID_CONTEXT", "the targetingKey is not a string")


def key_in(path: str) -> str:
    """Return the flag's key in a path; empty for the bulk."""
    return path.removeprefix(PREFIX).strip("/")


def _refused(fault: Fault, path: str, headers: Headers) -> Reply:
    status = problems.status_of(fault)
    if status == 400:
        return failure(400, "GENERAL", fault.detail, key_in(path))
    token = CURRENT.set(asked_by(headers.items()))
    try:
        said = problems.document(status, fault.code, fault.detail, path, fault.errors)
    finally:
        CURRENT.reset(token)
    body = orjson.dumps({**said, "errorCode": "GENERAL", "errorDetails": fault.detail})
    more = {**problems.headers(status, fault.retry_after), "x-request-id": said["request_id"]}
    fields = [(name.encode(), value.encode()) for name, value in more.items()]
    kind = (b"content-type", problems.MEDIA_TYPE.encode())
    return Reply(status, [kind, (b"content-length", str(len(body)).encode()), *fields], body)
