"""OFREP 0.3, the door of OpenFeature's SDKs: raw ASGI, dispatched before FastAPI, because it is the hot one.

A warm request touches nothing that is shared: its API key is a dictionary entry (a *desk*), its answer is bytes that
were written when the ruleset came in; a flag with targeting only decides which. A desk is made anew when the authority
changes (a key revoked, a tenant closed); it turns to new answers when a new ruleset is in force. A request id is given
back if one was sent (the gateway does).

OFREP's own errors (400, 404) have OFREP's form. All others are problem documents that carry `errorCode` and
`errorDetails` as well, for clients that read every failure in that form.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authz.limits import Bucket, Limiter
from chassis import problems
from chassis.caller import Caller
from chassis.context import CURRENT, request_id_of
from chassis.denials import Denials
from chassis.edge import asked_by
from chassis.errors import BadRequest, Fault, Forbidden, TooMany
from chassis.identity import EPOCH, BadKey, Identity, credentials
from chassis.telemetry import span
from flags.api.asking import (
    MOST_BYTES,
    Asking,
    Headers,
    NotAContext,
    context_in,
    key_in,
    tags,
)
from flags.api.rendered import PREFIX, Fields, Rendered, Reply, failure, rendered, reply
from flags.domain.place import Place
from flags.usecases.rulesets import Held, Rulesets

log = logging.getLogger(__name__)

MOST_DESKS = 20_000
MOST_REMEMBERED = 2048  # bytes of a request whose context is kept for previews
SHADES = 100  # RateLimit counts down in so many steps, rounded down, so that its text is made once

_BELOW = f"{PREFIX}/"
_EPOCH = EPOCH.encode()  # who sends it wants more than what a desk remembers


class KeyNeeded(BadRequest):
    """Evaluation is for API keys: a person's access token belongs to no environment."""

    code = "api_key_needed"


@dataclass(slots=True)
class Desk:
    """Where one API key is served, until `expires` (monotonic seconds) or the authority's next `generation`."""

    key: str
    generation: int
    expires: float
    client_side: bool
    held: Held
    bucket: Bucket
    answers: Rendered

    def is_over(self, generation: int, now: float) -> bool:
        """Tell whether the key must be looked at again."""
        return self.generation != generation or self.expires <= now


