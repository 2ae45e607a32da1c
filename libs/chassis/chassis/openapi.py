"""How an app describes itself: OpenAPI 3.1 with every operation's own security and every error it can answer."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from chassis.problems import MEDIA_TYPE, SCHEMA, TITLES

SECURITY_SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
EITHER: list[dict[str, list[str]]] = [{"bearer": []}, {"apiKey": []}]
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
    for status in sorted(_errors_of(operation, path, method)):
        if str(status) in responses and status != 422:  # FastAPI's own 422 is not what we answer
            continue
        responses[str(status)] = {
            "description": TITLES[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    keyed = method in ("post", "patch") and operation["security"]
    if keyed:
        _parameter(operation, "Idempotency-Key", "A repeated request has one effect; kept 24 h.")
    if method in ("put", "patch", "delete") and "{" in path:
        _parameter(operation, "If-Match", "The ETag of the version that the change is meant for.")


def _errors_of(operation: dict[str, Any], path: str, method: str) -> set[int]:
    found = {400, 413, 422, 429, 503}
    if operation["security"]:
        found |= {401}
    if operation.get("x-permission"):
        found |= {403}
    if "{" in path:
        found |= {404}
    if method != "get":
        found |= {409}
    if method in ("put", "patch", "delete") and "{" in path:
        found |= {412}
    return found | set(operation.pop("x-errors", ()))


def _parameter(operation: dict[str, Any], name: str, description: str) -> None:
    operation.setdefault("parameters", []).append(
        {
            "name": name,
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": description,
        }
    )
