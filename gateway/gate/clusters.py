"""Where requests go: an HTTP and a gRPC cluster per service, Envoy's own admin, the collector.

And one where none goes: the gates themselves, counted so that each knows its share of the limits.
"""

from gate.graph import LOOPBACK, Endpoint, Service, Topology
from gate.limits import Limits
from gate.settings import Settings
from gate.shapes import Doc, extension, seconds, typed

# What the rest of the configuration calls the cluster that the gate is itself a member of.
GATES = "gates"
PROTOCOL = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def clusters(topology: Topology, settings: Settings) -> list[Doc]:
    """Return all clusters."""
    found = [c for s in topology.services for c in _pair(s, topology, settings.limits)]
    found.append(_gates(topology, settings))
    found.append(_cluster("admin", (Endpoint("127.0.0.1", topology.admin),), fixed=True))
    if settings.otlp:
        host, _, port = settings.otlp.rpartition(":")
        found.append({**_cluster("otlp", (Endpoint(host, int(port)),), fixed=False), **_http2()})
    return found


def _pair(service: Service, topology: Topology, limits: Limits) -> list[Doc]:
    readiness: Doc = {"http_health_check": {"path": "/readyz"}}
    serving: Doc = {"grpc_health_check": {"service_name": ""}}
    name, fixed = service.name, topology.fixed
    guard = {**_guard(limits), "lb_policy": "LEAST_REQUEST"}
    http = _cluster(name, service.http, fixed=fixed) | guard | _http1()
    grpc = _cluster(f"{name}_grpc", service.grpc, fixed=fixed) | guard | _http2()
    return [http | _checked(readiness, limits), grpc | _checked(serving, limits)]


def _gates(topology: Topology, settings: Settings) -> Doc:
    """Return the cluster of all gates, as DNS knows them: Envoy divides the shared limits by its size.

    Where DNS is away the last answer stands; where it knows nobody, the gate takes itself for the only one.
    """
    if not settings.peers:
        return _cluster(GATES, (Endpoint(LOOPBACK, topology.public),), fixed=True)
    hosts = tuple(Endpoint(name, topology.public) for name in settings.peers)
    asked = {"dns_refresh_rate": seconds(settings.limits.gates_interval)}
    return _cluster(GATES, hosts, fixed=False) | asked


def _cluster(name: str, endpoints: tuple[Endpoint, ...], *, fixed: bool) -> Doc:
    hosts = [
        {"endpoint": {"address": {"socket_address": {"address": e.host, "port_value": e.port}}}}
        for e in endpoints
    ]
    found_by: Doc = {"type": "STATIC"}
    if not fixed:
        found_by = {
            "type": "STRICT_DNS",
            "dns_refresh_rate": "5s",
            "dns_failure_refresh_rate": {"base_interval": "0.5s", "max_interval": "2s"},
            "dns_lookup_family": "V4_PREFERRED",
        }
    return {
        "name": name,
        **found_by,
        "connect_timeout": "0.5s" if fixed else "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]},
    }


def _guard(limits: Limits) -> Doc:
    thresholds = [_most(limits.upstream_requests), {"priority": "HIGH", **_most(limits.streams)}]
    return {
        "circuit_breakers": {"thresholds": thresholds},
        # Only what fails on the way ejects a host. A 503 with Retry-After is an answer: a service whose
        # database is away still evaluates flags from memory.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 5,
            "enforcing_consecutive_local_origin_failure": 100,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "interval": "1s",
            "base_ejection_time": "3s",
            "max_ejection_percent": 50,
        },
        # The default sends traffic to hosts that are known to be unhealthy.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }


def _most(most: int) -> Doc:
    return {
        "max_connections": most,
        "max_pending_requests": most,
        "max_requests": most,
        "track_remaining": True,
        "retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 3},
    }


def _checked(how: Doc, limits: Limits) -> Doc:
    every = seconds(limits.health_interval)
    quick = seconds(limits.health_interval / 4)
    check = {
        # A service that is busy for a second is not dead; who is dead refuses connections, and is found out by that.
        "timeout": "2s",
        "interval": every,
        "no_traffic_interval": every,
        "unhealthy_interval": quick,
        "no_traffic_healthy_interval": every,
        "unhealthy_edge_interval": quick,
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        **how,
    }
    return {"health_checks": [check]}


def _http1() -> Doc:
    # Shorter than uvicorn's 75 s of keep-alive, or requests meet connections that were just closed.
    options: Doc = {
        "common_http_protocol_options": {"idle_timeout": "60s"},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return _protocol(options)


def _http2() -> Doc:
    alive = {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}
    return _protocol({"explicit_http_config": {"http2_protocol_options": alive}})


def _protocol(options: Doc) -> Doc:
    message = typed(PROTOCOL.removeprefix("envoy."), **options)
    return {"typed_extension_protocol_options": {PROTOCOL: message}}


def connection_limit(limits: Limits) -> Doc:
    """Return the overload manager's limit on connections from outside."""
    name = "envoy.resource_monitors.global_downstream_max_connections"
    message = "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    monitor = extension(name, message, max_active_downstream_connections=limits.connections)
    return {"refresh_interval": "0.25s", "resource_monitors": [monitor]}
