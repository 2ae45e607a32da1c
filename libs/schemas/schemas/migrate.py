"""Migrations: bring a service's schema to its newest revision, once, whoever asks.

`python -m schemas flags audit` does it for several services in one process; with `--wait` it changes nothing
and returns once somebody else has done it, which is how a pod waits for its schema. Each service's own role owns its
schema. With `<SERVICE>_ADMIN_DATABASE_URL` the role and the schema are made first; without, they must be there.
Migrations run under an advisory lock. Whoever waits for a table makes everybody wait who comes after, so a migration
gives a lock up after a second, is undone as a whole and tried again; it is valid beside yesterday's code (expand,
migrate, contract), and says what is long with `schemas.online`.
"""

import asyncio
import importlib.util
import os
import random
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from asyncpg.exceptions import LockNotAvailableError, PostgresError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from schemas.addresses import driver_url

_LOCK = 7_361_001
_TRIES = 60  # for a table that is never free for a second: some minutes
_PAUSE = 1.0  # seconds between two, in which whoever waited behind us goes on


def migrations_of(service: str) -> Path:
    """Return the folder of a service's migrations, without importing the service."""
    found = importlib.util.find_spec(service)
    if found is None or found.origin is None:
        raise SystemExit(f"there is no service called {service!r}")
    return Path(found.origin).parent / "migrations"


async def migrate(
    service: str, database_url: str, admin_url: str = "", *, pause: float = _PAUSE
) -> str:
    """Upgrade the schema of `service` and return its revision; a no-op where it is there already, or past what we know.

    DBAPIError when a table could not be had in sixty tries, `pause` seconds apart: what was not done yet is undone.
    """
    if admin_url:
        await _make_room(service, database_url, admin_url)
    engine = create_async_engine(driver_url(database_url), connect_args={"timeout": 5})
    try:
        async with engine.connect() as connection:
            await _in_turn(connection, service)
            if _newer(revision := await _revision(service, database_url), _scripts(service)):
                return revision  # an older release is put back: its code works with the schema as it is
            for _ in range(_TRIES - 1):
                try:
                    return await connection.run_sync(_upgrade, service)
                except DBAPIError as error:
                    await _once_more(connection, service, error)
                    await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            return await connection.run_sync(_upgrade, service)
    finally:
        await engine.dispose()


async def _in_turn(connection: AsyncConnection, service: str) -> None:
    """Be the only one who migrates `service`.

    Asked for again and again: who waits inside a statement holds a snapshot, and an index that is made
    concurrently waits for everybody with one.
    """
    lock = text("SELECT pg_try_advisory_lock(:lock, hashtext(:service))")
    while not await connection.scalar(lock, {"lock": _LOCK, "service": service}):
        await connection.rollback()
        await asyncio.sleep(0.2)
    await connection.execute(text("SET lock_timeout = '1s'"))
    await connection.commit()


async def _once_more(connection: AsyncConnection, service: str, error: DBAPIError) -> None:
    """Undo what a migration began that did not get a lock in time; raise what is anything else."""
    if not isinstance(getattr(error.orig, "__cause__", None), LockNotAvailableError):
        raise error
    await connection.rollback()
    sys.stdout.write(f"{service} waits for a table that is in use\n")
    sys.stdout.flush()


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


async def wait(service: str, database_url: str, pause: float = 1.0) -> str:
    """Return the schema's revision once this code can work with it; ask again every `pause` seconds."""
    scripts = _scripts(service)
    while not fits(revision := await _revision(service, database_url), scripts):
        sys.stdout.write(f"{service} waits for its schema: {revision or 'none to be seen yet'}\n")
        sys.stdout.flush()
        await asyncio.sleep(pause)
    return revision


def fits(revision: str, scripts: ScriptDirectory) -> bool:
    """Say whether a schema's revision is the newest that this code knows, or one from after its time."""
    return revision == scripts.get_current_head() or _newer(revision, scripts)


def _newer(revision: str, scripts: ScriptDirectory) -> bool:
    known = {script.revision for script in scripts.walk_revisions()}
    return bool(revision and revision not in known)


async def _revision(service: str, database_url: str) -> str:
    """Return the schema's revision; nothing while there is no schema, or no database to ask."""
    engine = create_async_engine(driver_url(database_url), connect_args={"timeout": 5})
    ask = text(f"SELECT version_num FROM {_name(service)}.alembic_version")  # noqa: S608 - a name of ours
    try:
        async with engine.connect() as connection:
            return await connection.scalar(ask) or ""
    except (OSError, SQLAlchemyError, PostgresError):
        return ""
    finally:
        await engine.dispose()


def _scripts(service: str) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrations_of(service)))
    return ScriptDirectory.from_config(config)


def _upgrade(connection: Connection, service: str) -> str:
    config = Config()
    scripts = _scripts(service)
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
