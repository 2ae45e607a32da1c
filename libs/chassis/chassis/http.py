"""The REST side: doors that ask who and whether before what, strict bodies, pages, ETags, problem documents.

A request passes, in this order: Edge (id, metrics) → Door (authenticate, permission, rate, idempotency) → FastAPI
(syntax) → use-case. Each route says what it needs: `**needs("flag:toggle")`, `**anybody()` or `**public()`; a route
that says nothing keeps the app from starting.
"""

import re
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Strict
from starlette.exceptions import HTTPException

from authz.limits import Limiter
from chassis import refusals
from chassis.caller import Caller
from chassis.context import asked
from chassis.denials import Denials
from chassis.edge import Edge
from chassis.errors import BadRequest, Fault, FieldError, Invalid, TooMany
from chassis.idempotency import HEADER, Idempotency, Retry
from chassis.identity import Identity
from chassis.openapi import described
from chassis.pages import DEFAULT_LIMIT, MAX_LIMIT, Cursors, PageAsk, Slice
from chassis.reading import StrictRequest, queried

T = TypeVar("T")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Needs = dict[str, Any]


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def in_utc(moment: datetime) -> datetime:
    """Return a moment as UTC has it; ValueError if UTC has no such year."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is beyond the calendar") from None


# Strict bodies take no number for a time and no false for a 0; these two are spelled as strings in JSON.
Id = Annotated[UUID, Strict(False), BeforeValidator(_text)]
Instant = Annotated[AwareDatetime, Strict(False), BeforeValidator(_text), AfterValidator(in_utc)]


class Body(BaseModel):
    """What a client sends: exact types, no unknown field."""

    model_config = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, str_max_length=65536
    )


class View(BaseModel):
    """What a client gets, read off a domain value."""

    model_config = ConfigDict(from_attributes=True)


class Page(View, Generic[T]):
    """A part of a list: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""

    items: list[T]
    total: int | None = None
    page: int | None = None
    limit: int | None = None
    has_more: bool | None = None
    next_cursor: str | None = None


def needs(permission: str, **more: Any) -> Needs:  # noqa: ANN401 - OpenAPI is untyped
    """Say that a route needs a permission; `more` goes into the operation (x-door, x-timeout …)."""
    return {"openapi_extra": {"x-permission": permission, **more}}


def needs_somewhere(permission: str, **more: Any) -> Needs:  # noqa: ANN401
    """Say that a route needs a permission over a thing or in a project; refused is who holds it over none."""
    return needs(permission, **{"x-somewhere": True}, **more)


def keyed(permission: str, **more: Any) -> Needs:  # noqa: ANN401
    """Say that a route is for API keys only."""
    return needs(permission, security=[{"apiKey": []}], **more)


def anybody(**more: Any) -> Needs:  # noqa: ANN401
    """Say that a route is for everybody who is logged in."""
    return {"openapi_extra": {"x-permission": "", **more}}


def public(**more: Any) -> Needs:  # noqa: ANN401
    """Say that a route is for everybody."""
    return {"openapi_extra": {"x-permission": None, "security": [], **more}}


@dataclass(slots=True)
class Wiring:
    """What the doors of one app are connected to."""

    identity: Identity | None = None
    idempotency: Idempotency | None = None
    denials: Denials | None = None
    cursors: Cursors = field(default_factory=lambda: Cursors(b"unwired"))
    limiter: Limiter = field(default_factory=lambda: Limiter(1000))
    uses: dict[type[object], object] = field(default_factory=dict[type[object], object])


class Door(APIRoute):
    """A route that knows who asks, and whether they may, before it looks at what they ask."""

    def get_route_handler(self) -> Handler:
        """Wrap FastAPI's handler."""
        answer = _telling(super().get_route_handler())
        extra = self.openapi_extra or {}
        if "x-permission" not in extra:
            raise RuntimeError(f"{self.path} does not say which permission it needs")
        permission: str | None = extra["x-permission"]
        key_only = extra.get("security") == [{"apiKey": []}]
        somewhere = "x-somewhere" in extra
        takes_json, known = self.body_field is not None, queried(self.dependant)

        async def handle(request: Request) -> Response:
            request = StrictRequest(request.scope, request.receive)
            wiring: Wiring = request.app.state.wiring
            if permission is None:
                request.check_query()
                await request.read_json(needed=takes_json)
                return await answer(request)
            reads = request.method == "GET" or permission.endswith((":read", ":evaluate"))
            caller = await _admitted(request, wiring, key_only=key_only, reads=reads)
            if permission:
                (caller.must_for_some if somewhere else caller.must)(permission)
            verdict = wiring.limiter.ask(caller.credential, time.monotonic())
            if not verdict.allowed:
                raise TooMany("too many requests with this credential", retry_after=verdict.reset)
            request.check_query()
            if not reads:
                request.check_known(known)
            await request.read_json(needed=takes_json)
            response = await _once(request, wiring, caller, answer)
            response.raw_headers.extend(verdict.headers())
            return response

        return handle


def _telling(answer: Handler) -> Handler:
    """Return a handler whose answer says what the use-case wants said beside it."""

    async def told(request: Request) -> Response:
        response = await answer(request)
        response.headers.update(asked().answer)
        return response

    return told


