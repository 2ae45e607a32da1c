"""A small HTTP/1.1 load generator and the processor time of who serves it: what the benchmarks share."""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

PASSWORD = "correct horse battery staple"  # of organizations that live as long as a benchmark
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and its threads, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def pss_mb(pid: int) -> float:
    """Return the proportional memory of a process in MB (10^6 bytes): shared pages counted once over all."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 977


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(p for child in children for p in family(int(child)))]


@dataclass
class Run:
    """What one run of load measured."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    bad: int = 0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def ms(self, share: float) -> float:
        """Return a quantile of the latency in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


def registration(prefix: str = "bench") -> dict[str, str]:
    """Return the body that registers an organization that is new."""
    slug = f"{prefix}{uuid4().hex[:8]}"
    named = {"name": slug, "subdomain": slug, "admin_email": f"a@{slug}.example"}
    return named | {"admin_password": PASSWORD}


def request(url: str, path: str, body: bytes, **headers: str) -> bytes:
    """Return a POST as it goes over the wire."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def fire(
    url: str, wire: bytes, total: int, connections: int, rate: float | None = None
) -> Run:
    """Send one request `total` times over some keep-alive connections, each waiting for its answer.

    With a `rate` (requests a second over all) each request has its time, and latency counts from then: what waits in
    line because an earlier one was slow is slow as well (no coordinated omission).
    """
    address = urlsplit(url)
    start = time.perf_counter()
    run = Run(0.0)
    left = total

    async def one() -> None:
        nonlocal left
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while left > 0:
            left -= 1
            begun = time.perf_counter()
            if rate:
                begun = start + (total - left) / rate
                await asyncio.sleep(max(0.0, begun - time.perf_counter()))
            writer.write(wire)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            if length:
                await reader.readexactly(int(length))
            run.latencies.append(time.perf_counter() - begun)
            run.bad += head[9:12] != b"200"
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    run.seconds = time.perf_counter() - begun
    return run


async def per_cpu_second(
    pids: list[int], work: Callable[[], Awaitable[Run]], runs: int = 5
) -> tuple[float, Run]:
    """Return the median of requests per processor second of some processes, and the last run."""
    found, run = [], await work()
    for _ in range(runs):
        before = sum(cpu_seconds(p) for p in pids)
        run = await work()
        found.append(len(run.latencies) / (sum(cpu_seconds(p) for p in pids) - before))
    return statistics.median(found), run
