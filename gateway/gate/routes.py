"""A door becomes an Envoy route.

Each route carries metadata `switchyard: {auth, door, service}`: what it means to be. The lint compares
that with what the filters are told, so that a mistyped setting cannot open a door unseen.
"""

import importlib
from collections.abc import Iterator
from typing import Any

from gate import filters
from gate.doors import Auth, Door, Kind
from gate.graph import Service, Topology
from gate.limits import Limits
from gate.settings import Settings
from gate.shapes import Doc, seconds, typed

OFF = typed("config.route.v3.FilterConfig", disabled=True)
PER_ROUTE_JWT = filters.FILTERS + "jwt_authn.v3.PerRouteConfig"
CAREFUL = "connect-failure,refused-stream,reset-before-request"
OVERWRITE = "OVERWRITE_IF_EXISTS_OR_ADD"
REPEAT = "connect-failure,refused-stream,reset,retriable-status-codes"


def service_routes(doors: list[Door], topology: Topology, settings: Settings) -> list[Doc]:
    """Return the routes of the doors, in their order."""
    return [
        _route(door, match, topology.keylog, settings.limits)
        for door in doors
        for match in _matches(door)
    ]


def _route(door: Door, match: Doc, keylog: str, limits: Limits) -> Doc:
    return {
        "name": door.path,
        "match": match,
        "route": _action(door, limits),
        "metadata": meaning(door.auth, door=door.kind, service=door.service),
        "typed_per_filter_config": _per_filter(door, keylog, limits),
        **_budget(door, limits),
    }


def _budget(door: Door, limits: Limits) -> Doc:
    """Say how long a hot door waits, so that who asks a neighbour for it asks for less."""
    if not door.hot:
        return {}
    said = {"key": "x-budget-ms", "value": str(int(limits.try_time * 1000))}
    return {"request_headers_to_add": [{"header": said, "append_action": OVERWRITE}]}


def meaning(auth: Auth, **more: str) -> Doc:
    """Return the metadata that says what a route means to be."""
    words = {"auth": str(auth), **{k: str(v) for k, v in more.items()}}
    return {"filter_metadata": {"switchyard": words}}


def locks(auth: Auth, keylog: str, limits: Limits, *, socket: bool = False) -> Doc:
    """Return the settings of the authentication filters for a way of being let in."""
    if auth is Auth.PUBLIC:
        return {filters.APIKEY: OFF, filters.JWT: OFF, filters.NEED_IDENTITY: OFF}
    look_up = {filters.APIKEY: filters.apikey_on(str(auth), keylog, limits, socket=socket)}
    if auth is Auth.KEY:
        only = {"rules": filters.identity_rules("x-key-id")}
        demand = typed(filters.FILTERS + "rbac.v3.RBACPerRoute", rbac=only)
        return {**look_up, filters.JWT: OFF, filters.NEED_IDENTITY: demand}
    return {**look_up, filters.JWT: typed(PER_ROUTE_JWT, requirement_name=str(auth))}


def _matches(door: Door) -> list[Doc]:
    """Return the ways to spell a door's path; comparing strings is far cheaper than a pattern."""
    if door.hot and door.greedy and door.path.endswith("/{key}"):
        paths = [{"prefix": door.path.removesuffix("{key}")}]
    elif door.exact:
        paths = [{"path": door.path}, {"path": door.path + "/"}]
    else:
        paths = [{"safe_regex": {"regex": door.regex()}}]
    return [{**path, **_methods(door)} for path in paths]


def _methods(door: Door) -> Doc:
    if not door.methods:
        return {}
    pattern: Doc = {"exact": door.methods[0]}
    if len(door.methods) > 1:
        pattern = {"safe_regex": {"regex": "|".join(door.methods)}}
    return {"headers": [{"name": ":method", "string_match": pattern}]}


def _action(door: Door, limits: Limits) -> Doc:
    action: Doc = {"cluster": door.service, "timeout": seconds(_timeout(door, limits))}
    if door.repeatable:
        action["retry_policy"] = retry(REPEAT)
    if door.hot:
        action["retry_policy"]["per_try_timeout"] = seconds(limits.try_time)
    if door.kind is not Kind.PLAIN:
        action["priority"] = "HIGH"  # what stays open is counted apart from requests
    if door.kind is Kind.STREAM:
        action["idle_timeout"] = seconds(limits.event_idle_time)
    if door.kind is Kind.WEBSOCKET:
        action["idle_timeout"] = seconds(limits.socket_idle_time)
        action["upgrade_configs"] = [{"upgrade_type": "websocket", "enabled": True}]
    return action


