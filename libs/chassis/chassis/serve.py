"""One process: REST, gRPC and the jobs, started in order, drained together.

Start: gRPC and HTTP are both bound, the jobs run, then `/readyz` says 200 once every check holds. Stop (SIGTERM): not
ready → wait for balancers to notice → stop accepting, finish what is in flight → end the jobs → close what was opened.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import orjson
import uvicorn
import uvloop
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.settings import ServiceSettings
from chassis.telemetry import telemetry

log = logging.getLogger(__name__)

Job = Callable[[], Coroutine[Any, Any, None]]
Check = Callable[[], str]
S = TypeVar("S", bound=ServiceSettings)
_STATUS = health_pb2.HealthCheckResponse.ServingStatus
GRACE = 10.0
# Of WebSockets, where there are any: messages are small, are not compressed, and a client that is gone is found out.
SOCKETS: dict[str, Any] = {
    "ws": "websockets-sansio",
    "ws_max_size": 64 << 10,
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
    "ws_per_message_deflate": False,
}
_HEALTH = "grpc.health.v1.Health"


@dataclass(slots=True)
class Service:
    """Everything a service runs. `checks` say what keeps it from serving, or nothing.

    `jobs` run where the deployment wants them (`serve`, or `work` alone); what is in `always` runs in every process.
    """

    name: str
    rest: ASGIApp
    rpc: aio.Server
    rpc_names: tuple[str, ...] = ()
    jobs: tuple[Job, ...] = ()
    checks: tuple[Check, ...] = ()
    always: tuple[Job, ...] = ()


@dataclass(slots=True)
class Health:
    """What the health paths answer; asks nothing that is shared."""

    service: str
    build_id: str
    checks: tuple[Check, ...]
    draining: bool = False
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    def trouble(self) -> str:
        """Return what keeps the service from serving; empty if nothing does."""
        if self.draining:
            return "draining"
        return next((said for check in self.checks if (said := check())), "")

    def answer(self, path: str) -> tuple[int, bytes, bytes]:
        """Return status, content type and body of a health path."""
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST.encode(), generate_latest()
        trouble = self.trouble() if path == "/readyz" else ""
        said = {
            "status": trouble or "ok",
            "service": self.service,
            "build_id": self.build_id,
            "started_at": self.started_at,
        }
        return 503 if trouble else 200, b"application/json", orjson.dumps(said)

    def before(self, app: ASGIApp) -> ASGIApp:
        """Return an app that answers the health paths itself and leaves the rest to `app`."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] not in _PATHS:
                await app(scope, receive, send)
                return
            status, kind, body = self.answer(scope["path"])
            headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
            if status == 503:  # Envoy takes us out at once instead of after its next failed checks
                headers.append((b"x-envoy-immediate-health-check-fail", b"true"))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        return answer


_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


class _Web(uvicorn.Server):
    """uvicorn without its own signal handlers: we stop it in our order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def run(service: Service, settings: ServiceSettings, *, doors: bool, jobs: bool) -> None:
    """Run until SIGTERM or SIGINT. Without `doors` only health is served; without `jobs` none run."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    state = Health(service.name, settings.build_id, service.checks)
    rest = state.before(service.rest if doors else _nothing)
    sockets = SOCKETS if doors and _takes_sockets(service.rest) else {"ws": "none"}
    async with (
        _grpc(service, settings, state),
        _http(rest, settings, sockets),
        _working(service, jobs=jobs),
    ):
        log.info("%s is up", service.name, extra={"data": {"build_id": settings.build_id}})
        await stop.wait()
        state.draining = True
        await asyncio.sleep(settings.shutdown_delay)
    log.info("%s has stopped", service.name)


