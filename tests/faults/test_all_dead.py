"""Flags are evaluated while PostgreSQL, Redis and iam are all dead: by a running replica, and by one that starts then.

A second replica of flags reaches the three through wires that the test cuts. Cut, it answers everything that it
answered before; killed and started again, it still does, and says how old its state is; joined again, it catches up.
"""

import asyncio
import signal
import sys
import time
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from tests.faults.asking import PATIENT, SOON
from tests.faults.replicas import environment, free_ports
from tests.faults.wire import Wire
from tests.newcomer import Patient, registered
from tests.waiting import until

OFREP = "/ofrep/v1/evaluate/flags"
ASKED = 200


class Replica:
    """A replica of flags that lies behind wires."""

    def __init__(self, like, folder):
        self.env = dict(like)
        self.wires = [
            Wire.spliced(self.env, "FLAGS_DATABASE_URL"),
            Wire.spliced(self.env, "SWITCHYARD_REDIS_URL"),
            Wire.spliced(self.env, "SWITCHYARD_IAM_ADDRESS"),
        ]
        self.env |= {
            "FLAGS_HTTP_PORT": str(free_ports(1)[0]),
            "FLAGS_GRPC_PORT": str(free_ports(1)[0]),
            "FLAGS_SNAPSHOT_DIR": str(folder),
        }
        self.url = f"http://127.0.0.1:{self.env['FLAGS_HTTP_PORT']}"
        self.process = None

    async def start(self):
        command = (sys.executable, "-m", "flags", "serve", "--no-jobs")
        nothing = asyncio.subprocess.DEVNULL
        self.process = await asyncio.create_subprocess_exec(
            *command, env=self.env, stdout=nothing, stderr=nothing
        )
        await until(self.ready, SOON, "the replica is ready")

    async def ready(self):
        async with httpx.AsyncClient(base_url=self.url, timeout=2) as web:
            return (await web.get("/readyz")).status_code == 200

    def written(self):
        """Return what it has written, by file."""
        folder = Path(self.env["FLAGS_SNAPSHOT_DIR"])
        return {path.name: path.read_text() for path in folder.iterdir() if path.suffix != ".part"}

    async def kill(self):
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


async def prepared(web):
    """Return a fresh organization's token and server-side key; it has twenty flags."""
    await registered(web)
    country = {"op": "in", "attribute": "country", "values": ["CH"]}
    rules = [{"when": country, "variant": "off"}]
    for n in range(20):
        flag = {"key": f"f{n}", "name": f"F{n}", "rules": rules}
        (await web.post("/api/v1/feature-flags", json=flag)).raise_for_status()
        (await web.post(f"/api/v1/feature-flags/f{n}/enable", json={})).raise_for_status()
    key = await web.post("/api/v1/api-keys", json={"name": "k"})
    return key.raise_for_status().json()["key"]


async def knows_all(sdk):
    """Wait until the replica has heard of the key and of every flag as it is now."""

    async def known():
        context = {"targetingKey": "u", "country": "CH"}
        got = await sdk.post(OFREP, json={"context": context})
        flags = got.json().get("flags", [])
        return [flag["reason"] for flag in flags] == ["TARGETING_MATCH"] * 20

    await until(known, SOON, "the replica knows the flags")


async def asked(sdk):
    """Ask for all flags and for one again and again; return what they serve, and the slowest hundredth in ms."""
    served, took = set(), []
    for n in range(ASKED):
        path = OFREP if n % 2 else f"{OFREP}/f1"
        context = {"targetingKey": "u", "country": "CH" if n % 4 < 2 else "DE"}
        start = time.perf_counter()
        got = await sdk.post(path, json={"context": context})
        took.append(time.perf_counter() - start)
        assert got.status_code == 200, got.text
        flags = got.json().get("flags", [got.json()])
        served.add((n % 4, tuple((f["value"], f["reason"]) for f in flags)))
    return served, sorted(took)[int(ASKED * 0.99)] * 1000


@pytest.fixture
async def replica(platform, tmp_path):
    await until(platform.healthy, SOON, "healthy at the start")
    made = Replica(environment(platform.pid("flags")), tmp_path / "snapshots")
    for wire in made.wires:
        await wire.join()
    try:
        await made.start()
        yield made
    finally:
        await made.kill()
        for wire in made.wires:
            await wire.cut()


@pytest.mark.journey
async def test_evaluation_outlives_everything_even_a_restart(platform, replica, finding):
    patient = Patient()
    async with httpx.AsyncClient(base_url=platform.url, timeout=PATIENT, transport=patient) as web:
        key = await prepared(web)
        headers = {"x-api-key": key}
        async with httpx.AsyncClient(base_url=replica.url, headers=headers, timeout=PATIENT) as sdk:
            await knows_all(sdk)
            alive, quick = await asked(sdk)
            assert len(alive) == 4
            await on_disk(replica, key)
            for wire in replica.wires:
                await wire.cut()
            dead, still = await asked(sdk)
            await replica.kill()
            await replica.start()
            again, cold = await asked(sdk)
            assert alive == dead == again
            await refuses_what_it_cannot_know(replica, web)
            await says_how_old_it_is(sdk)
            for wire in replica.wires:
                await wire.join()
            await web.post("/api/v1/feature-flags/f1/disable", json={})
            await catches_up(sdk)
    finding(
        "R3",
        "PostgreSQL, Valkey and iam cut from a replica of flags, which is killed and started again meanwhile",
        f"0 of {2 * ASKED} evaluations failed or differed; p99 {quick:.0f} ms, cut {still:.0f} ms, restarted"
        f" {cold:.0f} ms; it caught up when joined again",
    )


async def on_disk(replica, key):
    """What is in force is written, API keys by their digests only."""

    since = time.time()

    async def kept():
        files = replica.written()
        confirmed = float(files.get("confirmed", 0)) > since
        return confirmed and sha256(key.encode()).hexdigest() in files.get("api.keys", "")

    await until(kept, SOON, "the state is on disk")
    assert key not in "".join(replica.written().values())


async def says_how_old_it_is(sdk):
    async def old():
        return int((await sdk.post(f"{OFREP}/f1", json={})).headers.get("age", 0)) >= 15

    await until(old, SOON, "answers say how old they are")


async def catches_up(sdk):
    async def caught_up():
        got = await sdk.post(f"{OFREP}/f1", json={})
        return got.json()["reason"] == "DISABLED" and "age" not in got.headers

    await until(caught_up, SOON, "the replica has caught up")


async def refuses_what_it_cannot_know(replica, web):
    """A person or an unknown key is not refused as wrong, but as undecidable; nothing breaks."""
    async with httpx.AsyncClient(base_url=replica.url, timeout=PATIENT) as nobody:
        token = {"authorization": web.headers["authorization"]}
        got = await nobody.get("/api/v1/feature-flags", headers=token)
        assert (got.status_code, got.json()["code"]) == (503, "authority_unavailable")
        unknown = {"x-api-key": "sy_srv_aaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbb"}
        for path in (OFREP, "/api/v1/feature-flags/evaluate/bulk"):
            got = await nobody.post(path, json={}, headers=unknown)
            assert got.status_code in (401, 503), got.text
