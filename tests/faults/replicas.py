"""More than the local platform has: further replicas of a service, and an Envoy of one's own that asks them.

They share the platform's stores and keys; everything of them ends with the test.
"""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import httpx

from gate import gather, render
from gate.graph import load
from gate.settings import read
from tests.waiting import until
from yard.stores import envoy_binary

ROOT = Path(__file__).parents[2]
NOTHING = asyncio.subprocess.DEVNULL
STARTING = 60  # seconds: five processes may be starting on a busy machine


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def environment(pid):
    """Return the environment of a running process."""
    said = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in said if "=" in line)


async def answers(url):
    async with httpx.AsyncClient(timeout=2) as web:
        return (await web.get(url)).status_code == 200


class Replica:
    """Another process of a service, on ports of its own, with the environment of the platform's."""

    def __init__(self, platform, service, folder, **env):
        self.service, self.process = service, None
        self.http, self.grpc = free_ports(2)
        own = {
            "HTTP_PORT": self.http,
            "GRPC_PORT": self.grpc,
            "SNAPSHOT_DIR": folder / f"{service}-{self.http}",
        }
        prefixed = {f"{service.upper()}_{name}": str(value) for name, value in own.items()}
        self.env = environment(platform.pid(service)) | prefixed | env
        self.log = platform.data / "log" / f"{service}-{self.http}.log"

    async def start(self, cwd=ROOT):
        """Start it, and return when it is ready."""
        command = (sys.executable, "-m", self.service, "serve", "--no-jobs")
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, env=self.env, cwd=cwd, stdout=log, stderr=log
            )
        await until(self.ready, STARTING, f"a replica of {self.service} is ready")

    async def ready(self):
        assert self.process.returncode is None, self.log.read_text()[-2000:]
        return await answers(f"http://127.0.0.1:{self.http}/readyz")

    async def end(self, how=signal.SIGTERM):
        """End it, and return when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        await self.process.wait()


class Gate:
    """An Envoy beside the platform's: `more` adds replicas to a service, `only` puts them in its place."""

    def __init__(self, platform, folder, replicas, *, only=False, **limits):
        self._folder, self.process = folder / "gate", None
        state = json.loads((platform.data / "run" / "state.json").read_text())
        public, metrics, self._admin = free_ports(3)
        state["ports"]["gateway"] = {"public": public, "metrics": metrics, "admin": self._admin}
        for service in {r.service for r in replicas}:
            own = [] if only else [state["ports"][service]]
            more = [{"http": r.http, "grpc": r.grpc} for r in replicas if r.service == service]
            state["ports"][service] = {
                door: [p[door] for p in own + more] for door in ("http", "grpc")
            }
        self._state, self._limits = state, limits
        self._env = environment(platform.pid("key-agent"))
        self.url = f"http://127.0.0.1:{public}"

    async def start(self):
        """Start it, and return when it lets through."""
        self._folder.mkdir()
        (self._folder / "state.json").write_text(json.dumps(self._state))
        topology = load(ROOT / "deploy/service-graph.yaml", self._folder / "state.json")
        settings = read(self._env, None, topology.urls)
        settings = replace(settings, otlp="", limits=replace(settings.limits, **self._limits))
        document = gather.read(ROOT / "gateway/openapi.json")
        config = render.write(document, topology, settings, self._folder)
        quiet = ("--disable-hot-restart", "--concurrency", "1", "-l", "off")
        with (self._folder / "log").open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                str(envoy_binary()), "-c", str(config), *quiet, stdout=log, stderr=log
            )
        await until(
            lambda: answers(f"http://127.0.0.1:{self._admin}/ready"), STARTING, "Envoy is ready"
        )

    async def hosts(self, service):
        """Return how many replicas of a service it would ask now."""
        async with httpx.AsyncClient(timeout=5) as web:
            said = await web.get(
                f"http://127.0.0.1:{self._admin}/stats?filter=^cluster.{service}.membership_healthy"
            )
        return int(said.text.rpartition(" ")[2])

    async def end(self):
        self.process.kill()
        await self.process.wait()


@contextlib.asynccontextmanager
async def beside(platform, folder, services, *, count=1, env=None, **options):
    """Start `count` replicas of each service and a gate in front; yield both (the replicas in order)."""
    env = env or {}
    replicas = [Replica(platform, s, folder, **env) for s in services for _ in range(count)]
    gate = Gate(platform, folder, replicas, **options)
    try:
        await asyncio.gather(*(r.start() for r in replicas))
        await gate.start()
        yield gate, replicas
    finally:
        for one in [r for r in (*replicas, gate) if r.process]:
            if one.process.returncode is None:
                one.process.kill()
                await one.process.wait()