def _timeout(door: Door, limits: Limits) -> float:
    if door.kind is not Kind.PLAIN:
        return 0
    return door.timeout or (limits.hot_time if door.hot else limits.door_time)


def retry(conditions: str) -> Doc:
    """Return a policy of one more try, on another host if there is one."""
    name = "envoy.retry_host_predicates.previous_hosts"
    message = "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "retry_on": conditions,
        "retriable_status_codes": [503],
        "num_retries": 1,
        "retry_back_off": {"base_interval": "0.02s", "max_interval": "0.2s"},
        "retry_host_predicate": [{"name": name, "typed_config": typed(message)}],
        # Of two replicas the dice name the first again and again now and then; it is asked only if all ten do.
        "host_selection_retry_max_attempts": 10,
    }


def _per_filter(door: Door, keylog: str, limits: Limits) -> Doc:
    settings: Doc = locks(door.auth, keylog, limits, socket=door.kind is Kind.WEBSOCKET)
    settings[filters.GRPC_WEB] = OFF
    settings[filters.ADDRESS_RATE] = (
        filters.address_rate(limits.of_addresses(door.limit)) if door.limit else OFF
    )
    if door.hot:
        settings[filters.WHOLE_BODY] = filters.whole_body(limits)
    if door.large_body or door.kind is Kind.WEBSOCKET:
        settings[filters.BODY_LIMIT] = OFF
    if not door.large_body:
        settings[filters.LARGE_BODY_LIMIT] = OFF
    if door.auth is Auth.PUBLIC:
        settings[filters.TENANT_RATE] = settings[filters.KEY_RATE] = OFF
    return settings


# -------------------------------------------------------------------- gRPC


def grpc_routes(topology: Topology, settings: Settings) -> list[Doc]:
    """Return one route per RPC of the generated code; internal ones are refused here already."""
    found = [(s, n, streams) for s in topology.services for n, streams in _rpcs(s)]
    return [
        _refusal(name)
        if name in topology.internal_rpcs
        else _rpc_route(service, name, topology.keylog, settings.limits, streams=streams)
        for service, name, streams in found
    ]


def _rpcs(service: Service) -> Iterator[tuple[str, bool]]:
    """Yield the (full name, streams endlessly) of each RPC that a service's protos declare."""
    for module in service.protos:
        file: Any = importlib.import_module(module).DESCRIPTOR
        for declared in file.services_by_name.values():
            for method in declared.methods:
                yield f"{declared.full_name}/{method.name}", method.server_streaming


def _rpc_match(name: str) -> Doc:
    grpc = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    return {"path": f"/{name}", "headers": [grpc]}


def _refusal(name: str) -> Doc:
    off = {filters.ADDRESS_RATE: OFF, filters.GRPC_WEB: OFF, filters.LARGE_BODY_LIMIT: OFF}
    return {
        "name": name,
        "match": _rpc_match(name),
        "direct_response": {"status": 403, "body": {"inline_string": f"{name} is internal"}},
        "metadata": meaning(Auth.PUBLIC, door="refusal", service="gateway"),
        "typed_per_filter_config": {
            filters.APIKEY: OFF,
            filters.JWT: OFF,
            filters.NEED_IDENTITY: OFF,
            **off,
        },
    }


def _rpc_route(service: Service, name: str, keylog: str, limits: Limits, *, streams: bool) -> Doc:
    action: Doc = {"cluster": f"{service.name}_grpc", "timeout": seconds(limits.door_time)}
    if streams:
        idle = seconds(limits.event_idle_time)
        action |= {"timeout": "0s", "idle_timeout": idle, "priority": "HIGH"}
    else:
        action["max_stream_duration"] = {"grpc_timeout_header_max": seconds(limits.request_time)}
    return {
        "name": name,
        "match": _rpc_match(name),
        "route": action,
        "metadata": meaning(Auth.EITHER, door="grpc", service=service.name),
        "typed_per_filter_config": {
            **locks(Auth.EITHER, keylog, limits),
            filters.ADDRESS_RATE: OFF,
            filters.LARGE_BODY_LIMIT: OFF,
        },
    }
