"""One Envoy per test process, in front of upstream.py, with keys and tokens of the tests' own."""

import contextlib
import hashlib
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from joserfc import jwt
from joserfc.jwk import ECKey

from gate import render
from gate.graph import Topology, topology
from gate.keylog import Key, KeyLog
from gate.limits import PROFILES
from gate.openapi import merge
from gate.settings import Settings

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ISSUER, AUDIENCE, ORIGIN = "http://gate.test", "switchyard", "https://app.example"
LIMITS = replace(
    PROFILES["test"],
    strict_per_minute=5,
    renewals_per_minute=50,
    tenant_rate=40,
    key_rate=30,
    unresolved_rate=20,
    request_headers_time=1,
    request_time=2,
    health_interval=0.3,
    gates_interval=0.2,
    keys_poll=0.05,
)
EITHER = [{"bearer": []}, {"apiKey": []}]


def operation(security=EITHER, **markers):
    return {"security": security, "responses": {"200": {"description": "ok"}}, **markers}


def documents():
    """A small platform: one service with doors of every kind, one whose process is dead."""
    key, anyone = [{"apiKey": []}], []
    flags = {
        "/api/v1/echo": {"get": operation(), "post": operation(), "delete": operation()},
        "/api/v1/public": {"get": operation(anyone), "post": operation(anyone)},
        "/api/v1/mixed": {"get": operation(anyone), "post": operation()},
        "/api/v1/key": {"get": operation(key)},
        "/api/v1/token": {"get": operation([{"bearer": []}])},
        "/api/v1/things/{id}": {"get": operation(), "patch": operation()},
        "/api/v1/things/special": {"get": operation(anyone)},
        "/api/v1/things/{id}/toggle": {"post": operation()},
        "/api/v1/login": {"post": operation(anyone, **{"x-limit": "strict"})},
        "/api/v1/renewal": {"post": operation(anyone, **{"x-limit": "renewal"})},
        "/api/v1/slow": {"get": operation(anyone, **{"x-timeout": 0.4})},
        "/api/v1/drained": {"get": operation(anyone)},
        "/api/v1/events": {"get": operation(anyone, **{"x-door": "stream"})},
        "/api/v1/ws": {"get": operation(EITHER, **{"x-door": "websocket"})},
        "/api/v1/upload": {"post": operation(anyone, **{"x-body-limit": 5 << 20})},
        "/api/v1/reading": {"get": operation(anyone)},
        "/api/v1/problem": {"get": operation(anyone)},
        "/api/v1/flaky": {"get": operation(anyone), "post": operation(anyone)},
        "/counts": {"get": operation(anyone)},
        "/go": {"get": operation(anyone)},
        "/ofrep/v1/evaluate/flags": {"post": operation(key)},
        "/ofrep/v1/evaluate/flags/{key}": {"post": operation(key, **{"x-path-greedy": True})},
    }
    return {
        "flags": {"paths": flags},
        "compute": {"paths": {"/api/v1/dead": {"get": operation(anyone)}}},
    }


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def eventually(condition, within: float = 90):
    """Wait for a condition to hold, and return what it returned."""
    latest = time.monotonic() + within
    while not (held := condition()):
        assert time.monotonic() < latest, "it never came to hold"
        time.sleep(0.02)
    return held


