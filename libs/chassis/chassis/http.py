"""The REST side: doors that ask who and whether before what, strict bodies, pages, ETags, problem documents.

A request passes, in this order: Edge (id, metrics) → Door (authenticate, permission, rate, idempotency) → FastAPI
(syntax) → use-case. Each route says what it needs: `**needs("flag:toggle")`, `**anybody()` or `**public()`; a route
that says nothing keeps the app from starting.
"""

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Strict
from starlette.exceptions import HTTPException

from chassis import problems, strictjson
from chassis.caller import Caller
from chassis.edge import Edge
from chassis.errors import BadRequest, Fault, FieldError, Invalid, Stale, TooMany
from chassis.idempotency import HEADER, Idempotency, Retry
from chassis.identity import Identity
from chassis.limits import Limiter
from chassis.openapi import described
from chassis.pages import DEFAULT_LIMIT, MAX_LIMIT, Cursors, PageAsk, Slice

T = TypeVar("T")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Needs = dict[str, Any]


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


# Strict bodies take no number for a time and no false for a 0; these two are spelled as strings in JSON.
Id = Annotated[UUID, Strict(False), BeforeValidator(_text)]
Instant = Annotated[AwareDatetime, Strict(False), BeforeValidator(_text)]


class Body(BaseModel):
    """What a client sends: exact types, no unknown field."""

    model_config = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, str_max_length=65536
    )


class View(BaseModel):
    """What a client gets, read off a domain value."""

    model_config = ConfigDict(from_attributes=True)


def needs(permission: str, **more: Any) -> Needs:  # noqa: ANN401 - OpenAPI is untyped
    """Say that a route needs a permission; `more` goes into the operation (x-door, x-timeout …)."""
    return {"openapi_extra": {"x-permission": permission, **more}}


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
    cursors: Cursors = field(default_factory=lambda: Cursors(b"unwired"))
    limiter: Limiter = field(default_factory=lambda: Limiter(1000))
    uses: dict[type[object], object] = field(default_factory=dict[type[object], object])


class StrictRequest(Request):
    """A request whose JSON is read strictly, and before FastAPI would rename what is wrong with it."""

    async def read_json(self) -> None:
        """Read the body; BadJson if it is not JSON, or JSON with tricks in it."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if (kind == "application/json" or kind.endswith("+json")) and (body := await self.body()):
            self._json = strictjson.loads(body)


class Door(APIRoute):
    """A route that knows who asks, and whether they may, before it looks at what they ask."""

    def get_route_handler(self) -> Handler:
        """Wrap FastAPI's handler."""
        answer = super().get_route_handler()
        extra = self.openapi_extra or {}
        if "x-permission" not in extra:
            raise RuntimeError(f"{self.path} does not say which permission it needs")
        permission: str | None = extra["x-permission"]
        key_only = extra.get("security") == [{"apiKey": []}]

        async def handle(request: Request) -> Response:
            request = StrictRequest(request.scope, request.receive)
            wiring: Wiring = request.app.state.wiring
            if permission is None:
                await request.read_json()
                return await answer(request)
            caller = await _admitted(request, wiring, permission, key_only=key_only)
            request.state.caller = caller
            verdict = wiring.limiter.ask(caller.credential, time.monotonic())
            if not verdict.allowed:
                raise TooMany("too many requests with this credential", retry_after=verdict.reset)
            await request.read_json()
            response = await _once(request, wiring, caller, answer)
            response.raw_headers.extend(verdict.headers())
            return response

        return handle


async def _admitted(request: Request, wiring: Wiring, permission: str, *, key_only: bool) -> Caller:
    if wiring.identity is None:
        raise RuntimeError("this app was made for its OpenAPI document only")
    caller = await wiring.identity.of(request.headers)
    if key_only and caller.kind != "api_key":
        raise BadRequest("this path is for API keys: send one as X-API-Key", code="api_key_needed")
    if permission:
        caller.must(permission)
    return caller


async def _once(request: Request, wiring: Wiring, caller: Caller, answer: Handler) -> Response:
    key = request.headers.get(HEADER)
    if key is None or wiring.idempotency is None or request.method not in ("POST", "PATCH"):
        return await answer(request)
    scope = (
        f"{caller.tenant} {caller.subject} {request.method} {request.url.path}?{request.url.query}"
    )
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
    )
    app.state.wiring = wiring or Wiring()
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(Fault, _tell_fault)
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    app.add_exception_handler(HTTPException, _tell_http)
    app.add_middleware(Edge)
    app.openapi = lambda: described(app)
    return app


