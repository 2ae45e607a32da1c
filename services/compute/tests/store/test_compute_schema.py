"""What the migrations make is what the code expects."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from compute.store.ledger_tables import Base
from schemas.addresses import driver_url

OPTIONS = {"include_schemas": True, "compare_server_default": True}


def own(name, kind, parents):
    return name == "compute" if kind == "schema" else name != "alembic_version"


def differences(connection):
    context = MigrationContext.configure(connection, opts={**OPTIONS, "include_name": own})
    return compare_metadata(context, Base.metadata)


@pytest.mark.store
async def test_the_migrated_schema_is_the_one_in_the_tables(database_url):
    engine = create_async_engine(driver_url(database_url))
    try:
        async with engine.connect() as connection:
            assert await connection.run_sync(differences) == []
    finally:
        await engine.dispose()
