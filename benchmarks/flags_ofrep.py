"""How many evaluations, of one flag or of twenty, does one second of the flags service's CPU answer an API key?

Starts two servers in processes of their own, on loopback ports that the system chooses: the real OFREP door (real
identity over an authority filled here, real rulesets over rows held here) and a bare raw-ASGI "hello" for comparison.
Both run under the chassis's own uvicorn configuration. The CPU time is what the kernel charges the server process, user
and system together, so neither the client nor idle waiting counts.

    python benchmarks/flags_ofrep.py [--bulk] [--runs 7] [--requests 40000] [--connections 32] [--request-id]

`--bulk` asks for all twenty flags at once; ten of them have a rule (in a list, semantic version, split), which is
decided anew for each request.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import statistics
import time
from types import SimpleNamespace
from uuid import uuid4

import uvloop

from authz import apikeys
from authz.limits import Limiter
from authz.replica import ApiKey
from chassis.authority import Authority
from chassis.identity import Identity
from chassis.serve import _http
from flags.api.desks import Desks
from flags.api.ofrep import Ofrep
from flags.api.tickets import Tickets
from flags.domain.ruleset import Stored
from flags.ports.serving import Reading
from flags.settings import Settings
from flags.usecases.rulesets import Rulesets

TARGETS = {"one": 30_000, "bulk": 6_000}
TENANT = uuid4()
BODY = b'{"context":{"targetingKey":"user-1","plan":"pro","country":"CH","version":"1.5.2"}}'
PREFIX = "/ofrep/v1/evaluate/flags"
PATHS = {"one": f"{PREFIX}/new-checkout", "bulk": PREFIX}
RULE = {
    "when": {
        "all": [
            {"op": "in", "attribute": "country", "values": ["CH", "DE", "AT"]},
            {"op": "semver_ge", "attribute": "version", "value": "1.4.0"},
        ]
    },
    "split": {
        "weights": [{"variant": "on", "weight": 50_000}, {"variant": "off", "weight": 50_000}]
    },
}
TICKS = os.sysconf("SC_CLK_TCK")


class Rows:
    """A shelf with twenty flags, two of them disabled, ten with a rule."""

    async def read(self, place):
        ruled = [_flag(f"flag-{n}", enabled=True, rules=[RULE]) for n in range(10)]
        rows = [*ruled, *(_flag(f"flag-{n}", enabled=n > 11) for n in range(10, 19))]
        return Reading(1, [*rows, _flag("new-checkout", enabled=True)])


def _flag(key, *, enabled, rules=()):
    return Stored(
        key=key,
        type="boolean",
        variants={"on": True, "off": False},
        enabled=enabled,
        default_variant="on",
        off_variant="off",
        client_side=True,
        targeting={"rules": list(rules)} if rules else None,
    )


def door(key):
    """Return the real door, to which one API key is known."""
    authority = Authority()
    digest = apikeys.digest(key)
    authority.state.keys[digest] = ApiKey(
        hash=digest,
        id="benchmark",
        tenant=str(TENANT),
        kind="server",
        environment="production",
        project="default",
        scopes=frozenset({"flag:evaluate"}),
        expires=time.time() + 3600,
        subject="",
        name="benchmark",
    )
    identity = Identity(authority, SimpleNamespace(), SimpleNamespace())
    ofrep = Ofrep(Desks(Rulesets(Rows()), identity, Limiter(1_000_000)), Tickets(b"benchmark"))
    return ofrep.before(hello)


async def hello(scope, receive, send):
    """Answer anything with a body of the same length as a flag's."""
    await receive()
    fields = [(b"content-type", b"application/json"), (b"content-length", b"117")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"x" * 117})


def serve(app, key, port):
    """Serve until killed; tell the port through a queue."""

    async def run():
        settings = Settings(http_port=0)
        made = door(key) if app == "door" else hello
        with contextlib.closing(_port_of_any()) as probe:
            number = probe.getsockname()[1]
        there = settings.model_copy(update={"http_port": number})
        async with _http(made, there, {"ws": "none"}):
            port.put(number)
            await asyncio.Event().wait()

    uvloop.run(run())


def _port_of_any():
    import socket

    probe = socket.socket()
    probe.bind(("127.0.0.1", 0))
    return probe


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, request, left, done):
        self._request, self._left, self._done = request, left, done
        self._bytes = b""

    def connection_made(self, transport):
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data):
        self._bytes += data
        head, found, body = self._bytes.partition(b"\r\n\r\n")
        if not found:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self._done.set_exception(RuntimeError(self._bytes.decode()))
            self._transport.close()
            return
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(body) < length:
            return
        self._bytes = b""
        self._left[0] -= 1
        if self._left[0] > 0:
            self._transport.write(self._request)
            return
        self._transport.close()
        if not self._done.done():
            self._done.set_result(None)


async def load(port, request, requests, connections):
    """Ask so many times over so many connections."""
    loop = asyncio.get_running_loop()
    left, done = [requests], loop.create_future()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(request, left, done), "127.0.0.1", port)
    await done


def cpu_of(pid):
    """Return the seconds of CPU that a process has used, by itself and in the kernel."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def request_for(key, path, more):
    """Return the request as an SDK sends it, or as it comes through the gateway."""
    fields = [
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        "content-type: application/json",
        "user-agent: benchmark",
        "accept: */*",
        f"x-api-key: {key}",
        f"content-length: {len(BODY)}",
        *more,
    ]
    return "\r\n".join(fields).encode() + b"\r\n\r\n" + BODY


@contextlib.contextmanager
def server(app, key):
    """Lend (process id, port) of a server in a process of its own, and end it."""
    context = multiprocessing.get_context("spawn")
    port = context.Queue()
    process = context.Process(target=serve, args=(app, key, port), daemon=True)
    process.start()
    try:
        yield process.pid, port.get(timeout=30)
    finally:
        process.kill()
        process.join()


def rate(running, request, requests, connections):
    """Return the answers per CPU second of one run."""
    pid, port = running
    before = cpu_of(pid)
    uvloop.run(load(port, request, requests, connections))
    return requests / (cpu_of(pid) - before)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bulk", action="store_true", help="all flags at once, not one")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--requests", type=int, default=40_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--request-id", action="store_true", help="send one, as the gateway does")
    asked = parser.parse_args()
    _, key = apikeys.mint("server")
    more = ["x-request-id: 0f8fad5bd9cb469fa165708677289501"] if asked.request_id else []
    kind = "bulk" if asked.bulk else "one"
    request = request_for(key, PATHS[kind], more)
    with server("hello", key) as bare, server("door", key) as door_:
        for running in (bare, door_):
            rate(running, request, asked.requests // 4, asked.connections)
        # In turns, so that whatever else the machine does falls on both alike.
        pairs = [
            [rate(running, request, asked.requests, asked.connections) for running in (bare, door_)]
            for _ in range(asked.runs)
        ]
    hellos, doors = zip(*pairs, strict=True)
    middle = statistics.median(doors)
    said = {
        "evaluations_per_cpu_second": round(middle),
        "microseconds_each": round(1e6 / middle, 1),
        "runs": [round(r) for r in doors],
        "bare_asgi_per_cpu_second": round(statistics.median(hellos)),
        "share_of_bare_asgi": round(statistics.median(d / h for h, d in pairs), 3),
        "asked_for": kind,
        "target": TARGETS[kind],
        "met": middle >= TARGETS[kind],
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(said, indent=2))


if __name__ == "__main__":
    main()
