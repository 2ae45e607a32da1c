import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.db import database
from iam.domain.authority import Kind
from iam.store.tables import Base
from iam.store.work import sql_work
from schemas.addresses import driver_url

pytestmark = pytest.mark.store


def _differences(connection):
    def ours(name, kind, parents):
        return kind != "schema" or name == "iam"

    def told(_thing, name, kind, _reflected, _compared):
        return not (kind == "table" and name == "alembic_version")

    context = MigrationContext.configure(
        connection,
        opts={"include_schemas": True, "include_name": ours, "include_object": told},
    )
    return compare_metadata(context, Base.metadata)


async def test_the_migrated_schema_is_the_one_that_the_code_knows(iam_url):
    engine = create_async_engine(driver_url(iam_url))
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []
    await engine.dispose()


async def test_positions_are_committed_in_their_order(iam_url, make):
    """Whoever has seen position n will never again be told of one before it."""

    async def at_once(_):
        pass

    async with database(iam_url, "iam") as sessions:
        work = sql_work(sessions, make.issuer, lambda: None, lambda: None, at_once)

        async def change(n):
            async with work() as w:
                w.changed(Kind.SUBJECT, f"x{n}")

        seen, done = [], asyncio.Event()

        async def watch():
            async with work() as w:
                last = await w.authority.epoch()
            while not done.is_set():
                async with work() as w:
                    found = [c.epoch for c in await w.authority.changes(last, 1000)]
                seen.extend(found)
                last = max([last, *found])

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(change(n) for n in range(40)))
        async with work() as w:
            newest = await w.authority.epoch()
        async with asyncio.timeout(10):
            while not seen or seen[-1] < newest:
                await asyncio.sleep(0.01)
        done.set()
        await watching
    assert seen == sorted(set(seen))
    assert seen == list(range(seen[0], seen[-1] + 1))


async def test_the_role_of_iam_sees_no_other_schema(iam_url):
    engine = create_async_engine(driver_url(iam_url))
    async with engine.connect() as connection:
        made = await connection.scalar(
            text("SELECT has_database_privilege(current_user, current_database(), 'CREATE')")
        )
    await engine.dispose()
    assert made is False
