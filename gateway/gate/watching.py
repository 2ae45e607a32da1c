"""What the gate tells about its traffic: the access log, and traces where a collector is configured."""

from gate.filters import JWT_METADATA
from gate.settings import Settings
from gate.shapes import Doc, extension, typed

TRACERS = "extensions.tracers.opentelemetry."


def access_log() -> Doc:
    """Return the JSON access log on standard output; paths are logged without their query."""
    line = {
        "at": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ)%",
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
    return extension("stdout", message, log_format={"json_format": line})


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
    section = {"spawn_upstream_span": True, "random_sampling": everything, "provider": provider}
    return {"tracing": section}
