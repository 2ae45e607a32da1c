"""What `envoy --mode validate` does not notice, read from the finished configuration.

Envoy accepts a mistyped key under `typed_per_filter_config` without a word, and the route loses what it
was told; so each finding here is a way in which a door could stand open.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import yaml

from gate import filters
from gate.doors import Auth
from gate.shapes import Doc
from gate.strip import FORWARDED, IDENTITY, PREFIXES

HARDENING = {
    "use_remote_address": True,
    "normalize_path": True,
    "merge_slashes": True,
    "path_with_escaped_slashes_action": "REJECT_REQUEST",
    "always_set_request_id_in_response": True,
}
# Filters in front of the router, in the order that the locks rely on.
LOCK_ORDER = (filters.APIKEY, filters.JWT, filters.NEED_IDENTITY)
FORBIDDEN_ADMIN = ("/config_dump", "/quitquitquit", "/runtime", "/certs", "/logging")


def lint_file(path: Path) -> list[str]:
    """Return the findings about a configuration file."""
    return lint(cast("Doc", yaml.safe_load(path.read_text())))


def lint(config: Doc) -> list[str]:
    """Return the findings about a configuration; empty when all is well."""
    resources = config["static_resources"]
    managers = {
        listener["name"]: listener["filter_chains"][0]["filters"][0]["typed_config"]
        for listener in resources["listeners"]
    }
    found = [*_admin(config["admin"])]
    if "public" not in managers:
        return [*found, "there is no public listener"]
    public = managers["public"]
    found += [*_hardening(public), *_strip(public), *_filters(public), *_metrics(managers)]
    found += [finding for route in _routes(public) for finding in _route(route, _names(public))]
    found += [*_host(public), *_clusters(resources["clusters"])]
    return found


def _admin(admin: Doc) -> Iterator[str]:
    address = admin["address"]["socket_address"]["address"]
    if address != "127.0.0.1":
        yield f"admin listens on {address}, not on loopback"
    allowed = [next(iter(p.values())) for p in admin.get("allow_paths", [])]
    if not allowed:
        yield "admin serves all of its paths"
    for path in FORBIDDEN_ADMIN:
        if any(path.startswith(a) for a in allowed):
            yield f"admin serves {path}"


def _hardening(manager: Doc) -> Iterator[str]:
    for name, value in HARDENING.items():
        if manager.get(name) != value:
            yield f"{name} is not {value}"
    common = manager.get("common_http_protocol_options", {})
    if common.get("headers_with_underscores_action") != "REJECT_REQUEST":
        yield "header names with underscores are let in"
    for name in ("request_timeout", "request_headers_timeout", "stream_idle_timeout"):
        if manager.get(name, "0s") == "0s":
            yield f"{name} is not set"
    for upgrade in manager.get("upgrade_configs", []):
        if upgrade.get("enabled", True) is not False:
            yield f"upgrade to {upgrade['upgrade_type']} is open on every route"


def _strip(manager: Doc) -> Iterator[str]:
    mutations = [
        mutation
        for early in manager.get("early_header_mutation_extensions", [])
        for mutation in early["typed_config"]["mutations"]
    ]
    names = {m.get("remove") for m in mutations}
    matches = [m["remove_on_match"]["key_matcher"] for m in mutations if "remove_on_match" in m]
    prefixes = {m.get("prefix") for m in matches}
    unheard = IDENTITY if manager.get("xff_num_trusted_hops") else (*IDENTITY, FORWARDED)
    for name in sorted({*unheard, *_identity_headers(manager)} - names):
        yield f"{name} is not stripped at entry"
    for prefix in sorted({*PREFIXES} - prefixes):
        yield f"{prefix}* is not stripped at entry"


def _identity_headers(manager: Doc) -> Iterator[str]:
    """Yield the headers that authentication writes: a client must not be able to send them."""
    yield from ("x-key-id", "x-tenant-id", "x-scope")
    jwt = _filter(manager, filters.JWT)
    for provider in jwt.get("providers", {}).values():
        yield from (c["header_name"] for c in provider.get("claim_to_headers", []))


def _filters(manager: Doc) -> Iterator[str]:
    names = _names(manager)
    order = [n for n in names if n in LOCK_ORDER]
    if order != list(LOCK_ORDER):
        yield f"authentication filters are {order}, not {list(LOCK_ORDER)}"
    if names[-1:] != ["router"]:
        yield "the router is not last"
    for provider in _filter(manager, filters.JWT).get("providers", {}).values():
        if not provider.get("from_headers"):
            yield "tokens are read from the query too (from_headers is not set)"
        for setting in ("issuer", "audiences", "require_expiration"):
            if not provider.get(setting):
                yield f"tokens are not checked for {setting}"


def _metrics(managers: Doc) -> Iterator[str]:
    for name, manager in managers.items():
        for route in _routes(manager):
            if route.get("route", {}).get("cluster") == "admin" and name != "metrics":
                yield f"{name} leads to admin"


def _route(route: Doc, names: list[str]) -> Iterator[str]:
    where = f"route {route.get('name', route['match'])}"
    told = route.get("typed_per_filter_config", {})
    for key in told:
        if key not in names:
            yield f"{where}: {key!r} is the name of no filter"
    words = route.get("metadata", {}).get("filter_metadata", {}).get("switchyard", {})
    if words.get("door") in ("stream", "websocket") and route["route"].get("priority") != "HIGH":
        yield f"{where}: stays open, and takes the place of requests"
    declared = words.get("auth")
    if declared not in list(Auth):
        yield f"{where}: does not say who is let in"
    elif (actual := _auth(told)) != declared:
        yield f"{where}: says {declared} and is {actual or 'no way of letting in'}"
    websocket = route.get("route", {}).get("upgrade_configs")
    if websocket and words.get("door") != "websocket":
        yield f"{where}: is open to WebSocket and does not say so"


def _auth(told: Doc) -> str | None:
    """Return the mode that the settings of the three locks amount to; None if to none."""
    apikey, jwt, need = (told.get(name, {}) for name in LOCK_ORDER)
    off = tuple(lock.get("disabled") is True for lock in (apikey, jwt, need))
    if off == (True, True, True):
        return Auth.PUBLIC
    if off[0] or off[2] or apikey.get("name") != filters.APIKEY:
        return None
    mode = apikey.get("filter_context", {}).get("mode")
    if off[1]:
        return mode if mode == Auth.KEY and _demands_key(need) else None
    same = jwt.get("requirement_name") == mode and not need
    return mode if same and mode in (Auth.BEARER, Auth.EITHER) else None


def _demands_key(need: Doc) -> bool:
    return need.get("rbac", {}).get("rules") == filters.identity_rules("x-key-id")


def _host(manager: Doc) -> Iterator[str]:
    hosts = manager["route_config"]["virtual_hosts"]
    names = _names(manager)
    for host in hosts:
        told = host.get("typed_per_filter_config", {})
        for key in told:
            if key not in names:
                yield f"virtual host: {key!r} is the name of no filter"
            if key in LOCK_ORDER:
                yield f"virtual host: changes {key!r} for all routes"
        if told.get("cors", {}).get("forward_not_matching_preflights") is not False:
            yield "OPTIONS of foreign origins reach the services"
        if FORWARDED not in {h["header"]["key"] for h in host.get("request_headers_to_add", [])}:
            yield f"{FORWARDED} goes on as it was sent"
    last = _routes(manager)[-1]
    if last["match"] != {"prefix": "/"} or last.get("direct_response", {}).get("status") != 404:
        yield "what matches no route is not answered 404"


def _clusters(clusters: list[Doc]) -> Iterator[str]:
    for cluster in clusters:
        if "health_checks" not in cluster:
            continue
        panic = cluster.get("common_lb_config", {}).get("healthy_panic_threshold", {})
        if panic.get("value") != 0:
            yield f"cluster {cluster['name']}: sends traffic to unhealthy hosts"
        told = cluster.get("circuit_breakers", {}).get("thresholds", [])
        if {"DEFAULT", "HIGH"} - {t.get("priority", "DEFAULT") for t in told}:
            yield f"cluster {cluster['name']}: has no circuit breaker, or none for what stays open"


def _names(manager: Doc) -> list[str]:
    return [f["name"] for f in manager["http_filters"]]


def _filter(manager: Doc, name: str) -> Doc:
    found: list[Doc] = [f["typed_config"] for f in manager["http_filters"] if f["name"] == name]
    return found[0] if found else {}


def _routes(manager: Doc) -> list[Doc]:
    return [r for h in manager["route_config"]["virtual_hosts"] for r in h["routes"]]
