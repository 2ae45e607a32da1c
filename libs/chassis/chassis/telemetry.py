"""What a service says about itself: JSON logs, metrics in Prometheus form, traces by OTLP.

Traces are off without an endpoint, and then OpenTelemetry's SDK is not even loaded. A span is made only for a request
whose incoming trace is sampled: the gateway decides, one in a hundred.
"""

import json
import logging
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

from opentelemetry import propagate, trace
from prometheus_client import Counter, Histogram

from chassis.context import asked
from chassis.settings import ServiceSettings

REQUESTS = Histogram(
    "http_server_request_duration_seconds",
    "How long REST requests took",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
CALLS = Counter("rpc_server_calls_total", "gRPC calls answered", ["method", "status"])

_tracer = trace.get_tracer("switchyard")


class JsonLines(logging.Formatter):
    """One JSON object a line, with the request it belongs to."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Render a record; values that were passed as `extra={"data": {...}}` become fields."""
        request = asked()
        said: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request.request_id:
            said |= {"request_id": request.request_id, "trace_id": request.trace_id}
        said |= getattr(record, "data", {})
        if record.exc_info:
            said["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(said, ensure_ascii=False, default=str)


@contextmanager
def telemetry(service: str, settings: ServiceSettings) -> Generator[None]:
    """Set up logging, and traces where there is somewhere to send them; flush at the end."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    for noisy in ("httpx", "grpc", "uvicorn.access", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with _traces(service, settings) if settings.otlp_endpoint else nullcontext():
        yield


@contextmanager
def _traces(service: str, settings: ServiceSettings) -> Generator[None]:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

    provider = TracerProvider(
        resource=Resource.create({"service.name": service, "service.version": settings.build_id}),
        sampler=ParentBased(ALWAYS_OFF),
    )
    exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint, insecure=True)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    trace.set_tracer_provider(provider)
    AsyncPGInstrumentor().instrument()
    try:
        yield
    finally:
        provider.shutdown()


@contextmanager
def span(name: str, kind: trace.SpanKind = trace.SpanKind.SERVER) -> Generator[trace.Span]:
    """Open a span under the trace of the request being answered, if that is sampled."""
    request = asked()
    if not request.sampled:
        yield trace.INVALID_SPAN
        return
    parent = None
    if not trace.get_current_span().get_span_context().is_valid:
        parent = propagate.extract({"traceparent": request.traceparent})
    with _tracer.start_as_current_span(name, context=parent, kind=kind) as opened:
        opened.set_attribute("request.id", request.request_id)
        yield opened


def traceparent() -> str:
    """Return the trace context to pass on: of the open span, else of the request."""
    current = trace.get_current_span().get_span_context()
    if current.is_valid:
        return f"00-{current.trace_id:032x}-{current.span_id:016x}-{int(current.trace_flags):02x}"
    return asked().traceparent
