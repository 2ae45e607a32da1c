"""Migrations: bring a service's schema to its newest revision, once, whoever asks.

`python -m chassis.migrate flags audit` does it for several services in one process. Each service's own role owns its
schema. With `<SERVICE>_ADMIN_DATABASE_URL` the role and the schema are made first; without, they must be there.
Migrations run under an advisory lock and give up on a lock after four seconds rather than stall the service that is
running; they are valid beside yesterday's code (expand, migrate, contract).
"""

import asyncio
import importlib.util
import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.db import driver_url

_LOCK = 7_361_001


def migrations_of(service: str) -> Path:
    """Return the folder of a service's migrations, without importing the service."""
    found = importlib.util.find_spec(service)
    if found is None or found.origin is None:
        raise SystemExit(f"there is no service called {service!r}")
    return Path(found.origin).parent / "migrations"


async def migrate(service: str, database_url: str, admin_url: str = "") -> str:
    """Upgrade the schema of `service` and return its revision; a no-op where it is there already."""
    if admin_url:
        await _make_room(service, database_url, admin_url)
    engine = create_async_engine(driver_url(database_url), connect_args={"timeout": 5})
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_upgrade, service)
    finally:
        await engine.dispose()


async def _make_room(service: str, database_url: str, admin_url: str) -> None:
    """Create the role and the schema of a service; the role sees no other schema."""
    url = urlsplit(database_url)
    role, password = unquote(url.username or service), unquote(url.password or "")
    engine = create_async_engine(driver_url(admin_url), connect_args={"timeout": 5})
    make = [
        f"SELECT pg_advisory_xact_lock({_LOCK})",
        f"CREATE SCHEMA IF NOT EXISTS {_name(service)} AUTHORIZATION {_name(role)}",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    ]
    if password:
        make.insert(1, f"ALTER ROLE {_name(role)} PASSWORD {_literal(password)}")
    known = text("SELECT 1 FROM pg_roles WHERE rolname = :role")
    try:
        async with engine.begin() as admin:
            await admin.exec_driver_sql(make.pop(0))
            if not await admin.scalar(known, {"role": role}):
                make.insert(0, f"CREATE ROLE {_name(role)} LOGIN")
            for statement in make:
                await admin.exec_driver_sql(statement)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, service: str) -> str:
    config = Config()
    config.set_main_option("script_location", str(migrations_of(service)))
    scripts = ScriptDirectory.from_config(config)
    lock = text("SELECT pg_advisory_lock(:lock, hashtext(:service))")
    connection.execute(lock, {"lock": _LOCK, "service": service})
    connection.execute(text("SET lock_timeout = '4s'"))
    connection.commit()
    environment = EnvironmentContext(
        config,
        scripts,
        fn=lambda revision, _: scripts._upgrade_revs("head", revision),  # type: ignore[arg-type]
    )
    with environment:
        environment.configure(
            connection=connection, version_table_schema=service, transaction_per_migration=True
        )
        with environment.begin_transaction():
            environment.run_migrations()
    connection.commit()
    return scripts.get_current_head() or ""


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def from_environment(service: str) -> tuple[str, str]:
    """Return (database URL, admin URL) of a service as its environment gives them."""
    own = service.upper()
    url = os.environ.get(f"{own}_DATABASE_URL") or os.environ.get("SWITCHYARD_DATABASE_URL")
    if not url:
        raise SystemExit(f"{own}_DATABASE_URL is not set: it says which database to migrate")
    return url, os.environ.get(f"{own}_ADMIN_DATABASE_URL", "")


async def _all(services: list[str]) -> None:
    for service in services:
        revision = await migrate(service, *from_environment(service))
        sys.stdout.write(f"{service} is at revision {revision}\n")


if __name__ == "__main__":
    asyncio.run(_all(sys.argv[1:]))
