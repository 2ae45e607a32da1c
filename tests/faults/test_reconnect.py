"""Everything restarts at once, and more than a thousand streams come back (R16).

Each stream is a client as browsers have them: it comes back after the time that it was told, its own, and says what it
knows. More are open than the gate lets requests through to a service at a time: a stream takes no request's place.
"""

import asyncio
import contextlib
import re
import resource
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from tests.faults.replicas import ROOT, environment, memory
from tests.faults.test_kill import VICTIMS
from tests.faults.test_poison import gauge
from tests.newcomer import registered
from tests.waiting import until

pytestmark = pytest.mark.journey

STREAMS = 1_100
ORGS = 4
EVALUATE = "/ofrep/v1/evaluate/flags"
BODY = {"context": {"targetingKey": "u"}}
BACK = 300  # seconds: on a busy machine everything starts slowly
HEAD = b"GET %b HTTP/1.1\r\nhost: gate\r\naccept: text/event-stream\r\nlast-event-id: %b\r\n\r\n"


class Stream:
    """A client that listens, for as long as its task runs; `told` counts what every stream was answered."""

    def __init__(self, place, path, told):
        self._place, self._path, self._told = place, path.encode(), told
        self.known, self.retry, self.open = b"", 0, False

    async def listen(self):
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(*self._place)
                try:
                    await self._connected(reader, writer)
                except asyncio.IncompleteReadError:
                    self._told["cut"] += 1
                finally:
                    self.open = False
                    writer.close()
            await asyncio.sleep((self.retry or 1000) / 1000)

    async def _connected(self, reader, writer):
        writer.write(HEAD % (self._path, self.known))
        status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
        self._told[status] += 1
        while status == 200:
            line = await reader.readuntil(b"\n")
            if said := re.match(rb"(retry|id): (\d+)", line):
                self._hear(said[1], said[2])

    def _hear(self, name, value):
        if name == b"retry":
            self.retry, self.open = int(value), True
        else:
            self.known = value


class Crowd:
    """All streams; `told` is what they were answered."""

    def __init__(self, url, paths):
        where = urlsplit(url)
        self.told = Counter()
        self.streams = [
            Stream((where.hostname, where.port), paths[n % len(paths)], self.told)
            for n in range(STREAMS)
        ]

    @contextlib.asynccontextmanager
    async def listening(self):
        tasks = [asyncio.create_task(stream.listen()) for stream in self.streams]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(e, asyncio.CancelledError) for e in ended), ended[:3]

    def all_open(self):
        assert set(self.told) <= {200, 429, 503, "cut"}, self.told
        return all(stream.open for stream in self.streams)


@pytest.fixture
def files():
    """As many open files as this process may have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] < 2 * STREAMS:
        pytest.skip(f"{STREAMS} streams need more open files than a process may have: {before[1]}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def an_organization(web):
    """Register one that has a flag which is on; return its key, and the path of its stream."""
    await registered(web)
    flag = await until(lambda: made(web, "/api/v1/feature-flags", {"key": "f", "name": "F"}), 120)
    await until(lambda: made(web, f"/api/v1/feature-flags/{flag['id']}/enable", {}), 120)
    key = (await until(lambda: made(web, "/api/v1/api-keys", {"name": "k"}), 120))["key"]

    async def known():
        async with httpx.AsyncClient(base_url=web.base_url, timeout=20) as sdk:
            said = await sdk.post(EVALUATE, json=BODY, headers={"x-api-key": key})
        return said.json()["eventStreams"][0]["url"] if said.status_code == 200 else None

    where = urlsplit(await until(known, 120, "the key is known"))
    return key, f"{where.path}?{where.query}"


async def made(web, path, body):
    said = await web.post(path, json=body)
    return said.json() if said.status_code in (200, 201) else None


def forget_snapshots(platform):
    """Leave flags no ruleset to begin with."""
    folder = Path(environment(platform.pid("flags"))["FLAGS_SNAPSHOT_DIR"])
    for place in folder.glob("*.place*"):
        place.unlink(missing_ok=True)


def allowed(service):
    """Return the memory in MiB that a process of a service is given in Kubernetes."""
    text = (ROOT / f"deploy/k8s/base/{service}.yaml").read_text()
    found = [
        container["resources"]["limits"]["memory"]
        for document in yaml.safe_load_all(text)
        if document["kind"] == "Deployment" and document["metadata"]["name"] == service
        for container in document["spec"]["template"]["spec"]["containers"]
    ]
    return int(found[0].removesuffix("Mi"))


async def test_all_restart_at_once_and_a_thousand_streams_come_back(platform, files, finding):
    await until(platform.healthy, BACK)
    async with httpx.AsyncClient(base_url=platform.url, timeout=20) as web:
        orgs = []
        for _ in range(ORGS):
            web.headers.pop("authorization", None)
            orgs.append(await an_organization(web))
        crowd = Crowd(platform.url, [path for _, path in orgs])
        async with crowd.listening():
            await until(crowd.all_open, BACK, "all streams are open")
            await evaluated(platform, orgs)
            spread = [stream.retry for stream in crowd.streams]
            forget_snapshots(platform)
            before, begun = crowd.told.copy(), time.monotonic()
            killed = {name: platform.kill(name) for name in VICTIMS}
            await until(lambda: crowd.told["cut"] >= before["cut"] + STREAMS, BACK, "all broke")
            await until(lambda: all(platform.is_back(*one) for one in killed.items()), BACK)
            await until(crowd.all_open, BACK, "all streams are open again")
            took = time.monotonic() - begun
            pid = platform.pid("flags")
            await evaluated(platform, orgs)
            await until(platform.healthy, BACK, "all is well again")
            used = {name: memory(platform.pid(name), "VmHWM") for name in ("flags", "gateway")}
            read = await gauge(platform, "flags", "flags_readings_total")
            assert platform.pid("flags") == pid
    told(finding, crowd.told - before, spread, used, read, took)


def told(finding, answers, spread, used, read, took):
    """Check what must hold on any machine, and tell the figures."""
    most = max(Counter(retry // 100 for retry in spread).values())
    assert most < STREAMS / 10, "all come back at the same moment"
    assert 1 <= read <= 2 * ORGS, "each place is read once, however many wait for it"
    for name, peak in used.items():
        assert peak < allowed(name), (name, peak)
    refused = answers[429] + answers[503]
    finding(
        "R16",
        f"kill -9 to every process of the platform at once, flags without snapshots, {STREAMS:,} streams of {ORGS}"
        " organizations open, which come back when they were told to",
        f"all are back after {took:.1f} s ({refused} times one was told to wait, none was refused otherwise); {ORGS}"
        f" rulesets, {read:.0f} readings; told to come back after {min(spread)} to {max(spread)} ms, at most {most} in"
        f" the same tenth of a second; flags had {used['flags']:.0f} MiB at most ({allowed('flags')} allowed), Envoy"
        f" {used['gateway']:.0f} ({allowed('gateway')}); evaluation went on beside them",
    )


async def evaluated(platform, orgs):
    """Every key is served, beside the streams."""
    for key, _ in orgs:
        async with httpx.AsyncClient(base_url=platform.url, timeout=20) as sdk:

            async def served(sdk=sdk, key=key):
                said = await sdk.post(f"{EVALUATE}/f", json=BODY, headers={"x-api-key": key})
                return said.status_code == 200 and said.json()["value"] is True

            await until(served, BACK, "evaluation goes on")
