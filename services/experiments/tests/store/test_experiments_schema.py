"""What the migrations make is what the code expects."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.db import driver_url
from experiments.store.tables import Base


@pytest.mark.store
async def test_the_migrated_schema_is_the_one_in_the_tables(database_url):
    def differences(connection):
        def own(name, kind, parents):
            return name == "experiments" if kind == "schema" else name != "alembic_version"

        options = {"include_schemas": True, "include_name": own, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)

    engine = create_async_engine(driver_url(database_url))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()
