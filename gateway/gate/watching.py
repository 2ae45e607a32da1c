"""What the gate tells about its traffic: the access log, and traces where a collector is configured.

Neither has a query (credentials come in it where headers cannot go), nor a path whose parameter opens something.
"""

import re
from collections.abc import Iterable

from gate.filters import JWT_METADATA
from gate.settings import Settings
from gate.shapes import Doc, extension, typed

TRACERS = "extensions.tracers.opentelemetry."


# The name of a path parameter that is itself the permission: who reads it in a log could use it.
OPENS = "{token}"
PATH, TEMPLATE = "%PATH(NQ)%", "%ROUTE_NAME%"


def access_logs(routes: Iterable[str]) -> list[Doc]:
    """Return the JSON access logs on standard output, for routes of these names (path templates).

    Paths are logged without their query, and not at all where one holds a secret: there the route stands for it.
    """
    doors = sorted({re.escape(r.partition("{")[0]) for r in routes if OPENS in r})
    if not doors:
        return [_stdout("stdout", PATH)]
    matched = {"safe_regex": {"regex": f"(?i).*({'|'.join(doors)}).*"}}
    header = {"name": ":path", "string_match": matched}
    secret: Doc = {"filter": {"header_filter": {"header": header}}}
    others: Doc = {"filter": {"header_filter": {"header": {**header, "invert_match": True}}}}
    return [_stdout("stdout", PATH) | others, _stdout("stdout_of_secret_paths", TEMPLATE) | secret]


def _stdout(name: str, path: str) -> Doc:
    line = {
        "at": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "method": "%REQ(:METHOD)%",
        "path": path,
        "route": "%ROUTE_NAME%",
        "protocol": "%PROTOCOL%",
        "status": "%RESPONSE_CODE%",
        "grpc_status": "%GRPC_STATUS%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "ms": "%DURATION%",
        "upstream": "%UPSTREAM_HOST%",
        "cluster": "%UPSTREAM_CLUSTER%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "trace_id": "%TRACE_ID%",
        "user": "%REQ(X-USER-ID)%",
        "tenant": "%REQ(X-TENANT-ID)%",
        "token_tenant": f"%DYNAMIC_METADATA({JWT_METADATA}:jwt:tid)%",
        "key": "%REQ(X-KEY-ID)%",
        "peer": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    }
    message = "extensions.access_loggers.stream.v3.StdoutAccessLog"
    return extension(name, message, log_format={"json_format": line})


def tracing(settings: Settings) -> Doc:
    """Return the tracing section: parent-based sampling of a small share, over OTLP."""
    if not settings.otlp:
        return {}
    share = {"numerator": int(settings.limits.trace_percent * 10_000), "denominator": "MILLION"}
    ratio = typed(TRACERS + "samplers.v3.TraceIdRatioBasedSamplerConfig", sampling_percentage=share)
    sampler = extension(
        "envoy.tracers.opentelemetry.samplers.parent_based",
        TRACERS + "samplers.v3.ParentBasedSamplerConfig",
        wrapped_sampler={
            "name": "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
            "typed_config": ratio,
        },
    )
    provider = extension(
        "envoy.tracers.opentelemetry",
        "config.trace.v3.OpenTelemetryConfig",
        service_name="gateway",
        grpc_service={"envoy_grpc": {"cluster_name": "otlp"}, "timeout": "1s"},
        sampler=sampler,
    )
    # The sampler decides, so each request must get as far as it.
    everything = {"value": 100}
    section = {
        "spawn_upstream_span": True,
        "random_sampling": everything,
        "provider": provider,
        "custom_tags": _without_secrets(),
    }
    return {"tracing": section}


def _without_secrets() -> list[Doc]:
    """Return the tags that stand for Envoy's own: the template of the path, and no query."""
    return [
        {"tag": "http.url", "value": f"%REQ(:SCHEME)%://%REQ(:AUTHORITY)%{TEMPLATE}"},
        {"tag": "url.path", "value": TEMPLATE},
        {"tag": "url.query", "literal": {"value": "-"}},
    ]