def _takes_sockets(rest: ASGIApp) -> bool:
    routers = rest.state.routers if isinstance(rest, Starlette) else ()
    return any(isinstance(route, WebSocketRoute) for router in routers for route in router.routes)


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def _grpc(service: Service, settings: ServiceSettings, state: Health) -> AsyncGenerator[None]:
    servicer = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, service.rpc)  # type: ignore[arg-type]
    shown = (*service.rpc_names, _HEALTH, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(shown, service.rpc)
    try:
        service.rpc.add_insecure_port(f"{settings.grpc_host}:{settings.grpc_port}")
    except RuntimeError:
        taken = f"port {settings.grpc_port} for gRPC cannot be had: is it taken?"
        raise SystemExit(taken) from None
    await service.rpc.start()

    async def report() -> None:
        while True:
            status = _STATUS.NOT_SERVING if state.trouble() else _STATUS.SERVING
            for name in ("", *service.rpc_names):
                await servicer.set(name, status)  # type: ignore[arg-type]
            await asyncio.sleep(0.2)

    reporting = asyncio.create_task(report())
    try:
        yield
    finally:
        reporting.cancel()
        await servicer.enter_graceful_shutdown()
        await service.rpc.stop(GRACE)


@contextlib.asynccontextmanager
async def _http(
    rest: ASGIApp, settings: ServiceSettings, sockets: dict[str, Any]
) -> AsyncGenerator[None]:
    web = _Web(
        uvicorn.Config(
            rest,
            log_config=None,
            access_log=False,
            lifespan="off",
            http="httptools",
            **sockets,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=int(GRACE),
            server_header=False,
            date_header=False,
        )
    )
    listener = _listen(settings.http_host, settings.http_port)
    serving = asyncio.create_task(web.serve(sockets=[listener]))
    while not web.started and not serving.done():  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        web.should_exit = True
        await serving


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(2048)
    return listener


@contextlib.asynccontextmanager
async def _working(service: Service, *, jobs: bool) -> AsyncGenerator[None]:
    wanted = (*service.always, *service.jobs) if jobs else service.always
    tasks = [asyncio.create_task(_kept_up(job)) for job in wanted]
    try:
        yield
    finally:
        while [task for task in tasks if task.cancel()]:  # again, should a job have lost it: on
            await asyncio.wait(tasks, timeout=1)  # Python 3.11 `asyncio.wait_for` can


async def _kept_up(job: Job) -> None:
    """Run a job for ever: one that dies of a bug is logged and begun again."""
    while True:
        try:
            await job()
        except Exception:
            log.exception("the job %s died and begins again", getattr(job, "__qualname__", job))
        await asyncio.sleep(1)


@dataclass(frozen=True, slots=True)
class Verb(Generic[S]):
    """One more word of a service's command line; `run` returns what is printed. `options` as argparse takes them."""

    help: str
    run: Callable[[S, argparse.Namespace], Coroutine[Any, Any, str]]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])


def main(
    name: str,
    settings: type[S],
    build: Callable[[S], AbstractAsyncContextManager[Service]],
    **more: Verb[S],
) -> None:
    """Be the command line of a service: serve, work, migrate, and what it has of its own (`rotate_keys=Verb(…)`)."""
    parser = argparse.ArgumentParser(prog=name, description=f"Switchyard's {name} service")
    verbs = parser.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("serve", help="serve REST and gRPC, and run the jobs")
    serve.add_argument("--no-jobs", action="store_true", help="leave the jobs to `work`")
    verbs.add_parser("work", help="run the jobs only")
    verbs.add_parser("migrate", help="bring the schema to its newest revision")
    for word, verb in more.items():
        own = verbs.add_parser(word.replace("_", "-"), help=verb.help)
        for option, how in verb.options.items():
            own.add_argument(option, **how)
    asked = parser.parse_args()
    if verb := more.get(asked.verb.replace("-", "_")):
        sys.stdout.write(asyncio.run(verb.run(settings(), asked)) + "\n")
        return
    if asked.verb == "migrate":
        from schemas.migrate import from_environment, migrate  # 4 MB that serving never needs

        asyncio.run(migrate(name, *from_environment(name)))
        return
    doors, jobs = asked.verb == "serve", not getattr(asked, "no_jobs", False)
    uvloop.run(_main(name, settings(), build, doors=doors, jobs=jobs))


async def _main(
    name: str,
    settings: S,
    build: Callable[[S], AbstractAsyncContextManager[Service]],
    *,
    doors: bool,
    jobs: bool,
) -> None:
    with telemetry(name, settings):
        async with build(settings) as service:
            await run(service, settings, doors=doors, jobs=jobs)