async def _admitted(request: Request, wiring: Wiring, *, key_only: bool, reads: bool) -> Caller:
    if wiring.identity is None:
        raise RuntimeError("this app was made for its OpenAPI document only")
    caller = request.state.caller = await wiring.identity.of(request.headers)
    if caller.confirm is not None and not reads:
        caller = request.state.caller = await caller.confirm()
    if key_only and caller.kind not in ("api_key", "service_account"):
        raise BadRequest("this path is for API keys: send one as X-API-Key", code="api_key_needed")
    return caller


async def _once(request: Request, wiring: Wiring, caller: Caller, answer: Handler) -> Response:
    key = request.headers.get(HEADER)
    if key is None or wiring.idempotency is None or request.method not in ("POST", "PATCH"):
        return await answer(request)
    url = request.url
    scope = f"{caller.tenant} {caller.subject} {request.method} {url.path}?{url.query}"
    retry = Retry(scope=scope, key=key, body=await request.body())
    return await wiring.idempotency.once(retry, lambda: answer(request))


def doors(prefix: str, tag: str) -> APIRouter:
    """Return a router whose routes are doors."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=Door)


def rest_app(title: str, routers: Sequence[APIRouter], wiring: Wiring | None = None) -> FastAPI:
    """Return an app with these doors. Without wiring it can only describe itself."""
    app = FastAPI(
        title=title,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        # We have our own (edge): this one tells paths and queries in full, and with them what opens something.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.wiring = wiring or Wiring()
    app.state.routers = routers
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(Fault, refusals.tell_fault)
    app.add_exception_handler(RequestValidationError, refusals.tell_invalid)
    app.add_exception_handler(HTTPException, refusals.tell_http)
    app.add_middleware(Edge)
    app.openapi = lambda: described(app)
    return app


def given(kind: type[object]) -> Any:  # noqa: ANN401 - FastAPI's own marker is untyped
    """Mark a parameter to be filled with the app's own `kind` of use-cases."""

    async def look_up(request: Request) -> object:  # FastAPI runs what is no coroutine in a thread
        return request.app.state.wiring.uses[kind]

    return Depends(look_up)


async def _caller(request: Request) -> Caller:
    return request.state.caller


Asking = Annotated[Caller, Depends(_caller)]


# --- versions -----------------------------------------------------------------------------------------------------


def etag(version: int) -> str:
    """Return the entity tag of a version."""
    return f'"{version}"'


# For `responses=` of a route that answers 304.
TAGGED: dict[int | str, Needs] = {304: {"description": "Nothing has changed since that ETag"}}


def tagged(response: Response, request: Request, version: int) -> bool:
    """Put the ETag on a response; tell whether the client has this version already (then answer 304)."""
    response.headers["etag"] = etag(version)
    sent = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    # A proxy that compresses makes a tag weak; what it names is the same (RFC 9110, 13.1.2).
    known = sent == ["*"] or etag(version) in (tag.removeprefix("W/") for tag in sent)
    return request.method == "GET" and known


class BadIfMatch(Invalid):
    """If-Match does not hold an ETag of ours."""

    code = "bad_if_match"


_OUR_TAG = re.compile(r'(?:W/)?"?([0-9]{1,18})"?')


async def expected_version(request: Request) -> int | None:
    """Return the version that `If-Match` demands; None where any will do."""
    sent = request.headers.get("if-match")
    if sent is None or sent.strip() == "*":
        return None
    if not (tag := _OUR_TAG.fullmatch(sent.strip())):
        said = 'send one ETag as you were given it, such as "3", or *'
        wrong = FieldError("header:if-match", said, "bad_etag")
        raise BadIfMatch(f"If-Match: {said}", errors=(wrong,))
    return int(tag[1])


Expected = Annotated[int | None, Depends(expected_version)]


# --- pages --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pager:
    """Which part of a list was asked for, and how the answer is to be written."""

    ask: PageAsk
    scope: str
    cursors: Cursors
    by_cursor: bool

    def render(self, part: Slice[T], view: Callable[[T], object]) -> dict[str, Any]:
        """Return the answer: numbered pages, or cursors if the client came with one."""
        items = [view(item) for item in part.items]
        forward = {"next_cursor": self.cursors.seal(self.scope, part.next)} if part.next else {}
        if self.by_cursor:
            return {"items": items, "has_more": part.next is not None, **forward}
        total = part.total if part.total is not None else len(items)
        numbers = {"total": total, "page": self.ask.page, "limit": self.ask.limit}
        return {"items": items, **numbers, **forward}


async def _pager(
    request: Request,
    page: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
) -> Pager:
    if page is not None and cursor is not None:
        raise BadRequest("page and cursor say two things; send one", code="page_and_cursor")
    cursors = request.app.state.wiring.cursors
    scope = _scope(request)
    after = cursors.open(scope, cursor) if cursor else None
    ask = PageAsk(limit=limit, page=page or 1, after=after)
    return Pager(ask, scope, cursors, by_cursor=cursor is not None)


Paging = Annotated[Pager, Depends(_pager)]
_PAGING = ("page", "limit", "cursor")


def _scope(request: Request) -> str:
    """Name the list that a cursor belongs to: tenant, path and every filter."""
    caller: Caller = request.state.caller
    filters = sorted(one for one in request.query_params.multi_items() if one[0] not in _PAGING)
    return f"{caller.tenant} {request.url.path} {filters}"
