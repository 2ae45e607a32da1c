"""Problem documents (RFC 9457): how a fault looks on the REST side, for every client that we promise to serve."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from chassis import errors
from chassis.context import asked
from chassis.errors import Fault, FieldError

MEDIA_TYPE = "application/problem+json"
STATUS: dict[type[Fault], int] = {
    errors.BadRequest: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Stale: 412,
    errors.TooLarge: 413,
    errors.Unsupported: 415,
    errors.Invalid: 422,
    errors.UpgradeRequired: 426,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}
TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "Precondition failed",
    413: "Content too large",
    415: "Unsupported media type",
    422: "Unprocessable content",
    426: "Upgrade required",
    429: "Too many requests",
    500: "Internal server error",
    503: "Service unavailable",
}


def status_of(fault: Fault) -> int:
    """Return the HTTP status of a fault's family."""
    return next(status for family, status in STATUS.items() if isinstance(fault, family))


def document(
    status: int, code: str, detail: str, path: str = "", found: Sequence[FieldError] = ()
) -> dict[str, Any]:
    """Return the problem document of one failure; `error` serves clients of the older form."""
    kind, message = code, detail
    if status == 401:
        kind, message = "authorization_error", "Authorization failed: Unauthorized"
    return {
        "type": f"/docs/errors#{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "instance": path,
        "code": code,
        "request_id": asked().request_id,
        "errors": [{"pointer": e.pointer, "message": e.message, "code": e.code} for e in found],
        "error": {"message": message, "status": status, "type": kind},
    }


def headers(status: int, retry_after: int | None = None) -> dict[str, str]:
    """Return the header fields that go with a problem document."""
    fields = {"cache-control": "no-store"}
    if status == 401:
        fields["www-authenticate"] = 'Bearer realm="switchyard"'
    if status == 426:
        fields["upgrade"] = "websocket"
    if retry_after is not None or status == 503:
        fields["retry-after"] = str(retry_after or 2)
    return fields


def rendered(fault: Fault, path: str) -> tuple[int, Mapping[str, str], bytes]:
    """Return status, header fields and body of a fault."""
    status = status_of(fault)
    said = document(status, fault.code, fault.detail, path, fault.errors)
    return status, headers(status, fault.retry_after), orjson.dumps(said)


_TEXT, _NUMBER = {"type": "string"}, {"type": "integer"}


def _object(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - OpenAPI is untyped
    return {"type": "object", "properties": properties}


_WORDS = ("type", "title", "detail", "instance", "code", "request_id")
SCHEMA: dict[str, Any] = _object(
    **dict.fromkeys(_WORDS, _TEXT),
    status=_NUMBER,
    errors={"type": "array", "items": _object(pointer=_TEXT, message=_TEXT, code=_TEXT)},
    error=_object(message=_TEXT, status=_NUMBER, type=_TEXT),
) | {"required": ["type", "title", "status", "detail", "code", "request_id", "errors", "error"]}