def given(kind: type[object]) -> Any:  # noqa: ANN401 - FastAPI's own marker is untyped
    """Mark a parameter to be filled with the app's own `kind` of use-cases."""

    def look_up(request: Request) -> object:
        return request.app.state.wiring.uses[kind]

    return Depends(look_up)


def _caller(request: Request) -> Caller:
    return request.state.caller


Asking = Annotated[Caller, Depends(_caller)]


# --- versions -----------------------------------------------------------------------------------------------------


def etag(version: int) -> str:
    """Return the entity tag of a version."""
    return f'"{version}"'


def tagged(response: Response, request: Request, version: int) -> bool:
    """Put the ETag on a response; tell whether the client has this version already (then answer 304)."""
    response.headers["etag"] = etag(version)
    sent = request.headers.get("if-none-match", "")
    return request.method == "GET" and etag(version) in (t.strip() for t in sent.split(","))


def expected_version(request: Request) -> int | None:
    """Return the version that `If-Match` demands; None where any will do."""
    sent = request.headers.get("if-match")
    if sent is None or sent.strip() == "*":
        return None
    tag = sent.strip().removeprefix("W/").strip('"')
    if not tag.isdigit():
        raise Stale("If-Match does not carry an ETag of this object", code="stale")
    return int(tag)


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
        return {
            "items": items,
            "total": part.total if part.total is not None else len(items),
            "page": self.ask.page,
            "limit": self.ask.limit,
            **forward,
        }


def _pager(
    request: Request,
    page: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
) -> Pager:
    if page is not None and cursor is not None:
        raise BadRequest(
            "page and cursor together say two things; send one", code="page_and_cursor"
        )
    cursors = request.app.state.wiring.cursors
    scope = _scope(request)
    after = cursors.open(scope, cursor) if cursor else None
    ask = PageAsk(limit=limit, page=page or 1, after=after)
    return Pager(ask, scope, cursors, by_cursor=cursor is not None)


Paging = Annotated[Pager, Depends(_pager)]


def _scope(request: Request) -> str:
    """Name the list that a cursor belongs to: tenant, path and every filter."""
    caller: Caller = request.state.caller
    filters = sorted(
        (name, value)
        for name, value in request.query_params.multi_items()
        if name not in ("page", "limit", "cursor")
    )
    return f"{caller.tenant} {request.url.path} {filters}"


# --- what went wrong ----------------------------------------------------------------------------------------------


def _problem(status: int, headers: Mapping[str, str], body: bytes) -> Response:
    return Response(body, status, dict(headers), media_type=problems.MEDIA_TYPE)


async def _tell_fault(request: Request, fault: Exception) -> Response:
    assert isinstance(fault, Fault)
    return _problem(*problems.rendered(fault, request.url.path))


async def _tell_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = tuple(_field_error(e) for e in error.errors())
    first = found[0] if found else FieldError("", "it cannot be read")
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    fault = Invalid(f"{first.pointer or 'the body'}: {first.message}{more}", errors=found)
    return await _tell_fault(request, fault)


def _field_error(error: Mapping[str, Any]) -> FieldError:
    where, *path = error["loc"]
    if where == "body":
        pointer = "".join(f"/{str(p).replace('~', '~0').replace('/', '~1')}" for p in path)
    else:
        pointer = f"{where}:{'.'.join(str(p) for p in path)}"
    return FieldError(pointer, str(error["msg"]), str(error["type"]))


_HTTP_CODES = {404: "no_such_path", 405: "method_not_allowed", 415: "unsupported_media_type"}
_HTTP_DETAILS = {
    404: "there is nothing at this path",
    405: "this path does not know the method {method}",
}


async def _tell_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    code = _HTTP_CODES.get(status, "bad_request")
    detail = _HTTP_DETAILS.get(status, str(error.detail)).format(method=request.method)
    body = orjson.dumps(problems.document(status, code, detail, request.url.path))
    return _problem(status, {**problems.headers(status), **(error.headers or {})}, body)
