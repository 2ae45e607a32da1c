"""The outermost layer of a REST app: knows the request, counts it, and never lets an exception escape unanswered."""

import logging
import time
from collections.abc import Iterable
from math import inf

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import problems
from chassis.context import CURRENT, Asked, request_id_of, trace_of
from chassis.telemetry import REQUESTS, span

log = logging.getLogger(__name__)
Headers = Iterable[tuple[bytes, bytes]]


def asked_by(headers: Headers, seconds: float | None = None) -> Asked:
    """Read a request's id, trace and origin off its headers; who asks waits some seconds, or as the headers say."""
    found = dict(headers)
    if (said := _text(found, b"x-budget-ms")).isdecimal() and len(said) < 8:
        seconds = int(said) / 1000
    request_id = request_id_of(_text(found, b"x-request-id"))
    trace_id, traceparent = trace_of(_text(found, b"traceparent"), request_id)
    return Asked(
        request_id=request_id,
        trace_id=trace_id,
        traceparent=traceparent,
        ip=_text(found, b"x-forwarded-for").rpartition(",")[2].strip(),
        user_agent=_text(found, b"user-agent"),
        credential=_credential(found),
        epoch=_text(found, b"x-authz-epoch"),
        ends=inf if seconds is None else time.monotonic() + seconds,
    )


class Edge:
    """ASGI: wraps the app; adds the request id, counts and times, answers 500 for a bug."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request = asked_by(scope["headers"])
        token = CURRENT.set(request)
        try:
            _without_trailing_slash(scope)
            if scope.get("method") == "HEAD":  # what GET answers; the server leaves the body out
                scope = {**scope, "method": "GET"}
            await self._timed(scope, receive, send, request)
        finally:
            CURRENT.reset(token)

    async def _timed(self, scope: Scope, receive: Receive, send: Send, request: Asked) -> None:
        begun, status = time.perf_counter(), 0

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "websocket.accept":
                status = 101
            elif message["type"].endswith("http.response.start"):
                status = message["status"]
                ours = (b"x-request-id", request.request_id.encode())
                message["headers"] = [*message["headers"], ours]
            await send(message)

        with span(scope.get("method", "WS")) as opened:
            try:
                await self._app(scope, receive, tell)
            except ClientDisconnect:  # before all was sent: nobody is left to be answered
                status = status or 499
            except Exception:
                log.exception("a bug: %s %s", scope.get("method"), scope["path"])
                if scope["type"] == "websocket" or status:
                    raise
                await _answer_500(tell, scope["path"])
            route = getattr(scope.get("route"), "path", "unmatched")
            opened.update_name(f"{scope.get('method', 'WS')} {route}")  # a path may be a secret
            opened.set_attribute("http.route", route)
            opened.set_attribute("http.response.status_code", status)
        taken = time.perf_counter() - begun
        REQUESTS.labels(scope.get("method", "WS"), route, status).observe(taken)


async def _answer_500(send: Send, path: str) -> None:
    detail = "something went wrong on our side; the request id says where to look"
    body = orjson.dumps(problems.document(500, "internal", detail, path))
    fields = {"content-type": problems.MEDIA_TYPE, **problems.headers(500)}
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _without_trailing_slash(scope: Scope) -> None:
    path: str = scope["path"]
    if len(path) > 1 and path.endswith("/"):
        scope["path"] = path.rstrip("/") or "/"
        scope["raw_path"] = scope["path"].encode()


def _credential(found: dict[bytes, bytes]) -> tuple[str, str] | None:
    names = (name for name in (b"x-api-key", b"authorization") if name in found)
    return next(((name.decode(), _text(found, name)) for name in names), None)


def _text(found: dict[bytes, bytes], name: bytes) -> str:
    return found.get(name, b"").decode("latin-1")
