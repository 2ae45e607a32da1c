"""R24: a backup of a platform that serves, restored on a fresh database, is the same platform; its log verifies."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from audit.domain.evidence import Verifier
from tests.newcomer import registered, registration
from tests.waiting import until

pytestmark = pytest.mark.journey
WITHIN = 300  # seconds: the table's figure


def yard(data, *words, **env):
    outer = {k: v for k, v in os.environ.items() if not k.endswith(("DATABASE_URL", "REDIS_URL"))}
    return subprocess.run(
        [sys.executable, "-m", "yard", *words],
        env=outer | {"SWITCHYARD_DATA": str(data)} | env,
        capture_output=True,
        text=True,
        check=False,
    )


def told(done):
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@contextmanager
def up(data):
    """Run the platform of a data folder, and say where."""
    port = free_port()
    told(yard(data, "up", GATEWAY_PORT=str(port)))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        told(yard(data, "down"))


async def written(web):
    """Register an organization and change a few things; return what must be there afterwards."""
    body = registration()
    await registered(web, body)
    for n in range(5):
        flag = {"key": f"f{n}", "name": f"Flagge {n} ✓"}
        (await web.post("/api/v1/feature-flags", json=flag)).raise_for_status()
    return body


async def read(web):
    """Return the flags and the log of whoever asks."""
    flags = (await web.get("/api/v1/feature-flags?limit=100")).raise_for_status().json()["items"]
    log = (await web.get("/api/v1/audit-logs?limit=100")).raise_for_status().json()
    return flags, log["total"], log["items"]


async def settled(web, entries):
    """Wait until the log holds as many entries, and return what is there."""

    async def there():
        found = await read(web)
        return found if found[1] >= entries else None

    return await until(there, 20)


async def verified(web):
    """Check the log without the server; return how many entries it has and its root."""
    login = {"username": "root", "password": os.environ["SWITCHYARD_ADMIN_PASSWORD"]}
    root = (await web.post("/api/v1/auth/login", json=login)).raise_for_status().json()
    tenant = (
        (await web.get("/api/v1/audit-logs?limit=1"))
        .raise_for_status()
        .json()["items"][0]["tenant"]
    )
    where = {
        "params": {"tenant_id": tenant},
        "headers": {"authorization": f"Bearer {root['access_token']}"},
    }
    vkey = (await web.get("/api/v1/audit/vkey", **where)).raise_for_status().text
    export = (await web.get("/api/v1/audit-logs/export", **where)).raise_for_status()
    found = Verifier(vkey).verify(export.content.splitlines(keepends=True))
    return vkey, found.entries


async def test_a_backup_restored_on_a_fresh_database_is_the_same_platform(
    platform, tmp_path, finding
):
    file, data = tmp_path / "saved.tar", tmp_path / "elsewhere"
    async with httpx.AsyncClient(base_url=platform.url, timeout=15) as web:
        login = await written(web)
        before = await settled(web, 6)
        vkey, entries = await verified(web)
    told(yard(platform.data, "backup", str(file)))
    assert file.stat().st_mode & 0o077 == 0
    began = time.monotonic()
    told(yard(data, "restore", str(file)))
    with up(data) as url:
        async with httpx.AsyncClient(base_url=url, timeout=15) as web:
            body = {"username": login["admin_email"], "password": login["admin_password"]}
            again = (await web.post("/api/v1/auth/login", json=body)).raise_for_status().json()
            web.headers["authorization"] = f"Bearer {again['access_token']}"
            took = time.monotonic() - began
            after = await read(web)
            assert after[0] == before[0]
            assert after[2][-len(before[2]) :] == before[2]
            key, found = await verified(web)
            assert (key, found >= entries) == (vkey, True)
            more = {"key": "afterwards", "name": "Written after the restore"}
            (await web.post("/api/v1/feature-flags", json=more)).raise_for_status()
            await settled(web, after[1] + 1)
    assert took < WITHIN
    finding(
        "R24",
        "backup while it serves, restore elsewhere, start, log in",
        f"{took:.1f} s; {found} entries verify",
    )
    refused = yard(data, "restore", str(file))
    assert refused.returncode == 1
    assert "holds a platform" in refused.stderr


def test_a_damaged_backup_is_refused_and_leaves_nothing(platform, tmp_path):
    file, data = tmp_path / "saved.tar", tmp_path / "elsewhere"
    told(yard(platform.data, "backup", str(file)))
    content = bytearray(file.read_bytes())
    content[content.index(b"PGDMP") + 100] ^= 1
    Path(file).write_bytes(content)
    refused = yard(data, "restore", str(file))
    assert refused.returncode == 1
    assert "database.dump is not what was saved" in refused.stderr
    assert not (data / "postgres").exists()
    assert not (data / "secrets.json").exists()
    twice = yard(platform.data, "backup", str(file))
    assert "overwrites nothing" in twice.stderr
