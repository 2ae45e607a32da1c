"""OFREP 0.3, the door of OpenFeature's SDKs: raw ASGI, dispatched before FastAPI, because it is the hot one.

A warm request touches nothing that is shared: its API key is a dictionary entry (a *desk*, see `desks`), its answer is
bytes that were written when the ruleset came in; a flag with targeting only decides which. A desk turns to new answers
when a new ruleset is in force. A request id is given back if one was sent (the gateway does), and `Age` says for how
many seconds the state has not been confirmed, while the database is away.

OFREP's own errors (400, 404) have OFREP's form. All others are problem documents that carry `errorCode` and
`errorDetails` as well, for clients that read every failure in that form.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import problems
from chassis.context import CURRENT, request_id_of
from chassis.edge import asked_by
from chassis.errors import Fault
from chassis.telemetry import span
from flags.api.asking import (
    MOST_BYTES,
    Asking,
    NotAContext,
    context_in,
    key_in,
    tags,
)
from flags.api.desks import Desk, Desks, Headers
from flags.api.rendered import PREFIX, Fields, Rendered, Reply, failure, rendered, reply
from flags.api.tickets import Tickets
from flags.domain.place import Place
from flags.usecases.rulesets import Held

log = logging.getLogger(__name__)

MOST_REMEMBERED = 2048  # bytes of a request whose context is kept for previews
SHADES = 100  # RateLimit counts down in so many steps, rounded down, so that its text is made once

_BELOW = f"{PREFIX}/"


@dataclass(slots=True)
class Ofrep:
    """The door. `reply` is the whole of it but for reading the request and writing the answer."""

    desks: Desks
    tickets: Tickets | None = None
    clock: Callable[[], float] = time.time
    _rendered: dict[tuple[Place, bool], Rendered] = field(
        default_factory=dict[tuple[Place, bool], Rendered]
    )
    _told: dict[int, Fields] = field(default_factory=dict[int, Fields])
    _shade: int = 1

    def __post_init__(self) -> None:
        self._shade = max(1, self.desks.limiter.rate // SHADES)

    def before(self, app: ASGIApp) -> ASGIApp:
        """Return an app that answers evaluations itself and leaves the rest to `app`."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["method"] != "POST" or not _is_ours(scope):
                await app(scope, receive, send)
                return
            message = await receive()
            body = await _rest(message, receive) if message.get("more_body") else message["body"]
            headers = dict(scope["headers"])
            status, fields, said = await self.reply(
                scope["path"], headers, body, scope["query_string"]
            )
            await send({"type": "http.response.start", "status": status, "headers": fields})
            await send({"type": "http.response.body", "body": said})

        return answer

    async def reply(self, path: str, headers: Headers, body: bytes, query: bytes = b"") -> Reply:
        """Return the answer to an evaluation request, whatever comes of it."""
        try:
            desk = await self.desks.of(headers, PREFIX)
            left = desk.take()
            if query:
                await self._as_fresh_as(desk, query)
            if headers.get(b"traceparent", b"0")[-1:] == b"1":
                return self._traced(desk, left, path, headers, body)
            return self._served(desk, left, path, headers, body)
        except NotAContext as wrong:
            return failure(400, wrong.code, wrong.details, key_in(path))
        except Fault as fault:
            return _refused(fault, path, headers)
        except Exception:
            log.exception("a bug: POST %s", path)
            return reply(500, b'{"errorDetails":"something went wrong on our side"}')

    def _traced(self, desk: Desk, left: int, path: str, headers: Headers, body: bytes) -> Reply:
        token = CURRENT.set(asked_by(headers.items()))
        try:
            with span(f"POST {PREFIX}"):
                return self._served(desk, left, path, headers, body)
        finally:
            CURRENT.reset(token)

    def _served(self, desk: Desk, left: int, path: str, headers: Headers, body: bytes) -> Reply:
        """Answer from memory. Nothing here waits, and little is made that was not made before."""
        context = context_in(body)
        self.desks.identity.used.seen.add(desk.key)
        if context and len(body) <= MOST_REMEMBERED:
            desk.held.seen.append(context)
        answers = desk.answers
        if answers is None or answers.ruleset is not desk.held.ruleset:
            answers = desk.answers = self._answers(desk.held, client_side=desk.client_side)
        answer = answers.single.get(path) or answers.alone(path, context, self.clock())
        if answer is None:
            found = self._otherwise(desk, answers, Asking(path, headers, body, context))
        else:
            desk.held.tally.answers[answer] += 1
            found = answers.replies[answer]
        fields = found[1] + (self._told.get(left // self._shade) or self._tell(left))
        if aged := self.desks.age(desk):
            fields += aged
        if b"x-request-id" in headers:
            fields.append(_echo(headers))
        return found[0], fields, found[2]

    async def _as_fresh_as(self, desk: Desk, query: bytes) -> None:
        """Read again what a client has heard to have changed, if the news has not come here yet (OFREP, ADR 8)."""
        said = parse_qs(query.decode("latin-1"), max_num_fields=20).get("flagConfigEtag", [""])[0]
        revision = said.strip('"')
        if revision.isascii() and revision.isdecimal() and len(revision) < 19:
            await self.desks.rulesets.hoped_for(desk.held, int(revision))

    def _answers(self, held: Held, *, client_side: bool) -> Rendered:
        """Return what is in force at a place, written out once for all keys of a kind."""
        ruleset, known = held.ruleset, self._rendered.get((held.place, client_side))
        if ruleset is None:
            raise RuntimeError("a place is opened before it is asked")
        if known is None or known.ruleset is not ruleset:
            known = rendered(ruleset, client_side=client_side, before=known)
            self._rendered[held.place, client_side] = known
        return known

    def _otherwise(self, desk: Desk, answers: Rendered, asking: Asking) -> Reply:
        """Return the answer to what is not the plain path of a flag: the bulk, a trailing slash, or no such flag."""
        path = asking.path.rstrip("/")
        if path == PREFIX:
            return self._bulk(desk, answers, asking)
        if answer := answers.alone(path, asking.context, self.clock()):
            desk.held.tally.answers[answer] += 1
            return answers.replies[answer]
        key = key_in(path)
        return failure(404, "FLAG_NOT_FOUND", f"there is no flag {key!r} for this API key", key)

    def _bulk(self, desk: Desk, answers: Rendered, asking: Asking) -> Reply:
        """Answer 304 before anything is evaluated; only where time itself decides, the tag is that of the answer."""
        now, ticket = self.clock(), self._ticket(desk)
        served = answers.served(asking.context, now) if answers.timed else ()
        said = answers.written(served, ticket) if answers.timed else None
        # The ticket's hour is in the tag, its key is not: two keys that see the same have the same tag.
        tag = answers.etag(said or asking.body + b"%d" % desk.ticket_until)
        if tag in tags(asking.headers.get(b"if-none-match", b"")):
            return 304, [(b"etag", tag)], b""
        if said is None:
            served = answers.served(asking.context, now)
            said = answers.written(served, ticket)
        desk.held.tally.together(answers.same, served)
        return reply(200, said, [(b"etag", tag)])

    def _ticket(self, desk: Desk) -> bytes:
        """Return where the stream of changes is, written out; it stays the same for a while, and so does the tag."""
        if self.tickets is None:
            return b""
        now = self.clock()
        if now >= desk.ticket_until:
            desk.ticket, desk.ticket_until = self.tickets.written(desk.digest, now)
        return desk.ticket

    def _tell(self, left: int) -> Fields:
        """Write out what is left of a rate limit, rounded down to a shade, once for all who are in it."""
        shade = left // self._shade
        fields = self.desks.limiter.verdict(shade * self._shade, 1.0).headers()
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
