"""What a stream sends is well signed by another's measure: that of the package of the Standard Webhooks project."""

import asyncio
import json
import os
import subprocess
import sys
import venv
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from audit.clients.seal import AesVault
from audit.clients.webhook import Webhooks
from audit.domain.stream import secret_text
from audit.store.work import sql_work
from audit.usecases.notes import Notes
from audit.usecases.recorder import Recorder
from audit.usecases.sender import Sender
from audit.usecases.streamer import Streamer
from chassis.db import database
from egress.guard import Rules

pytestmark = pytest.mark.store
VAULT = AesVault("a secret of tests: at least 32 characters")
FOREIGN = Path(__file__).parents[1] / "foreign"


@pytest.fixture(scope="session")
def audit_url(service_url):
    return service_url("audit")


@pytest.fixture(scope="module")
def foreign_python(tmp_path_factory):
    """An environment of its own; skipped where no package registry can be reached."""
    home = tmp_path_factory.mktemp("foreign")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    asked = [*pip, "--require-hashes", "-r", str(FOREIGN / "requirements.txt")]
    made = subprocess.run(asked, capture_output=True, text=True, timeout=120)
    if made.returncode:
        pytest.skip(f"standardwebhooks cannot be installed: {made.stderr.strip()[-200:]}")
    return python


@pytest.fixture
async def foreign(foreign_python):
    """The receiver as a process: what it is told, what it tells."""
    process = await asyncio.create_subprocess_exec(
        *(foreign_python, FOREIGN / "receiver.py"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**22,
    )
    yield process
    process.kill()
    await process.wait()


async def told(process):
    return json.loads(await asyncio.wait_for(process.stdout.readline(), 20))


@pytest.fixture
async def both(audit_url):
    def now():
        return datetime.now(UTC)

    async with database(audit_url, "audit") as sessions:
        work = sql_work(sessions, VAULT)
        rules = Rules.of("127.0.0.0/8", plain_http=True)
        notes = Notes(Recorder(work, now, os.urandom, VAULT), now, uuid7)
        webhooks = Webhooks(rules)
        yield (
            Streamer(work, notes, webhooks, os.urandom),
            Sender(work, notes, webhooks, "https://a.test"),
        )


async def test_a_foreign_verifier_takes_what_we_sign_and_nothing_else(
    foreign, both, ana, draft, flags_service, tenant
):
    streamer, sender = both
    admin = replace(ana, permissions=frozenset({"audit:admin"}))
    url = f"http://127.0.0.1:{await told(foreign)}/hook"
    stream = await streamer.create(admin, url, None)
    foreign.stdin.write(f"{secret_text(stream.secret)}\n".encode())
    await streamer.notes.recorder.append(flags_service, [draft(reason="naïve 🙂"), draft()])
    assert (await sender.send(stream)).cursor == 3
    took = (await told(foreign))["took"]
    assert [one["sequence"] for one in took] == ["1", "2", "3"]
    assert took[1]["data"]["message"] == "naïve 🙂"

    await streamer.notes.recorder.append(flags_service, [draft()])
    forger = replace(await streamer.stream(admin, stream.id), secret=bytes(32))
    assert await sender.send(forger) is None
    assert "refused" in await told(foreign)
    again = await streamer.stream(admin, stream.id)
    assert (again.cursor, again.failures, again.why) == (3, 1, "the receiver answered 401")
    assert (await sender.send(again)).cursor == 4
    assert [one["sequence"] for one in (await told(foreign))["took"]] == ["4"]
