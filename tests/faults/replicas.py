"""More than the local platform has: further replicas of a service, and an Envoy of one's own that asks them.

They share the platform's stores and keys; everything of them ends with the test.
"""

import asyncio
import contextlib
import json
import os
import re
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

ROOT = Path(__file__).parents[2]
STARTING = 240  # seconds: many processes may be starting on a busy machine
DRAINED = {"SWITCHYARD_SHUTDOWN_DELAY": "3"}  # seconds of lame duck; Envoy asks every second


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


def family(pid):
    """Return a process and all that it started; nothing where it has ended meanwhile."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(p for child in children for p in family(int(child)))]


def memory(pid, what):
    """Return what a process and its children have of memory now (VmRSS), or had at most (VmHWM), in MiB."""
    said = [Path(f"/proc/{one}/status").read_text() for one in family(pid)]
    return sum(int(re.search(rf"{what}:\s+(\d+)", one)[1]) for one in said) / 1024


async def answers(url):
    async with httpx.AsyncClient(timeout=2) as web:
        return (await web.get(url)).status_code == 200


class Replica:
    """Another process of a service, on ports of its own, with the environment of the platform's."""

    def __init__(self, platform, service, folder, *, jobs=False, **env):
        self.service, self.process = service, None
        self._options = () if jobs else ("--no-jobs",)
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
        command = (sys.executable, "-m", self.service, "serve", *self._options)
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
    """An Envoy beside the platform's, with more replicas of a service, or `only` these.

    `peers` are the addresses of all gates that share the limits, `env` is set for it beside what the platform's has.
    Run as in the cluster, so that SIGTERM drains it; `end` does not wait for that, `drained` does.
    """

    def __init__(self, platform, folder, replicas, *, only=False, peers=(), env=None, **limits):
        public, metrics, admin = free_ports(3)
        self._folder, self.process = folder / f"gate-{public}", None
        state = json.loads((platform.data / "run" / "state.json").read_text())
        state["ports"]["gateway"] = {"public": public, "metrics": metrics, "admin": admin}
        for service in {r.service for r in replicas}:
            own = [] if only else [state["ports"][service]]
            more = [{"http": r.http, "grpc": r.grpc} for r in replicas if r.service == service]
            state["ports"][service] = {
                door: [p[door] for p in own + more] for door in ("http", "grpc")
            }
        self._state, self._limits, self._peers = state, limits, peers
        self._env = environment(platform.pid("key-agent")) | DRAINED | (env or {})
        self.url, self.admin = (f"http://127.0.0.1:{port}" for port in (public, admin))

    def _rendered(self):
        self._folder.mkdir(exist_ok=True)
        (self._folder / "state.json").write_text(json.dumps(self._state))
        topology = load(ROOT / "deploy/service-graph.yaml", self._folder / "state.json")
        settings = read(self._env, None, topology.urls)
        limits = replace(settings.limits, **self._limits)
        settings = replace(settings, otlp="", peers=self._peers, limits=limits)
        document = gather.read(ROOT / "gateway/openapi.json")
        return render.write(document, topology, settings, self._folder)

    async def start(self):
        """Start it, and return when it lets through."""
        command = (sys.executable, "-m", "gate", "run", "--concurrency", "1")
        config = ("--config", str(self._rendered()))
        with (self._folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, *config, env=self._env, cwd=ROOT, stdout=log, stderr=log
            )
        await until(lambda: answers(f"{self.admin}/ready"), STARTING, "Envoy is ready")

    async def drained(self):
        """Ask it to end, and return its exit status when it has."""
        self.process.terminate()
        return await self.process.wait()

    async def hosts(self, service):
        """Return how many replicas of a service it would ask now."""
        return await self.counted(service, "membership_healthy")

    async def counted(self, service, what):
        """Return what Envoy has counted about a service."""
        async with httpx.AsyncClient(timeout=5) as web:
            said = await web.get(f"{self.admin}/stats?filter=^cluster.{service}.{what}$")
        return int(said.text.rpartition(" ")[2])

    def told(self):
        """Return what its access log says, request by request; the latest may be half a second late."""
        whole, _, _ = (self._folder / "log").read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line.startswith('{"')]

    async def end(self):
        """End it and the Envoy that it runs, at once."""
        for pid in family(self.process.pid)[::-1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self.process.wait()


@contextlib.asynccontextmanager
async def running(*parts):
    """End what was started, whatever happens."""
    try:
        yield
    finally:
        for one in [p for p in parts if p.process and p.process.returncode is None]:
            await one.end(*([signal.SIGKILL] if isinstance(one, Replica) else []))


@contextlib.asynccontextmanager
async def beside(platform, folder, services, *, count=1, env=None, **options):
    """Start `count` replicas of each service and a gate in front; yield both (the replicas in order)."""
    env = env or {}
    replicas = [Replica(platform, s, folder, **env) for s in services for _ in range(count)]
    gate = Gate(platform, folder, replicas, **options)
    async with running(*replicas, gate):
        await asyncio.gather(*(r.start() for r in replicas))
        await gate.start()
        yield gate, replicas
