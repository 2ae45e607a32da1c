"""What hostile clients send again and again takes no more memory the last time than the second (R22).

A gate of its own bears all of it at once: headers that dribble in, headers of 64 kB, bodies without an end, streams
that are reset as soon as they are opened, clients that hang up. That each is refused in the right words is tested at
the gate (`gateway/tests/test_wire.py`); here it is counted what is left of them.
"""

import asyncio
import contextlib
import re
from collections import Counter
from urllib.parse import urlsplit

import httpx
import pytest

from tests.faults.replicas import Gate, memory, running
from tests.faults.test_reconnect import allowed
from tests.faults.test_replicas import organized
from tests.waiting import until

pytestmark = pytest.mark.journey

ROUNDS = 5
WARM = 2  # rounds, after which buffers and pools have their size
GROWTH = 32  # MiB: a single body, kept, would be 1,024
HUGE = 1 << 30  # bytes
KERNEL = 64 << 20  # bytes that may lie between two processes, unread
PIECE = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
CLIENTS = {"dribbled": 40, "fat": 30, "endless": 8, "reset": 8, "dropped": 60}
RESETS = 400  # streams of a connection


class Hostile:
    """Clients of a gate; each returns the status that it was answered, or that it was cut off."""

    def __init__(self, url):
        where = urlsplit(url)
        self._place, self.sent = (where.hostname, where.port), 0

    @contextlib.asynccontextmanager
    async def _connected(self):
        reader, writer = await asyncio.open_connection(*self._place)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def dribbled(self):
        """Send a header byte by byte."""
        async with self._connected() as (reader, writer):
            answer = asyncio.create_task(said(reader))
            writer.write(b"GET /health HTTP/1.1\r\nhost: gate\r\nx-slow: ")
            while not answer.done():
                await push(writer, b"x")
                await asyncio.wait({answer}, timeout=0.2)
            return await answer

    async def fat(self):
        """Send headers of 64 kB."""
        async with self._connected() as (reader, writer):
            head = b"".join(b"x-%d: %b\r\n" % (n, b"y" * 4_000) for n in range(16))
            await push(writer, b"GET /health HTTP/1.1\r\nhost: gate\r\n" + head + b"\r\n")
            return await said(reader)

    async def endless(self):
        """Send a body of a gibibyte, as far as it is taken."""
        async with self._connected() as (reader, writer):
            answer, sent = asyncio.create_task(said(reader)), 0
            head = b"POST /api/v1/auth/login HTTP/1.1\r\nhost: gate\r\ncontent-type: application/json\r\n"
            await push(writer, head + b"transfer-encoding: chunked\r\n\r\n")
            while sent < HUGE and not answer.done() and await push(writer, PIECE):
                sent += len(PIECE)
            self.sent = max(self.sent, sent)
            return await answer

    async def reset(self):
        """Open streams of HTTP/2 and reset each at once, until that is enough."""
        async with self._connected() as (reader, writer):
            await push(writer, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
            ask = b"\x82\x86\x84\x41\x04gate"  # GET http / of gate, by HPACK's table
            for stream in range(1, 2 * RESETS, 2):
                opened = frame(1, 5, stream, ask) + frame(3, 0, stream, b"\0\0\0\x08")
                if not await push(writer, opened):
                    break
            with contextlib.suppress(OSError):
                await reader.read(1 << 16)
            return "reset"

    async def dropped(self):
        """Ask, and hang up before the answer."""
        async with self._connected() as (_, writer):
            await push(writer, b"GET /api/v1/users/me HTTP/1.1\r\nhost: gate\r\n\r\n")
            return "dropped"

    async def round(self):
        """Do all of it at once, as often as CLIENTS says; return what was answered to whom."""
        kinds = [kind for kind, count in CLIENTS.items() for _ in range(count)]
        told = await asyncio.gather(*(getattr(self, kind)() for kind in kinds))
        return Counter(zip(kinds, told, strict=True))


def frame(kind, flags, stream, payload):
    """Return a frame of HTTP/2 (RFC 9113, section 4.1)."""
    head = len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4)
    return head + payload


async def push(writer, data):
    """Write; return whether there still is somebody who takes it."""
    try:
        writer.write(data)
        await writer.drain()
    except OSError:
        return False
    return not writer.transport.is_closing()


async def said(reader):
    """Return the status of an answer, or that there was none before the end."""
    with contextlib.suppress(OSError):
        if found := re.match(rb"HTTP/1.1 (\d{3}) ", await reader.read(1 << 16)):
            return int(found[1])
    return "cut"


REFUSED = {
    ("dribbled", 408),
    ("fat", 431),
    ("endless", 413),
    ("reset", "reset"),
    ("dropped", "dropped"),
    ("endless", 503),  # on a machine so busy that iam misses its health checks
    # Who still sends when it is refused may lose the answer to the reset that follows it.
    *((kind, "cut") for kind in ("dribbled", "fat", "endless")),
}


async def count(gate, name):
    """Return what Envoy has counted at the door to the outside."""
    async with httpx.AsyncClient(timeout=5) as web:
        name = f"http.public.{name}"
        text = (await web.get(f"{gate.admin}/stats?filter=^{name}$")).raise_for_status().text
    return int(text.removeprefix(f"{name}: "))


async def gone(gate):
    """Whether nobody from outside is connected to the gate."""
    return await count(gate, "downstream_cx_active") == 0


async def evaluated(gate, org):
    async with httpx.AsyncClient(base_url=gate.url, timeout=20) as sdk:
        body, key = {"context": {"targetingKey": "u"}}, {"x-api-key": org.key}
        said = await sdk.post("/ofrep/v1/evaluate/flags/f", json=body, headers=key)
    return said.status_code == 200 and said.json()["value"] is True


async def test_what_hostile_clients_send_leaves_nothing_behind(platform, tmp_path, finding):
    await until(platform.healthy, 120)
    gate = Gate(platform, tmp_path, [], request_headers_time=2)
    async with running(gate), organized(platform.url) as org:
        await gate.start()
        hostile, told, rest = Hostile(gate.url), Counter(), []
        for _ in range(ROUNDS):
            told += await hostile.round()
            await until(lambda: gone(gate), 120, "all are gone")
            await until(lambda: evaluated(gate, org), 120, "evaluation goes on")
            rest.append(memory(gate.process.pid, "VmRSS"))
        peak = memory(gate.process.pid, "VmHWM")
        resets = await count(gate, "downstream_rq_rx_reset")
    assert set(told) <= REFUSED, told
    assert resets > RESETS
    assert hostile.sent < KERNEL
    assert rest[-1] - rest[WARM - 1] < GROWTH, rest
    assert peak - rest[0] < allowed("gateway") / 2
    crowd = ", ".join(f"{n} {kind}" for kind, n in CLIENTS.items())
    finding(
        "R22",
        f"{ROUNDS} rounds of {crowd} at once: headers that dribble in, 64 kB of headers, bodies of 1 GiB in pieces,"
        f" {RESETS} streams opened and reset, hung up before the answer",
        f"all refused (408, 431, 413; the words: `gateway/tests/test_wire.py`) or cut off, {resets:,} resets; of a body"
        f" no more than {hostile.sent / 2**20:.0f} MiB left the client; the gate had {rest[WARM - 1]:.0f} MiB after"
        f" round {WARM}, {rest[-1]:.0f} after the last, {peak:.0f} at most; evaluation went on in between",
    )
