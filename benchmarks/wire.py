"""What the benchmarks of iam share: an iam of their own on a throw-away database, and a client that costs little.

    python -m yard with --database-only -- python benchmarks/iam_requests.py

Beside what a wall clock says stands what a second of the service's own processor time yields: on a machine that others
use too, the second figure is the one that says something about the code.
"""

import asyncio
import json
import os
import secrets
import socket
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

ADMIN = "only for this benchmark"
ALSO = "correct horse battery staple"


class Wire:
    """One connection that is kept open; one question at a time."""

    def __init__(self, port: int, **headers: str) -> None:
        self._port, self.headers = port, headers
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and JSON of an answer."""
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        sent = b"" if body is None else json.dumps(body).encode()
        fields = {"host": "iam", "content-length": str(len(sent)), **self.headers}
        if sent:
            fields["content-type"] = "application/json"
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + sent)
        said = await self._reader.readuntil(b"\r\n\r\n")
        length = next(
            (
                int(line[15:])
                for line in said.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            0,
        )
        text = await self._reader.readexactly(length)
        return int(said[9:12]), json.loads(text) if text else None

    async def must(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of an answer that is no refusal."""
        status, said = await self.ask(method, path, body)
        if status >= 300:
            raise SystemExit(f"{method} {path}: {status} {said}")
        return said


@dataclass(frozen=True)
class Iam:
    """A running iam: its port and its process."""

    port: int
    pid: int
    database: str

    def wire(self, **headers: str) -> Wire:
        """Return a connection to it."""
        return Wire(self.port, **headers)

    def cpu(self) -> float:
        """Return the processor seconds that it has used."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def founded(self, slug: str) -> tuple[Wire, dict[str, Any]]:
        """Register an organization; return its first administrator's connection, and what was answered."""
        body = {
            "name": slug,
            "subdomain": slug,
            "admin_email": f"boss@{slug}.example",
            "admin_password": ALSO,
        }
        said = await self.wire().must("POST", "/api/v1/organizations/register", body)
        return self.wire(authorization=f"Bearer {said['access_token']}"), said


@asynccontextmanager
async def iam() -> AsyncGenerator[Iam]:
    """Start an iam with the password hashes of production, and the audit log that it tells; stop them afterwards."""
    database, ports = os.environ["TEST_DATABASE_URL"], [_free() for _ in range(4)]
    shared = {
        "SWITCHYARD_REDIS_URL": os.environ["TEST_REDIS_URL"],
        "SWITCHYARD_PROFILE": "test",
        "SWITCHYARD_MESH_SECRET": secrets.token_hex(24),
        "SWITCHYARD_LOG_LEVEL": "ERROR",
        "SWITCHYARD_IAM_ADDRESS": f"127.0.0.1:{ports[1]}",
        "SWITCHYARD_AUDIT_ADDRESS": f"127.0.0.1:{ports[3]}",
        "IAM_PASSWORD_PROFILE": "compat",
        "IAM_BOOTSTRAP_ADMIN_PASSWORD": ADMIN,
    }
    async with (
        _running("audit", database, shared, ports[2:]),
        _running("iam", database, shared, ports) as process,
    ):
        made = Iam(ports[0], process.pid, database)
        await _ready(made)
        yield made


@asynccontextmanager
async def _running(
    name: str, database: str, shared: dict[str, str], ports: list[int]
) -> AsyncGenerator[asyncio.subprocess.Process]:
    own = {
        f"{name.upper()}_DATABASE_URL": _as_role(database, name),
        f"{name.upper()}_ADMIN_DATABASE_URL": database,
        f"{name.upper()}_HTTP_PORT": str(ports[0]),
        f"{name.upper()}_GRPC_PORT": str(ports[1]),
    }
    environment, start = {**os.environ, **shared, **own}, asyncio.create_subprocess_exec
    migrate = await start(sys.executable, "-m", name, "migrate", env=environment)
    if await migrate.wait():
        raise SystemExit("the schema could not be made")
    serve = await start(sys.executable, "-m", name, "serve", env=environment)
    try:
        yield serve
    finally:
        serve.terminate()
        await serve.wait()


async def _ready(made: Iam) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if (await made.wire().ask("GET", "/readyz"))[0] == 200:
                    return
            except OSError:
                pass
            await asyncio.sleep(0.1)


def _as_role(url: str, name: str) -> str:
    """Return the URL of the same database for a role that owns nothing but its schema."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"bench_{name}:only-here@{host}"))


def _free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


async def rate(
    made: Iam, action: Callable[[int], Awaitable[object]], seconds: float, at_once: int
) -> tuple[float, float]:
    """Do something again and again; return how often a second, and how often a second of iam's processor time."""
    end, done = time.perf_counter() + seconds, 0

    async def again(number: int) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await action(number)
            done += 1

    begun, used = time.perf_counter(), made.cpu()
    await asyncio.gather(*(again(n) for n in range(at_once)))
    return done / (time.perf_counter() - begun), done / (made.cpu() - used)


async def median(action: Callable[[], Awaitable[object]], times: int) -> float:
    """Return the median milliseconds of something that is done alone."""
    taken: list[float] = []
    for _ in range(times):
        begun = time.perf_counter()
        await action()
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)
