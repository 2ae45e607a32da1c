"""gRPC at both ends: faults cross the wire and come out as the faults they were; so do request and caller.

Server: `Guard` sets up the request, admits only services to internal methods, counts, and ends a failed call with its
fault's status and code. Client: `neighbour` opens a channel whose calls carry the request id, the trace, the person's
own credential and our service's signature, have a deadline, and are repeated where that is safe.
"""

import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import grpc
from google.protobuf.message import Message
from grpc import StatusCode, aio

from chassis import errors, mesh
from chassis.caller import Caller
from chassis.context import CURRENT, asked
from chassis.denials import KNOWN, Denials
from chassis.edge import asked_by
from chassis.errors import Fault, FieldError
from chassis.identity import EPOCH, Identity
from chassis.telemetry import CALLS, span, traceparent

log = logging.getLogger(__name__)

Context = aio.ServicerContext[Any, Any]
Metadata = tuple[tuple[str, str | bytes], ...]
STATUS: dict[type[Fault], StatusCode] = {
    errors.BadRequest: StatusCode.INVALID_ARGUMENT,
    errors.TooLarge: StatusCode.INVALID_ARGUMENT,
    errors.Unsupported: StatusCode.INVALID_ARGUMENT,
    errors.Invalid: StatusCode.INVALID_ARGUMENT,
    errors.Unauthenticated: StatusCode.UNAUTHENTICATED,
    errors.Forbidden: StatusCode.PERMISSION_DENIED,
    errors.NotFound: StatusCode.NOT_FOUND,
    errors.Conflict: StatusCode.ABORTED,
    errors.Stale: StatusCode.FAILED_PRECONDITION,
    errors.TooMany: StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: StatusCode.UNAVAILABLE,
}
# The other way round; of several families with one status it is the last.
FAMILY: dict[StatusCode, type[Fault]] = {
    **{status: family for family, status in STATUS.items()},
    StatusCode.UNKNOWN: errors.Broken,
    StatusCode.INTERNAL: errors.Broken,
}
CODE, FIELDS = "fault-code", "fault-fields-bin"
ANSWERED = ("grpc-retry-pushback-ms", "-1")  # a refusal is an answer (docs/adr/0097)
DEADLINE = 2.0  # seconds, where nobody says less; services do (docs/adr/0083)
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # a server hangs up on more
    ("grpc.so_reuseport", 0),
]
# A deadline in the service configuration fires early (an open bug of grpcio), so there is none here.
_RETRIES = """{"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 3, "initialBackoff": "0.05s", "maxBackoff": "0.5s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"]}}]}"""


# --- serving ------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Guard(aio.ServerInterceptor):
    """Server side of every call. `internal` names the methods that only Switchyard's services may call."""

    mesh_secret: str
    internal: frozenset[str] = frozenset()
    denials: Denials | None = None

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401 - grpc's own handler type is untyped
        """Wrap the handler of a unary or a server-streaming call."""
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or method.startswith("/grpc."):
            return handler
        if handler.response_streaming:
            return self._streaming(handler, method)
        return self._unary(handler, method)

    def _unary(self, handler: Any, method: str) -> Any:  # noqa: ANN401
        async def guarded(request: Message, context: Context) -> Any:  # noqa: ANN401
            with _answering(context, method) as end:
                try:
                    self._admit(method, context)
                    answer = await handler.unary_unary(request, context)
                    if ours := tuple(asked().answer.items()):
                        context.set_trailing_metadata((*(context.trailing_metadata() or ()), *ours))
                    return answer
                except Fault as fault:
                    end(fault)
                    await self._refuse(context, method, fault)

        return grpc.unary_unary_rpc_method_handler(
            guarded, handler.request_deserializer, handler.response_serializer
        )

    def _streaming(self, handler: Any, method: str) -> Any:  # noqa: ANN401
        async def guarded(request: Message, context: Context) -> AsyncIterator[Any]:
            with _answering(context, method) as end:
                try:
                    self._admit(method, context)
                    async for answer in handler.unary_stream(request, context):
                        yield answer
                except Fault as fault:
                    end(fault)
                    await self._refuse(context, method, fault)

        return grpc.unary_stream_rpc_method_handler(
            guarded, handler.request_deserializer, handler.response_serializer
        )

    async def _refuse(self, context: Context, method: str, fault: Fault) -> None:
        if self.denials is not None:
            await self.denials.note(KNOWN.get(), fault, "gRPC", method)
        await _abort(context, fault)

    def _admit(self, method: str, context: Context) -> None:
        if method in self.internal:
            shown = _metadata(context).get(mesh.HEADER, "")
            mesh.verify(self.mesh_secret, shown, method, time.time())


