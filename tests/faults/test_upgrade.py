"""A schema moves on while people work: before the code that needs it, and under a table with many rows (R18).

flags runs on a database of its own. Where the history is at hand it begins as it was before its last migration, on
today's frame: yesterday's code on yesterday's schema, then on today's, then beside today's code. Then come migrations
that are made up here and do to many rows what is long: new columns, a condition, an index, values for the old rows.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from alembic.script import ScriptDirectory

from tests.faults.lengths import length
from tests.faults.replicas import DRAINED, ROOT, Gate, Replica, environment, running
from tests.faults.table import slower
from tests.faults.test_replicas import Load, knows, organized, written
from tests.waiting import until

pytestmark = pytest.mark.journey

ROWS = length(50_000, 1_000_000)
MIGRATIONS = "services/flags/flags/migrations/versions"
COLUMNS = """
import sqlalchemy as sa
from alembic import op

revision = "made up 1"
down_revision = "{0}"

def upgrade():
    op.add_column("idempotency", sa.Column("a", sa.Integer), schema="flags")
    op.add_column("idempotency", sa.Column("b", sa.String, nullable=False, server_default=""), schema="flags")
"""
ONLINE = """
from schemas import online

revision = "made up 2"
down_revision = "made up 1"

def upgrade():
    online.fill("idempotency", "a = 1", "a IS NULL AND request = ''", schema="flags")
    online.check("idempotency_b", "idempotency", "b IS NOT NULL", schema="flags")
    online.index("idempotency_a", "idempotency", ["a", "id"], schema="flags")
"""


def git(*words):
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout


def before_the_last_migration(folder):
    """Lay out flags as it was before its last migration; return the folder, or None where there is no history."""
    try:
        added = git("log", "--diff-filter=A", "--format=%H", "-1", "--", f"{MIGRATIONS}/*.py")
        commit = git("rev-parse", "--verify", f"{added.decode().strip()}^").decode().strip()
        tree = git("archive", commit, "services/flags")
    except (OSError, subprocess.CalledProcessError):
        return None
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", folder], input=tree, check=True)
    return folder


def after_the_next_migrations(folder):
    """Lay out a release that is today's and two migrations more."""
    shutil.copytree(ROOT / "services/flags/flags", folder / "services/flags/flags")
    scripts = ScriptDirectory(str((folder / MIGRATIONS).parent))
    (folder / MIGRATIONS / "9998_made_up.py").write_text(COLUMNS.format(scripts.get_current_head()))
    (folder / MIGRATIONS / "9999_made_up.py").write_text(ONLINE)
    return folder


def sources(folder):
    """Return the environment in which Python takes our packages from a folder, and from here what it has not."""
    places = [
        p
        for root in (folder, ROOT)
        for p in (*root.glob("libs/*"), root / "protos", root / "services/flags")
    ]
    return {"PYTHONPATH": os.pathsep.join(map(str, places))}


class Database:
    """A database of its own for flags, whose role is the platform's."""

    def __init__(self, platform):
        name = f"upgrade_{uuid4().hex[:8]}"
        self._server, self.name = os.environ["DATABASE_URL"], name
        like = environment(platform.pid("flags"))["FLAGS_DATABASE_URL"]
        self.url, self.admin = (
            urlsplit(u)._replace(path=name).geturl() for u in (like, self._server)
        )

    @contextlib.asynccontextmanager
    async def made(self):
        """Make it; drop it at the end."""
        await self._do(self._server, f"CREATE DATABASE {self.name}")
        try:
            yield self
        finally:
            await self._do(self._server, f"DROP DATABASE {self.name} WITH (FORCE)")

    async def fill(self):
        """Put many old requests into a table that every write of the load writes to as well."""
        await self._do(
            self.admin,
            f"INSERT INTO flags.idempotency SELECT sha256(n::text::bytea), '', '' FROM generate_series(1, {ROWS}) n",
        )

    async def _do(self, url, statement):
        there = await asyncpg.connect(url)
        try:
            await there.execute(statement)
        finally:
            await there.close()

    async def migrate(self, platform, folder):
        """Migrate as the Job does; return the revision, and how long the service waited for a lock, in seconds."""
        env = environment(platform.pid("flags")) | sources(folder)
        env |= {"FLAGS_DATABASE_URL": self.url, "FLAGS_ADMIN_DATABASE_URL": self.admin}
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
        command = (sys.executable, "-m", "schemas", "flags")
        process = await asyncio.create_subprocess_exec(*command, env=env, cwd=folder, **pipes)
        ended = asyncio.create_task(process.communicate())
        longest = await self._watched(ended)
        said = (await ended)[0].decode()
        assert process.returncode == 0, said
        return said.strip().rpartition(" revision ")[2], longest

    async def _watched(self, ended):
        waiting = """
            SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)
            FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.application_name = 'flags'
        """
        there, longest = await asyncpg.connect(self.admin), 0.0
        try:
            while not ended.done():
                longest = max(longest, float(await there.fetchval(waiting)))
                await asyncio.wait({ended}, timeout=0.02)
        finally:
            await there.close()
        return longest


async def runs(old, before):
    """Start yesterday's code; say whether today's frame still carries it."""
    try:
        await old.start(before)
    except AssertionError as why:
        print(f"yesterday's flags does not run any more: {why}")
        await old.end(signal.SIGKILL)
        return False
    return True


async def test_a_schema_moves_on_while_yesterdays_and_todays_code_serve(
    platform, tmp_path, finding
):
    await until(platform.healthy, 60)
    before = before_the_last_migration(tmp_path / "before")
    after = after_the_next_migrations(tmp_path / "after")
    async with Database(platform).made() as database:
        first, _ = await database.migrate(platform, before or ROOT)
        await database.fill()
        options = DRAINED | {"FLAGS_DATABASE_URL": database.url}
        old = Replica(platform, "flags", tmp_path, jobs=True, **options, **sources(before or ROOT))
        new = Replica(platform, "flags", tmp_path, jobs=True, **options, **sources(ROOT))
        gate = Gate(platform, tmp_path, [old, new], only=True)
        async with running(old, new, gate):
            if not (before and await runs(old, before)):
                before, old.env = None, old.env | sources(ROOT)
                first, _ = await database.migrate(platform, ROOT)
                await old.start()
            await gate.start()
            async with organized(gate.url) as org:
                load = Load(gate, org)
                async with load.running(writing=True):
                    today, waited = await database.migrate(platform, ROOT)
                    await load.some_more(100)
                    await new.start()
                    await knows(gate, org, ["flags"])
                    await load.some_more(100)
                    await old.end()
                    tomorrow, more = await database.migrate(platform, after)
                assert (old.process.returncode, tomorrow) == (0, "made up 2")
                await written(org, load)
    assert (first != today) is bool(before)
    tell(finding, load, max(waited, more), f"from {first} to {today} " if before else "")


def tell(finding, load, waited, passed):
    failed = load.unavailable() + load.again
    old = "yesterday's code serves, then both, then today's; then " if passed else ""
    finding(
        "R18",
        f"flags' schema {passed}under load: {old}columns, a condition, an index and values for {ROWS:,} old rows in a"
        " table that every write writes to",
        f"{failed} of {load.asked() + len(load.changes)} requests were 5xx; {len(load.changes)} keyed writes, each"
        f" logged once; nobody waited longer than {waited:.2f} s for a lock",
        partly=(f"{failed} failed, wanted 0; " if failed else "")
        + slower(waited, 2, "a lock")
        + ("" if passed else "there is no yesterday's code here that runs; ")
        + ("" if ROWS >= 10**6 else f"{ROWS:,} rows, not 1 M"),
    )
