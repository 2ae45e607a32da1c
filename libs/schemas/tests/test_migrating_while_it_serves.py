"""`python -m schemas` beside people who read and write: it waits briefly, gives way, and tries again."""

import asyncio
import contextlib
from uuid import uuid4

import asyncpg
import pytest

from schemas.migrate import migrate
from tests.waiting import until

pytestmark = pytest.mark.store

FIRST = """
import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None

def upgrade():
    op.create_table("thing", sa.Column("n", sa.Integer), sa.Column("s", sa.Text), schema={0!r})
"""
COLUMN = """
import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"

def upgrade():
    op.create_table("other", sa.Column("n", sa.Integer), schema={0!r})
    op.add_column("thing", sa.Column("more", sa.Integer), schema={0!r})
"""
ONLINE = """
from schemas import online

revision = "2"
down_revision = "1"

def upgrade():
    online.fill("thing", "s = 'x'", "s IS NULL", schema={0!r}, rows=100)
    online.check("thing_s", "thing", "s IS NOT NULL", schema={0!r})
    online.index("thing_n", "thing", ["n"], schema={0!r}, unique=True)
"""
INDEX = "".join(line for line in ONLINE.splitlines(True) if "s IS" not in line)
GONE = """
from schemas import online

revision = "3"
down_revision = "2"

def upgrade():
    online.no_index("thing_n", "thing", schema={0!r})
    online.no_index("thing_n", "thing", schema={0!r})
"""


class Service:
    """A service that is nothing but migrations, with its schema at the first of them."""

    def __init__(self, folder, name, url):
        self.name, self._folder = name, folder / name / "migrations" / "versions"
        self._admin = url
        self.url = url.replace("postgres:", f"{name}:", 1)

    def revision(self, number, text):
        (self._folder / f"{number}.py").write_text(text.format(self.name))

    def forget(self, number):
        (self._folder / f"{number}.py").unlink()

    async def migrate(self):
        return await migrate(self.name, self.url, self._admin, pause=0.1)

    async def ask(self, question):
        async with self.connected() as there:
            return await there.fetchval(question)

    @contextlib.asynccontextmanager
    async def connected(self):
        there = await asyncpg.connect(self.url)
        try:
            yield there
        finally:
            await there.close()


@pytest.fixture
async def service(tmp_path, monkeypatch, admin_url):
    name = f"made_up_{uuid4().hex[:8]}"
    made = Service(tmp_path, name, admin_url)
    (tmp_path / name / "migrations" / "versions").mkdir(parents=True)
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    made.revision("1", FIRST)
    assert await made.migrate() == "1"
    async with made.connected() as there:
        await there.execute(f"INSERT INTO {name}.thing SELECT generate_series(1, 1000)")
    return made


@contextlib.asynccontextmanager
async def in_use(service):
    """Somebody reads the table in a transaction that is not finished."""
    async with service.connected() as reader, reader.transaction():
        await reader.fetchval(f"SELECT count(*) FROM {service.name}.thing")
        yield


async def test_a_table_that_is_in_use_is_waited_for_again_and_again(service, capsys):
    service.revision("2", COLUMN)
    async with in_use(service):
        migrating = asyncio.create_task(service.migrate())
        said = ""

        def gave_way_twice():
            nonlocal said
            said += capsys.readouterr().out
            return said.count("waits for a table that is in use") >= 2

        await until(gave_way_twice, 60)
        assert await service.ask(f"SELECT version_num FROM {service.name}.alembic_version") == "1"
        assert await service.ask(f"SELECT to_regclass('{service.name}.other')") is None
        assert not migrating.done()
    assert await asyncio.wait_for(migrating, 60) == "2"


async def test_a_release_that_is_put_back_leaves_a_newer_schema_as_it_is(service):
    service.revision("2", COLUMN)
    assert await service.migrate() == "2"
    service.forget("2")
    assert await service.migrate() == "2"
    assert await service.ask(f"SELECT count(more) FROM {service.name}.thing") == 0


async def test_what_is_wrong_is_said_at_once(service):
    service.revision("2", COLUMN.replace('"more"', '"s"'))
    with pytest.raises(Exception, match="already exists"):
        await service.migrate()
    assert await service.ask(f"SELECT version_num FROM {service.name}.alembic_version") == "1"


async def test_an_index_on_an_empty_table_waits_for_nobody(service):
    service.revision("2", INDEX)
    async with service.connected() as other:
        await other.execute(f"TRUNCATE {service.name}.thing")
        async with other.transaction(isolation="repeatable_read"):
            await other.fetchval("SELECT count(*) FROM pg_class")  # a snapshot of the database
            assert await asyncio.wait_for(service.migrate(), 60) == "2"


async def test_two_may_migrate_at_once_also_what_waits_for_everybody_with_a_snapshot(service):
    service.revision("2", ONLINE)
    assert await asyncio.gather(*(service.migrate() for _ in range(3))) == ["2", "2", "2"]
    assert await service.ask(f"SELECT count(*) FROM {service.name}.thing WHERE s = 'x'") == 1000
    valid = "SELECT bool_and(indisvalid) FROM pg_index WHERE indexrelid = '{}.thing_n'::regclass"
    assert await service.ask(valid.format(service.name))
    async with service.connected() as there:
        with pytest.raises(asyncpg.CheckViolationError):
            await there.execute(f"INSERT INTO {service.name}.thing VALUES (0, NULL)")
        with pytest.raises(asyncpg.UniqueViolationError):
            await there.execute(f"INSERT INTO {service.name}.thing VALUES (1, 'x')")


async def test_what_an_interruption_left_half_done_is_begun_again(service):
    service.revision("2", ONLINE)
    async with service.connected() as there:
        await there.execute(f"UPDATE {service.name}.thing SET s = 'x', n = 0")
        with pytest.raises(asyncpg.UniqueViolationError):
            await there.execute(
                f"CREATE UNIQUE INDEX CONCURRENTLY thing_n ON {service.name}.thing (n)"
            )
        with pytest.raises(Exception, match="thing_n"):
            await service.migrate()
        await there.execute(f"DELETE FROM {service.name}.thing")
    assert await service.migrate() == "2"
    valid = f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{service.name}.thing_n'::regclass"
    assert await service.ask(valid)


async def test_a_writer_goes_on_while_an_index_is_made(service):
    """The index waits for the transaction that was there before; the next writers do not."""
    service.revision("2", INDEX)
    async with in_use(service):
        migrating = asyncio.create_task(service.migrate())

        async def begun():
            waiting = "wait_event_type = 'Lock' AND query LIKE 'CREATE%thing_n%'"
            return await service.ask(f"SELECT count(*) FROM pg_stat_activity WHERE {waiting}")

        await until(begun, 60)
        async with service.connected() as writer:
            await writer.execute("SET lock_timeout = '1s'")
            await writer.execute(f"INSERT INTO {service.name}.thing VALUES (0, 'x')")
        assert not migrating.done()
    assert await asyncio.wait_for(migrating, 60) == "2"


async def test_a_needless_index_goes_also_where_it_is_gone_already(service):
    service.revision("2", INDEX)
    assert await service.migrate() == "2"
    assert await service.ask(f"SELECT to_regclass('{service.name}.thing_n')") is not None
    service.revision("3", GONE)
    assert await service.migrate() == "3"
    assert await service.ask(f"SELECT to_regclass('{service.name}.thing_n')") is None
