"""Envoy's own answers as problem documents (RFC 9457), the form that the services answer in too.

Every answer that Envoy makes itself passes the mappers, in order, and the first that fits rewrites
it. Answers below 400 fit none: `/health`, `/openapi.json` and the pages under `/docs` stay as they are
(a `body_format` for all would rewrite them). Lua and direct responses send a bare status and a
sentence; the document around it is made here, so that nothing is wrapped twice.
"""

from dataclasses import dataclass

from gate.settings import Settings
from gate.shapes import Doc, extension

UNAUTHORIZED = "Authorization failed: Unauthorized"
REALM = 'Bearer realm="switchyard"'


@dataclass(frozen=True, slots=True)
class Problem:
    """What a status means when the gate itself answers it."""

    status: int
    code: str
    title: str
    # Empty: the sentence that the filter gave is good enough to show.
    detail: str = ""


PROBLEMS = (
    Problem(400, "gateway.bad_request", "Bad request"),
    Problem(401, "gateway.unauthenticated", "Unauthorized"),
    Problem(403, "gateway.forbidden", "Forbidden", "This is not open to callers from outside."),
    Problem(404, "gateway.not_found", "Not found", "There is nothing at this address."),
    Problem(
        405, "gateway.method_not_allowed", "Method not allowed", "This is read with GET or HEAD."
    ),
    Problem(408, "gateway.timeout", "Request timeout", "The request did not arrive in time."),
    Problem(413, "gateway.too_large", "Content too large", "The body is larger than allowed."),
    Problem(429, "gateway.rate_limited", "Too many requests", "Slow down and try again later."),
    Problem(
        431,
        "gateway.headers_too_large",
        "Request header fields too large",
        "The headers are larger or more than allowed.",
    ),
    Problem(
        503,
        "gateway.unavailable",
        "Service unavailable",
        "The service cannot answer at the moment; try again.",
    ),
    Problem(504, "gateway.timeout", "Gateway timeout", "The service did not answer in time."),
)
TWISTED = "The path holds an encoded /, \\ or NUL. Name the thing by its id instead."
REFUSED = Problem(400, "gateway.bad_request", "Bad request")
BROKEN = next(p for p in PROBLEMS if p.status == 503)
UNAUTHENTICATED = next(p for p in PROBLEMS if p.status == 401)


def local_replies(settings: Settings) -> Doc:
    """Return the `local_reply_config` of the public listener."""
    return {"mappers": [_healthy(settings), *_grpc(), *_by_details(), *_by_status()]}


def _healthy(settings: Settings) -> Doc:
    body = {
        "status": "healthy",
        "service": "gateway",
        "build_id": settings.build_id,
        "started_at": settings.started_at,
    }
    return {
        "filter": _cel("response.code_details == 'health_check_ok'"),
        "headers_to_add": [_header("cache-control", "no-store")],
        "body_format_override": {"json_format": body, "content_type": "application/json"},
    }


def _grpc() -> list[Doc]:
    """Return the mappers for gRPC callers: they get a status and a message, never a document."""
    is_grpc = {
        "header_filter": {
            "header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
        }
    }
    plain = {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}}
    nameless = {"text_format_source": {"inline_string": UNAUTHORIZED}}
    return [
        {
            "filter": {"and_filter": {"filters": [is_grpc, _NO_IDENTITY]}},
            "status_code": 401,
            "body_format_override": nameless,
        },
        {
            "filter": {"and_filter": {"filters": [is_grpc, _NO_KEYS]}},
            "status_code": 503,
            "body_format_override": plain,
        },
        {
            "filter": {"and_filter": {"filters": [is_grpc, _status("GE", 400)]}},
            "body_format_override": plain,
        },
    ]


def _by_details() -> list[Doc]:
    """Return the mappers for what Envoy's status does not say well."""
    return [
        # The last lock: authentication was passed without leaving an identity.
        {"filter": _NO_IDENTITY, "status_code": 401, **_document(UNAUTHENTICATED, UNAUTHORIZED)},
        _nameless(_TWISTED, REFUSED, TWISTED),
        # iam's keys could not be fetched: nobody is to blame but us.
        {"filter": _NO_KEYS, "status_code": 503, **_document(BROKEN)},
    ]


def _by_status() -> list[Doc]:
    return [
        *(_unread(p) for p in PROBLEMS if p.status in (400, 408, 431)),
        *({"filter": _status("EQ", p.status), **_document(p)} for p in PROBLEMS),
        {"filter": _status("GE", 500), **_document(BROKEN)},
        {"filter": _status("GE", 400), **_document(REFUSED)},
    ]


def _unread(problem: Problem) -> Doc:
    """Return the mapper for requests refused before they had an id: the answer makes one."""
    nameless = {"header_filter": {"header": {"name": "x-request-id", "present_match": False}}}
    return _nameless(
        {"and_filter": {"filters": [_status("EQ", problem.status), nameless]}}, problem
    )


def _nameless(condition: Doc, problem: Problem, detail: str = "") -> Doc:
    document = _document(problem, detail, request_id="%RESP(X-REQUEST-ID)%")
    document["body_format_override"]["json_format"]["instance"] = ""
    document["headers_to_add"].append(_header("x-request-id", "%UNIQUE_ID%"))
    return {"filter": condition, **document}


def _document(problem: Problem, detail: str = "", request_id: str = "%REQ(X-REQUEST-ID)%") -> Doc:
    shown = detail or problem.detail or "%LOCAL_REPLY_BODY%"
    return {
        "headers_to_add": _headers(problem),
        "body_format_override": {
            "json_format": _body(problem, shown) | {"request_id": request_id},
            "content_type": "application/problem+json",
        },
    }


def _body(problem: Problem, detail: str) -> Doc:
    message = UNAUTHORIZED if problem.status == 401 else detail
    kind = "authorization_error" if problem.status == 401 else problem.code
    return {
        "type": f"/docs/errors#{problem.code}",
        "title": problem.title,
        "status": "%RESPONSE_CODE%",
        "detail": detail,
        "instance": "%PATH(NQ)%",
        "code": problem.code,
        "errors": [],
        "error": {"message": message, "status": "%RESPONSE_CODE%", "type": kind},
    }


def _headers(problem: Problem) -> list[Doc]:
    headers = [_header("cache-control", "no-store")]
    if problem.status == 401:
        headers.append(_header("www-authenticate", REALM))
    if problem.status in (429, 503):
        headers.append({**_header("retry-after", "1"), "append_action": "ADD_IF_ABSENT"})
    return headers


def _header(name: str, value: str) -> Doc:
    return {
        "header": {"key": name, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def _status(op: str, value: int) -> Doc:
    limit = {"default_value": value, "runtime_key": f"gate.problem.{op.lower()}{value}"}
    return {"status_code_filter": {"comparison": {"op": op, "value": limit}}}


def _cel(expression: str) -> Doc:
    message = "extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    return {"extension_filter": extension("cel", message, expression=expression)}


# A foreign audience is 403 for jwt_authn, but the token is just not valid here (RFC 6750).
_NO_IDENTITY = _cel(
    "response.code_details.startsWith('rbac_access_denied')"
    " || response.code_details.startsWith('jwt_authn_access_denied{Audiences')"
)
_TWISTED = _cel("response.code_details == 'path_normalization_failed'")
_NO_KEYS = _cel("response.code_details.contains('Jwks_remote_fetch')")
