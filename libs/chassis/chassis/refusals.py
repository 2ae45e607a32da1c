"""How a REST app refuses: faults, and what the framework finds wrong by itself, as problem documents."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from chassis import problems
from chassis.errors import Fault, FieldError, Invalid


def _problem(status: int, headers: Mapping[str, str], body: bytes) -> Response:
    return Response(body, status, dict(headers), media_type=problems.MEDIA_TYPE)


async def tell_fault(request: Request, fault: Exception) -> Response:
    """Answer with a fault; a denial is told to the audit log first."""
    assert isinstance(fault, Fault)
    if denials := request.app.state.wiring.denials:
        caller = getattr(request.state, "caller", None)
        target = str(next(reversed(request.path_params.values()), ""))
        await denials.note(caller, fault, request.method, request.scope["route"].path, target)
    return _problem(*problems.rendered(fault, request.url.path))


async def tell_invalid(request: Request, error: Exception) -> Response:
    """Answer what FastAPI found wrong with the values of a request."""
    assert isinstance(error, RequestValidationError)
    first, *others = [_field_error(e) for e in error.errors()]
    more = f" (and {len(others)} more)" if others else ""
    said = f"{first.pointer or 'the body'}: {first.message}{more}"
    fault = Invalid(said, errors=(first, *others))
    return await tell_fault(request, fault)


def _field_error(error: Mapping[str, Any]) -> FieldError:
    where, *path = error["loc"]
    if where == "body":
        pointer = "".join(f"/{str(p).replace('~', '~0').replace('/', '~1')}" for p in path)
    else:
        pointer = f"{where}:{'.'.join(str(p) for p in path)}"
    message = str(error["msg"]).removeprefix("Value error, ")
    if not pointer or error["type"] == "extra_forbidden":
        message = _SAID.get(error["type"], message)
    return FieldError(pointer, message, str(error["type"]))


_SAID = {
    "extra_forbidden": "there is no such field here",
    "missing": "is missing; send a JSON object",
    "model_attributes_type": "must be a JSON object",
}
_HTTP_CODES = {404: "no_such_path", 405: "method_not_allowed"}
_HTTP_DETAILS = {
    404: "there is nothing at this path",
    405: "this path does not know the method {method}",
}


async def tell_http(request: Request, error: Exception) -> Response:
    """Answer what the framework itself refuses: a path that is not there, a method that it does not know."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    code = _HTTP_CODES.get(status, "bad_request")
    detail = _HTTP_DETAILS.get(status, str(error.detail)).format(method=request.method)
    body = orjson.dumps(problems.document(status, code, detail, request.url.path))
    more = {"allow": ", ".join(_allowed(request))} if status == 405 else error.headers or {}
    return _problem(status, {**problems.headers(status), **more}, body)


def _allowed(request: Request) -> list[str]:
    """Return the methods that this path knows; Starlette names only those of the first route that fits."""
    doors = [door for router in request.app.state.routers for door in router.routes]
    fitting = [door for door in doors if door.matches(request.scope)[0] is not Match.NONE]
    known = {m for door in fitting if door.path == fitting[0].path for m in door.methods}
    return sorted(known | ({"HEAD"} if "GET" in known else set()))
