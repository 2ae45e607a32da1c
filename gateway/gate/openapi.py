"""Five OpenAPI documents become one.

Component names that two services use for different things get the service's name in front; those
that mean the same everywhere are kept once. Every operation says by `x-service` who answers it and by
`security` who is let in, so that the routes need nothing but this document.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, cast

from gate.shapes import Doc

EITHER: list[Doc] = [{"bearer": []}, {"apiKey": []}]
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# What services serve for those who run them; never public.
INNER_PATHS = ("/healthz", "/readyz", "/metrics")
SCHEMES: Doc = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token, or an API key.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_HEALTH_SCHEMA: Doc = {
    "type": "object",
    "required": ["status", "build_id", "started_at"],
    "properties": {
        "status": {"type": "string", "const": "healthy"},
        "service": {"type": "string"},
        "build_id": {"type": "string"},
        "started_at": {"type": "string", "format": "date-time"},
    },
}


class MergeError(Exception):
    """Two services claim the same thing, or one says something that the gate does not know."""


def merge(documents: Mapping[str, Doc], version: str = "1") -> Doc:
    """Return one OpenAPI 3.1 document of the services' (by name) and the gateway's own operations."""
    whole: Doc = {
        "openapi": "3.1.0",
        "info": {"title": "Switchyard", "version": version},
        "servers": [{"url": "/"}],
        "tags": [],
        "paths": _own_paths(),
        "components": {"securitySchemes": deepcopy(SCHEMES)},
    }
    renames = _renames(documents)
    for service, document in documents.items():
        _add(whole, service, _renamed(document, renames[service]))
    _name_operations(whole)
    whole["tags"] = [{"name": name} for name in _tags(whole)]
    return whole


def operations(path_item: Doc) -> Iterator[tuple[str, Doc]]:
    """Yield the (method, operation) pairs of one path."""
    for method in METHODS:
        if method in path_item:
            yield method, path_item[method]


def _add(whole: Doc, service: str, document: Doc) -> None:
    for path, item in document.get("paths", {}).items():
        if path in INNER_PATHS:
            continue
        if path in whole["paths"]:
            owner = next(operations(whole["paths"][path]))[1]["x-service"]
            raise MergeError(f"{path} is claimed by {owner} and by {service}")
        for method, operation in operations(item):
            _declare(operation, service, f"{method.upper()} {path}", document.get("security"))
        whole["paths"][path] = item
    for kind, components in document.get("components", {}).items():
        if kind != "securitySchemes":
            whole["components"].setdefault(kind, {}).update(components)


def _declare(operation: Doc, service: str, where: str, default: list[Doc] | None) -> None:
    operation["x-service"] = service
    operation.setdefault("tags", [service])
    operation.setdefault("security", deepcopy(EITHER if default is None else default))
    for requirement in operation["security"]:
        if unknown := set(requirement) - set(SCHEMES):
            raise MergeError(f"{where} asks for {', '.join(sorted(unknown))}, which is not known")


# -------------------------------------------------------------------- components


def _renames(documents: Mapping[str, Doc]) -> dict[str, dict[str, str]]:
    """Return for each service {reference: new reference} of the components that must be renamed."""
    components = {name: _components(document) for name, document in documents.items()}
    differing = _differing(components)
    return {
        service: {ref: _prefixed(ref, service) for ref in own if ref in differing}
        for service, own in components.items()
    }


def _components(document: Doc) -> dict[str, Doc]:
    """Return the components by reference (`#/components/schemas/Flag`)."""
    kinds = document.get("components", {}).items()
    return {
        f"#/components/{kind}/{name}": value
        for kind, named in kinds
        if kind != "securitySchemes"
        for name, value in named.items()
    }


def _differing(components: Mapping[str, Mapping[str, Doc]]) -> set[str]:
    """Return the references that mean different things in different services.

    What refers to such a component differs too, even if its text is the same.
    """
    texts: dict[str, set[str]] = {}
    for own in components.values():
        for ref, value in own.items():
            texts.setdefault(ref, set()).add(json.dumps(value, sort_keys=True))
    shared = {ref for ref in texts if sum(ref in own for own in components.values()) > 1}
    differing = {ref for ref in shared if len(texts[ref]) > 1}
    while more := {
        r for r in shared - differing if any(f'"{d}"' in t for t in texts[r] for d in differing)
    }:
        differing |= more
    return differing


def _prefixed(ref: str, service: str) -> str:
    head, _, name = ref.rpartition("/")
    return f"{head}/{service.capitalize()}{name}"


def _renamed(document: Doc, refs: Mapping[str, str]) -> Doc:
    """Return a copy of the document with components and all references to them renamed."""
    copy = cast("Doc", _rewritten(document, refs))
    for kind, named in copy.get("components", {}).items():
        copy["components"][kind] = {
            refs.get(f"#/components/{kind}/{name}", name).rpartition("/")[2]: value
            for name, value in named.items()
        }
    return copy


def _rewritten(value: Any, refs: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {k: _rewritten(v, refs) for k, v in cast("Doc", value).items()}
    if isinstance(value, list):
        return [_rewritten(v, refs) for v in cast("list[Any]", value)]
    # References are the only strings of this form ($ref and discriminator mappings).
    return refs.get(value, value) if isinstance(value, str) else value


# -------------------------------------------------------------------- names and tags


def _name_operations(whole: Doc) -> None:
    """Make operation ids unique, by the service's name where two services chose the same."""
    seen: dict[str, list[Doc]] = {}
    for item in whole["paths"].values():
        for _, operation in operations(item):
            if "operationId" in operation:
                seen.setdefault(operation["operationId"], []).append(operation)
    for name, several in seen.items():
        if len(several) > 1:
            for operation in several:
                operation["operationId"] = f"{operation['x-service']}_{name}"


def _tags(whole: Doc) -> list[str]:
    items = whole["paths"].values()
    return list(dict.fromkeys(t for i in items for _, o in operations(i) for t in o["tags"]))


def _own_paths() -> Doc:
    return {
        "/health": _own("health", "Whether the gate is open", "application/json", _HEALTH_SCHEMA),
        "/openapi.json": _own("openapi", "This document", "application/json", {"type": "object"}),
        "/docs": _own("docs", "The reference page", "text/html", {"type": "string"}),
        "/docs/errors": _own("errors", "The gateway's codes", "text/html", {"type": "string"}),
    }


def _own(name: str, summary: str, media: str, schema: Doc) -> Doc:
    answer = {"description": summary, "content": {media: {"schema": deepcopy(schema)}}}
    operation: Doc = {
        "operationId": f"gateway_{name}",
        "summary": summary,
        "tags": ["gateway"],
        "security": [],
        "responses": {"200": answer},
        "x-service": "gateway",
    }
    return {"get": operation}
