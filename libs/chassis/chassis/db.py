"""The database: one schema and one role per service, short transactions, and a fault when it is away."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import asyncpg
from sqlalchemy import MetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase

from chassis.errors import Unavailable
from schemas.connections import Away, Busy, connected

PATIENCE = 1.8  # seconds for a connection that answers, the turn in line among them
Sessions = async_sessionmaker[AsyncSession]
Isolation = Literal["READ COMMITTED", "REPEATABLE READ"]

# The transaction that an idempotent request has opened around everything it does (see idempotency.py).
AMBIENT: ContextVar[AsyncSession | None] = ContextVar("transaction", default=None)

_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,  # a query that was cancelled among them
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InternalClientError,  # its server said farewell, and it is not closed yet
    OSError,  # TimeoutError and ConnectionError are such
)


class DatabaseAway(Unavailable):
    """The database does not answer in time. Nothing was changed, or all: ask again with the same Idempotency-Key."""

    code = "database_unavailable"


def base_for(schema: str) -> type[DeclarativeBase]:
    """Return a declarative base whose tables all live in `schema`."""
    return type("Base", (DeclarativeBase,), {"metadata": MetaData(schema=schema)})


@asynccontextmanager
async def database(url: str, schema: str, pool: int = 5) -> AsyncGenerator[Sessions]:
    """Lend sessions, with up to twice `pool` connections between them, and close these."""
    settings = {
        "application_name": schema,
        "search_path": schema,
        "jit": "off",
        "timezone": "UTC",
        "statement_timeout": "3500ms",
        "lock_timeout": "3s",
        "idle_in_transaction_session_timeout": "15s",
    }
    async with connected(url, 2 * pool, settings) as engine:
        yield async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def transaction(
    sessions: Sessions, *, isolation: Isolation = "READ COMMITTED"
) -> AsyncGenerator[AsyncSession]:
    """Commit when the block ends well; roll back when it does not. DatabaseAway without a database, or if it hangs.

    Inside an idempotent request this is that request's one transaction, with its isolation.
    """
    if (ambient := AMBIENT.get()) is not None:
        yield ambient
        await ambient.flush()
        return
    options = {"isolation_level": isolation} if isolation != "READ COMMITTED" else {}
    with told():
        sessions.kw["bind"].pool.admit()
        async with sessions() as session:
            async with session.begin():
                async with asyncio.timeout(PATIENCE):
                    await _begun(session, options)
                yield session
            for then in session.info.pop("then", ()):
                then()


async def _begun(session: AsyncSession, options: dict[str, str]) -> None:
    """Begin now, not with the first statement: who hangs is noticed in time, at no round trip more."""
    connection = await session.connection(execution_options=options)
    lent: Any = (await connection.get_raw_connection()).dbapi_connection
    try:
        await lent._start_transaction()
    except BaseException as trouble:
        await connection.invalidate()
        if isinstance(trouble.__cause__, _AWAY):  # SQLAlchemy has not seen it, and does not say so
            raise trouble.__cause__ from None
        raise


def after_commit(session: AsyncSession, then: Callable[[], None]) -> None:
    """Call `then` once the transaction of `session` is committed; never if it is rolled back."""
    session.info.setdefault("then", {})[then] = None  # each once, in the order of asking


@contextmanager
def told() -> Generator[None]:
    """Turn the driver's ways of saying "away" into one fault."""
    try:
        yield
    except Busy as busy:
        raise DatabaseAway("the database has no free connection", retry_after=1) from busy
    except DBAPIError as error:
        if error.connection_invalidated or isinstance(getattr(error.orig, "__cause__", 0), _AWAY):
            raise DatabaseAway("the database does not answer", retry_after=2) from error
        raise
    except (Away, *_AWAY) as error:
        raise DatabaseAway("the database does not answer", retry_after=2) from error