@contextmanager
def _answering(context: Context, method: str) -> Generator[Callable[[Fault], None]]:
    """Set up the request of a call, and count how it ended."""
    headers = [(name.encode(), value.encode()) for name, value in _metadata(context).items()]
    token = CURRENT.set(asked_by(headers, context.time_remaining()))
    ended = "OK"

    def end(fault: Fault) -> None:
        nonlocal ended
        ended = _status(fault).name

    try:
        with span(method.removeprefix("/")):
            yield end
    except Exception as bug:
        if ended == "OK" and not isinstance(bug, aio.AbortError):
            ended = "UNKNOWN"
            log.exception("a bug: %s", method)
        raise
    finally:
        CALLS.labels(method, ended).inc()
        CURRENT.reset(token)


async def who(identity: Identity, context: Context, *, reads: bool = False) -> Caller:
    """Return the person or key behind a call, from the credential that was passed on; `reads` if it changes nothing."""
    caller = await identity.of(_metadata(context))
    if caller.confirm is not None and not reads:
        caller = await caller.confirm()
    KNOWN.set(caller)  # for Guard, if they are refused; each call runs in a task of its own
    return caller


async def _abort(context: Context, fault: Fault) -> None:
    fields = [[e.pointer, e.message, e.code] for e in fault.errors]
    ours = ((CODE, fault.code), (FIELDS, json.dumps(fields).encode()), ANSWERED)
    trailing = (*(context.trailing_metadata() or ()), *ours)  # what the servicer set, and ours
    await context.abort(_status(fault), fault.detail, trailing)


def _metadata(context: Context) -> dict[str, str]:
    pairs = context.invocation_metadata() or ()
    return {key: value for key, value in pairs if isinstance(value, str)}


def _status(fault: Fault) -> StatusCode:
    return next(status for family, status in STATUS.items() if isinstance(fault, family))


# --- calling ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def neighbour(
    address: str, service: str, mesh_secret: str, patience: float = DEADLINE
) -> AsyncGenerator[aio.Channel]:
    """Open a channel to another service, on which we are `service`, and close it. `patience`: seconds for a call."""
    tell = _Tell(service, mesh_secret, patience)
    channel = aio.insecure_channel(
        address,
        options=[*OPTIONS, ("grpc.service_config", _RETRIES), ("grpc.enable_retries", 1)],
        interceptors=[_TellUnary(tell), _TellStream(tell)],
    )
    async with channel:
        yield channel


def as_fault(error: aio.AioRpcError) -> Fault:
    """Turn a failed call back into the fault that ended it; Unavailable for what is none."""
    family = FAMILY.get(error.code(), errors.Unavailable)
    told = dict(cast("Metadata", error.trailing_metadata() or ()))
    fields = json.loads(told.get(FIELDS, b"[]"))
    code = told.get(CODE)
    return family(
        error.details() or "the service did not answer",
        code=code if isinstance(code, str) else None,
        errors=tuple(FieldError(*field) for field in fields),
    )


@dataclass(frozen=True, slots=True)
class _Tell:
    """What our calls say about who asks, and on whose behalf."""

    service: str
    secret: str
    patience: float

    def details(self, given: aio.ClientCallDetails, *, deadline: bool) -> aio.ClientCallDetails:
        """Return the call's details with our metadata and, for a unary call, a deadline: no later than our caller's."""
        request = asked()
        metadata = aio.Metadata(*(given.metadata or ()))
        method = given.method.decode() if isinstance(given.method, bytes) else given.method
        metadata.add(mesh.HEADER, mesh.sign(self.secret, self.service, method, time.time()))
        if request.request_id:
            metadata.add("x-request-id", request.request_id)
            metadata.add("traceparent", traceparent())
        if request.credential:
            metadata.add(*request.credential)
        if request.epoch:
            metadata.add(EPOCH, request.epoch)
        timeout = request.left(given.timeout or self.patience) if deadline else given.timeout
        return aio.ClientCallDetails(
            given.method, timeout, metadata, given.credentials, given.wait_for_ready
        )


class _TellUnary(aio.UnaryUnaryClientInterceptor):
    def __init__(self, tell: _Tell) -> None:
        self._tell = tell

    async def intercept_unary_unary(
        self,
        continuation: Callable[[aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: aio.ClientCallDetails,
        request: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        return await continuation(self._tell.details(client_call_details, deadline=True), request)


class _TellStream(aio.UnaryStreamClientInterceptor):
    def __init__(self, tell: _Tell) -> None:
        self._tell = tell

    async def intercept_unary_stream(
        self,
        continuation: Callable[[aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: aio.ClientCallDetails,
        request: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        return await continuation(self._tell.details(client_call_details, deadline=False), request)