@dataclass(slots=True)
class Ofrep:
    """The door. `reply` is the whole of it but for reading the request and writing the answer."""

    rulesets: Rulesets
    identity: Identity
    limiter: Limiter
    denials: Denials | None = None
    clock: Callable[[], float] = time.time
    _desks: dict[bytes, Desk] = field(default_factory=dict[bytes, Desk])
    _rendered: dict[tuple[Place, bool], Rendered] = field(
        default_factory=dict[tuple[Place, bool], Rendered]
    )
    _told: dict[int, Fields] = field(default_factory=dict[int, Fields])
    _shade: int = 1

    def __post_init__(self) -> None:
        self._shade = max(1, self.limiter.rate // SHADES)

    def before(self, app: ASGIApp) -> ASGIApp:
        """Return an app that answers evaluations itself and leaves the rest to `app`."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["method"] != "POST" or not _is_ours(scope):
                await app(scope, receive, send)
                return
            message = await receive()
            body = await _rest(message, receive) if message.get("more_body") else message["body"]
            status, fields, said = await self.reply(scope["path"], dict(scope["headers"]), body)
            await send({"type": "http.response.start", "status": status, "headers": fields})
            await send({"type": "http.response.body", "body": said})

        return answer

    async def reply(self, path: str, headers: Headers, body: bytes) -> Reply:
        """Return the answer to an evaluation request, whatever comes of it."""
        try:
            now = time.monotonic()
            desk = self._desks.get(_credential(headers))
            generation = self.identity.authority.generation
            if desk is None or desk.is_over(generation, now) or _EPOCH in headers:
                desk = await self._seat(headers, now)
            if headers.get(b"traceparent", b"0")[-1:] == b"1":
                return self._traced(desk, path, headers, body)
            return self._served(desk, path, headers, body)
        except NotAContext as wrong:
            return failure(400, wrong.code, wrong.details, key_in(path))
        except Fault as fault:
            return _refused(fault, path, headers)
        except Exception:
            log.exception("a bug: POST %s", path)
            return reply(500, b'{"errorDetails":"something went wrong on our side"}')

    def _traced(self, desk: Desk, path: str, headers: Headers, body: bytes) -> Reply:
        token = CURRENT.set(asked_by(headers.items()))
        try:
            with span(f"POST {PREFIX}"):
                return self._served(desk, path, headers, body)
        finally:
            CURRENT.reset(token)

    def _served(self, desk: Desk, path: str, headers: Headers, body: bytes) -> Reply:
        """Answer from memory. Nothing here waits, and little is made that was not made before."""
        left = desk.bucket.take(time.monotonic())
        if left < 0:
            raise TooMany("too many evaluations with this API key", retry_after=1)
        context = context_in(body)
        self.identity.used.seen.add(desk.key)
        if context and len(body) <= MOST_REMEMBERED:
            desk.held.seen.append(context)
        answers = desk.answers
        if answers.ruleset is not desk.held.ruleset:
            answers = desk.answers = self._answers(desk.held, client_side=desk.client_side)
        answer = answers.single.get(path) or answers.alone(path, context, self.clock())
        if answer is None:
            found = self._otherwise(desk, Asking(path, headers, body, context))
        else:
            desk.held.tally.answers[answer] += 1
            found = answers.replies[answer]
        fields = found[1] + (self._told.get(left // self._shade) or self._tell(left))
        if b"x-request-id" in headers:
            fields.append(_echo(headers))
        return found[0], fields, found[2]

    async def _seat(self, headers: Headers, now: float) -> Desk:
        """Find out who asks, and give a key that the authority knows a desk of its own."""
        generation = self.identity.authority.generation
        text = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        _, key = credentials(text)
        known = self.identity.key(key) if key and EPOCH not in text else None
        expires = now + (known.expires - self.identity.clock() if known and known.expires else inf)
        if expires <= now:
            raise BadKey("the API key has expired")
        caller = self.identity.caller_of(known) if known else await self.identity.of(text)
        if caller.kind != "api_key":
            raise KeyNeeded("evaluation is for API keys: send one as X-API-Key")
        try:
            held = await self.rulesets.open(caller)
        except Forbidden as refusal:
            await self._note(caller, refusal, headers)
            raise
        desk = Desk(
            key=caller.credential,
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

    async def _note(self, caller: Caller, refusal: Forbidden, headers: Headers) -> None:
        """Tell the audit log, with the request, of which nothing is known on the warm path."""
        if self.denials is None:
            return
        token = CURRENT.set(asked_by(headers.items()))
        try:
            await self.denials.note(caller, refusal, "POST", PREFIX)
        finally:
            CURRENT.reset(token)

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

    def _otherwise(self, desk: Desk, asking: Asking) -> Reply:
        """Return the answer to what is not the plain path of a flag: the bulk, a trailing slash, or no such flag."""
        path = asking.path.rstrip("/")
        if path == PREFIX:
            return _bulk(desk, asking, self.clock())
        if answer := desk.answers.alone(path, asking.context, self.clock()):
            desk.held.tally.answers[answer] += 1
            return desk.answers.replies[answer]
        key = key_in(path)
        return failure(404, "FLAG_NOT_FOUND", f"there is no flag {key!r} for this API key", key)

    def _tell(self, left: int) -> Fields:
        """Write out what is left of a rate limit, rounded down to a shade, once for all who are in it."""
        shade = left // self._shade
        fields = self.limiter.verdict(shade * self._shade, 1.0).headers()
        self._told[shade] = fields
        return fields


def _is_ours(scope: Scope) -> bool:
    path: str = scope["path"]
    return path.startswith(_BELOW) or path == PREFIX


async def _rest(message: Message, receive: Receive) -> bytes:
    """Return a body that comes in parts. Of one that is too large only so much is kept that it shows."""
    body = bytearray(message["body"])
    while message.get("more_body"):
        message = await receive()
        if len(body) <= MOST_BYTES:
            body += message.get("body", b"")
    return bytes(body)


def _credential(headers: Headers) -> bytes:
    """Return what a desk goes by. Who sends two credentials has none that is known."""
    key, bearer = headers.get(b"x-api-key"), headers.get(b"authorization")
    if key is None:
        return bearer or b""
    return key if bearer is None else key + b"\n" + bearer


def _bulk(desk: Desk, asking: Asking, now: float) -> Reply:
    """Answer 304 before anything is evaluated; only where time itself decides, the tag is that of the answer."""
    answers = desk.answers
    served = answers.served(asking.context, now) if answers.timed else None
    body = None if served is None else answers.written(served)
    tag = answers.etag(asking.body if body is None else body)
    if tag in tags(asking.headers.get(b"if-none-match", b"")):
        return 304, [(b"etag", tag)], b""
    if served is None or body is None:
        served = answers.served(asking.context, now)
        body = answers.written(served)
    desk.held.tally.together(answers.same, served)
    return reply(200, body, [(b"etag", tag)])


def _echo(headers: Headers) -> tuple[bytes, bytes]:
    return b"x-request-id", request_id_of(headers[b"x-request-id"].decode("latin-1")).encode()


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
    return status, [kind, (b"content-length", str(len(body)).encode()), *fields], body