def status_of(url: str, headers: dict[str, str] | None = None) -> int:
    """Ask on a new connection, which either worker thread may get; 0 when nobody answers."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=2)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", place.path, headers=headers or {})
        return connection.getresponse().status
    return 0


def answers(url: str, status: int = 200, headers: dict[str, str] | None = None) -> bool:
    return status_of(url, headers) == status


@dataclass
class World:
    """A running gate: its address, the key that signs tokens, and the log of API keys."""

    folder: Path
    topology: Topology
    signing: ECKey
    keys: KeyLog
    processes: list[subprocess.Popen] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.topology.public}"

    @property
    def port(self) -> int:
        return self.topology.public

    def token(self, header=None, key=None, **claims) -> str:
        now = int(time.time())
        said = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "u1",
            "tid": secrets.token_hex(8),
            "iat": now,
            "exp": now + 60,
            **claims,
        }
        said = {name: value for name, value in said.items() if value is not None}
        head = {"alg": "ES256", "typ": "at+jwt", "kid": self.signing.kid, **(header or {})}
        return jwt.encode(head, said, key or self.signing)

    def bearer(self, **claims) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token(**claims)}"}

    def key(self, *, known=True, **fields) -> str:
        """Make an API key and wait until the gate knows it."""
        text = f"sy_srv_{secrets.token_hex(6)}_{secrets.token_hex(16)}"
        hash_ = hashlib.sha256(text.encode()).hexdigest()
        given = {"tenant": secrets.token_hex(8), "scopes": ("flag:evaluate",), **fields}
        self.keys.put(Key(hash_, f"k{hash_[:8]}", **given))
        if known:
            # From then on each worker thread looks into the log before it looks a key up.
            time.sleep(LIMITS.keys_poll + 0.02)
        return text


def start(arguments: list[str], folder: Path, **environment: str) -> subprocess.Popen:
    paths = [ROOT / "protos", ROOT / "gateway", *os.environ.get("PYTHONPATH", "").split(":")]
    known = {**os.environ, "PYTHONPATH": ":".join(map(str, paths)), **environment}
    log = (folder / f"{Path(arguments[0]).stem}.{secrets.token_hex(3)}.log").open("wb")
    with log:
        return subprocess.Popen([sys.executable, *arguments], env=known, stdout=log, stderr=log)


def build(folder: Path, limits=LIMITS, edit=None, *, ready=True, delay=0.0, **settings) -> World:
    """Render a gate with ports of its own and start it with its upstream."""
    rest, grpc, dead, dead_grpc, public, admin, metrics = free_ports(7)
    alive, gone = {"http": rest, "grpc": grpc}, {"http": dead, "grpc": dead_grpc}
    names = ("iam", "flags", "experiments", "audit", "compute")
    ports = {name: gone if name == "compute" else alive for name in names}
    ports["gateway"] = {"public": public, "admin": admin, "metrics": metrics}
    graph = yaml.safe_load((ROOT / "deploy/service-graph.yaml").read_text())
    state = {"ports": ports, "paths": {"keylog": str(folder / "keylog")}}
    signing = ECKey.generate_key("P-256", {"kid": "test-1", "use": "sig", "alg": "ES256"})
    (folder / "jwks.json").write_text(json.dumps({"keys": [signing.as_dict(private=False)]}))
    world = World(folder, topology(graph, state), signing, KeyLog(folder / "keylog"))
    world.keys.replace({})
    config = configure(world, limits, **settings)
    if edit:
        document = yaml.safe_load(config.read_text())
        edit(document)
        config.write_text(yaml.safe_dump(document))
    upstream = [str(HERE / "upstream.py"), str(rest), str(grpc), str(folder / "jwks.json")]
    quick = {"GATE_SHUTDOWN_DELAY": str(delay), "GATE_DRAIN_TIME": "10"}
    running = ["-m", "gate", "run", "--config", str(config), "--concurrency", "2"]
    with ExitStack() as failed:
        failed.callback(stop, world)
        world.processes.append(start(upstream, folder))
        eventually(lambda: answers(f"http://127.0.0.1:{rest}/readyz"))
        world.processes.append(start(running, folder, **quick))
        eventually(lambda: answers(f"http://127.0.0.1:{admin}/ready"))
        if ready:
            lets_through(world)
        failed.pop_all()
    return world


def lets_through(world: World) -> None:
    """Wait until it asks its upstream, and knows who signs tokens."""
    eventually(lambda: answers(f"{world.url}/api/v1/public"))
    eventually(lambda: answers(f"{world.url}/api/v1/token", 200, world.bearer()))


def configure(world: World, limits=LIMITS, **settings) -> Path:
    given = {
        "limits": limits,
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "origins": (ORIGIN,),
        "otlp": "",
        "build_id": "test-build",
        "started_at": "2026-01-01T00:00:00Z",
        **settings,
    }
    return render.write(merge(documents()), world.topology, Settings(**given), world.folder / "out")


def stop(world: World) -> None:
    for process in reversed(world.processes):
        process.terminate()
    for process in world.processes:
        process.wait(60)


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Iterator[World]:
    """The gate that all tests share; who stops or starves it builds one of their own."""
    made = build(tmp_path_factory.mktemp("gate"))
    done = threading.Event()
    beating = threading.Thread(target=beat, args=(made.keys, done))
    beating.start()
    yield made
    done.set()
    beating.join()
    stop(made)


def beat(keys: KeyLog, done: threading.Event) -> None:
    while not done.wait(1):
        keys.beat()


@pytest.fixture
def client(world) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=world.url, timeout=5) as made:
        yield made


@pytest.fixture
def another(tmp_path) -> Iterator[Callable[..., World]]:
    """Build a gate for this test alone."""
    made: list[World] = []

    def another(**settings) -> World:
        made.append(build(tmp_path, **settings))
        return made[-1]

    yield another
    for one in made:
        stop(one)
