"""Where requests come in: the public listener (HTTP/1.1, h2c and gRPC on one port) and the metrics."""

from gate import filters
from gate.graph import Endpoint, Topology
from gate.limits import Limits
from gate.problems import local_replies
from gate.routes import CAREFUL, retry
from gate.settings import Settings
from gate.shapes import Doc, extension, seconds
from gate.static import LARGEST
from gate.strip import FORWARDED, early_mutations
from gate.watching import access_logs, tracing

HCM = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ALLOWED_HEADERS = (
    "authorization,content-type,accept,accept-language,x-api-key,x-request-id,x-authz-epoch,"
    "if-match,if-none-match,idempotency-key,last-event-id,traceparent,tracestate,"
    "x-grpc-web,x-user-agent,grpc-timeout,"
    # What Unleash's SDKs in browsers say of themselves.
    "unleash-appname,unleash-instanceid,unleash-connection-id,unleash-sdk,unleash-interval,"
    "unleash-client-spec,x-unleash-appname,x-unleash-connection-id,x-unleash-sdk"
)
EXPOSED_HEADERS = (
    "ETag,Retry-After,RateLimit,RateLimit-Policy,X-Request-Id,Idempotent-Replayed,"
    "X-Authz-Epoch,Location,Age,grpc-status,grpc-message"
)


def listeners(topology: Topology, settings: Settings, routes: list[Doc], tls: Doc) -> list[Doc]:
    """Return the public listener with the given routes and TLS, and the metrics' own."""
    public = Endpoint(topology.bind, topology.public)
    metrics = Endpoint(topology.bind, topology.metrics)
    return [
        _listener("public", public, _public(topology, settings, routes), tls),
        _listener("metrics", metrics, _metrics(), {}),
    ]


def _listener(name: str, at: Endpoint, manager: Doc, tls: Doc) -> Doc:
    return {
        "name": name,
        "address": {"socket_address": {"address": at.host, "port_value": at.port}},
        "per_connection_buffer_limit_bytes": 1 << 20,
        "filter_chains": [{"filters": [extension("http", HCM, **manager)], **tls}],
    }


def _public(topology: Topology, settings: Settings, routes: list[Doc]) -> Doc:
    return {
        "stat_prefix": "public",
        "server_name": "switchyard",
        "server_header_transformation": "OVERWRITE",
        **_distrust(settings),
        **_patience(settings.limits),
        **_request_ids(),
        "early_header_mutation_extensions": [
            early_mutations(traced=bool(settings.otlp), hops=settings.trusted_hops)
        ],
        **tracing(settings),
        "access_log": access_logs(route["name"] for route in routes),
        "local_reply_config": local_replies(settings),
        "upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}],
        "http_filters": filters.chain(topology, settings),
        "route_config": _route_config(settings, routes),
    }


def _distrust(settings: Settings) -> Doc:
    """Return what is believed of a client: its address, or what our own proxies say of it, and little else."""
    return {
        "use_remote_address": True,
        "xff_num_trusted_hops": settings.trusted_hops,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "strip_any_host_port": True,
        "max_request_headers_kb": settings.limits.headers_kib,
        "forward_client_cert_details": "SANITIZE",
        "append_local_overload": True,
        "http_protocol_options": {"allow_absolute_url": False, "accept_http_10": False},
        "http2_protocol_options": {
            "max_concurrent_streams": 128,
            "initial_stream_window_size": 65_536,
            "initial_connection_window_size": 1 << 20,
        },
    }


def _patience(limits: Limits) -> Doc:
    return {
        "common_http_protocol_options": {
            "max_headers_count": limits.headers_count,
            "idle_timeout": "300s",
            "max_connection_duration": "3600s",
            # Behind WSGI-like servers x_user_id and x-user-id are the same.
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "stream_idle_timeout": seconds(limits.stream_idle_time),
        "request_timeout": seconds(limits.request_time),
        "request_headers_timeout": seconds(limits.request_headers_time),
        "drain_timeout": "5s",
        "delayed_close_timeout": "1s",
    }


def _request_ids() -> Doc:
    # What is not well formed was removed before; what is left may stay.
    return {
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "generate_request_id": True,
    }


def _route_config(settings: Settings, routes: list[Doc]) -> Doc:
    nosniff = {"key": "x-content-type-options", "value": "nosniff"}
    judged = {"key": FORWARDED, "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}
    host = {
        "name": "all",
        "domains": ["*"],
        "routes": routes,
        "retry_policy": retry(CAREFUL),
        # One address goes on, as it was judged here: the services believe it.
        "request_headers_to_add": [
            {"header": judged, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
        "response_headers_to_add": [{"header": nosniff, "append_action": "ADD_IF_ABSENT"}],
        "typed_per_filter_config": {"cors": _cors(settings)},
    }
    return {
        "name": "public",
        "validate_clusters": True,
        "max_direct_response_body_size_bytes": LARGEST,
        "virtual_hosts": [host],
    }


def _cors(settings: Settings) -> Doc:
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"exact": origin} for origin in settings.origins],
        "allow_methods": "GET,HEAD,POST,PUT,PATCH,DELETE",
        "allow_headers": ALLOWED_HEADERS,
        "expose_headers": EXPOSED_HEADERS,
        "max_age": "600",
        # Else the OPTIONS of an origin that is not allowed reaches the service, unauthenticated.
        "forward_not_matching_preflights": False,
    }


def _metrics() -> Doc:
    """Return the listener that shows Envoy's counters and nothing else of its admin pages."""
    get = [{"name": ":method", "string_match": {"exact": "GET"}}]
    routes = [
        {
            "match": {"path": "/metrics", "headers": get},
            "route": {"cluster": "admin", "prefix_rewrite": "/stats/prometheus?usedonly"},
        },
        {"match": {"path": "/ready", "headers": get}, "route": {"cluster": "admin"}},
    ]
    router = extension("router", filters.FILTERS + "router.v3.Router", suppress_envoy_headers=True)
    return {
        "stat_prefix": "metrics",
        "normalize_path": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "http_filters": [router],
        "route_config": {
            "virtual_hosts": [{"name": "metrics", "domains": ["*"], "routes": routes}]
        },
    }
