"""How an app describes itself: OpenAPI 3.1 with every operation's own security and every error it can answer."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from chassis.idempotency import MOST
from chassis.problems import MEDIA_TYPE, SCHEMA, TITLES

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
EITHER: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_TEXT = {"schema": {"type": "string"}}
_HEADERS = {"201": ("Location", "ETag"), "304": ("ETag",)}
_SENT: dict[str, tuple[str, dict[str, Any]]] = {
    "Idempotency-Key": (
        "A repeated request has one effect; kept 24 h.",
        {"minLength": 1, "maxLength": MOST, "pattern": "^[ -~]+$"},
    ),
    "If-Match": (
        "The ETag of the version that the change is meant for, or *.",
        {"pattern": r'^(\*|(W/)?"?[0-9]{1,18}"?)$'},
    ),
    "If-None-Match": ("ETags of versions that you have: 304 if one of them is the newest.", {}),
}
_METHODS = ("get", "post", "put", "patch", "delete")


def described(app: FastAPI) -> dict[str, Any]:
    """Return the app's OpenAPI document."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version="1", openapi_version="3.1.0", routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = SCHEMA
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        made["components"]["securitySchemes"] = SECURITY_SCHEMES
        for path, item in made["paths"].items():
            for method in _METHODS:
                if operation := item.get(method):
                    _complete(operation, path, method)
        app.openapi_schema = made
    return app.openapi_schema


def _complete(operation: dict[str, Any], path: str, method: str) -> None:
    operation.setdefault("security", EITHER)
    responses = operation["responses"]
    reads = operation.pop("x-reads", method == "get")
    responses.pop("422", None)  # FastAPI's own is not what we answer
    for status in sorted(_errors_of(operation, path, method, reads=reads)):
        answer = responses.setdefault(str(status), {"description": TITLES[status]})
        answer.setdefault("content", {})[MEDIA_TYPE] = {"schema": _PROBLEM}
    for status, names in _HEADERS.items():
        if answer := responses.get(status):
            answer.setdefault("headers", {}).update({name: _TEXT for name in names})
    if method in ("post", "patch") and operation["security"] and not reads:
        _parameter(operation, "Idempotency-Key")
    if _conditional(path, method):
        _parameter(operation, "If-Match")
    if "304" in responses:
        _parameter(operation, "If-None-Match")
        responses["200"].setdefault("headers", {})["ETag"] = _TEXT


def _errors_of(operation: dict[str, Any], path: str, method: str, *, reads: bool) -> set[int]:
    found = {400, 413, 422, 429, 503}
    if operation[
        "security"
    ]:  # 403 where no permission is needed: not a person, or beyond one's own
        found |= {401, 403}
    if "{" in path:
        found |= {404}
    if not reads:
        found |= {409}
    if _conditional(path, method):
        found |= {412}
    if "requestBody" in operation:
        found |= {415}
    return found | set(operation.pop("x-errors", ()))


def _conditional(path: str, method: str) -> bool:
    return method in ("put", "patch", "delete") and "{" in path


def _parameter(operation: dict[str, Any], name: str) -> None:
    description, schema = _SENT[name]
    operation.setdefault("parameters", []).append(
        {
            "name": name,
            "in": "header",
            "required": False,
            "schema": {"type": "string", **schema},
            "description": description,
        }
    )
