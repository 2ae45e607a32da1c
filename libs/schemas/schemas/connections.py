"""Connections to a database: opened beside the work that borrows them, and never queued for in vain (docs/adr/0082).

Who borrows gets one that is open, waits for its turn, or is refused: at once where so many wait already that its turn
would not come in time, and at once where none is open and none could be opened a moment ago. Two keepers open what is
missing: the first one, what was lost, and one more for each who finds none.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, cast

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection
from sqlalchemy.util import await_only, greenlet_spawn

from schemas.addresses import driver_url

log = logging.getLogger(__name__)

KEEPERS = 2  # connections opened at the same time: a database that comes back is not stormed
PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0)  # seconds after the first failure, the second …
OPENING = 5.0  # seconds: four answers of a database that is far away, and nobody waits for them
WAITING = 1.6  # seconds for one's turn
STALLED = WAITING / 2  # seconds: where the first in line has waited so long, nobody joins it
RESTING = 60.0  # seconds for which more than one may lie idle: replicas share what the server has


class Busy(Exception):
    """All connections are lent, and none will be free in time."""


class Away(Exception):
    """No connection is open, and none can be opened."""


class Told(PGDialect_asyncpg):
    """Knows from the server's greeting, or from what we demand of it, what SQLAlchemy asks it in ten round trips."""

    supports_statement_cache = True

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:  # noqa: ANN401
        return tuple(connection.connection.driver_connection.get_server_version()[:2])

    def _get_default_schema_name(self, connection: object) -> str | None:
        return None  # every table says which is its own

    def get_default_isolation_level(self, dbapi_conn: object) -> Any:  # noqa: ANN401
        """Return what every connection demands as it is opened."""
        return "READ COMMITTED"

    def _set_backslash_escapes(self, connection: object) -> None:
        self._backslash_escapes = False


registry.register("postgresql.told", __name__, Told.__name__)
DEMANDED = {"default_transaction_isolation": "read committed", "standard_conforming_strings": "on"}


@asynccontextmanager
async def connected(url: str, most: int, settings: dict[str, str]) -> AsyncGenerator[AsyncEngine]:
    """Lend an engine with up to `most` connections, each with these settings of the server; close what it opened."""
    options = {"timeout": OPENING, "command_timeout": 4, "server_settings": DEMANDED | settings}
    told = driver_url(url).replace("+asyncpg", "+told", 1)
    engine = create_async_engine(
        told,
        poolclass=Connections,
        pool_size=most,
        connect_args=options,
        hide_parameters=True,  # an error goes into the log, and what was written may be somebody's password
    )
    pool = cast("Connections", engine.pool)
    keepers = [asyncio.create_task(pool.keep()) for _ in range(KEEPERS)]
    try:
        yield engine
    finally:
        while [keeper for keeper in keepers if keeper.cancel()]:  # again, should one have lost it
            await asyncio.wait(keepers, timeout=1)
        await pool.close()


class Connections(Pool):
    """A pool of SQLAlchemy's in which nobody opens a connection for himself."""

    def __init__(self, creator: Any, pool_size: int = 1, **options: Any) -> None:  # noqa: ANN401
        super().__init__(creator, **options)
        self._most, self._wanted = pool_size, 1
        self._open = self._opening = 0
        self._missing = asyncio.Event()
        self._missing.set()
        self._idle = dict[ConnectionPoolEntry, float]()  # since when; the last comes first
        self._lent = dict[ConnectionPoolEntry, float]()  # since when
        self._line = deque[_Turn]()
        self._held = 0.0  # seconds for which one was lent lately
        self._trouble: Exception | None = None  # why none could be opened, the last time

    @property
    def idle(self) -> int:
        """How many are open and lent to nobody."""
        return len(self._idle)

    async def keep(self) -> None:
        """Open what is missing until cancelled; after a failure pause, each time longer."""
        failures = 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RESTING):
                    await self._missing.wait()
            await self._rest()
            if self._open + self._opening >= self._wanted:
                self._missing.clear()
            elif await self._opened():
                failures = 0
            else:
                pause = PAUSES[min(failures, len(PAUSES) - 1)]
                failures += 1
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter

    async def close(self) -> None:
        """Close what is idle, and cut off who holds one still: what he gives back later, nobody would close."""
        self._trouble = Away("it was closed")
        for lent in self._lent:
            _driver(lent).terminate()
        idle, self._idle = list(self._idle), {}
        self._open = 0
        await asyncio.gather(
            *[_driver(one).close(timeout=2) for one in idle], return_exceptions=True
        )

    async def _opened(self) -> bool:
        """Open one connection; tell whether it could be."""
        self._opening += 1
        try:
            entry = await greenlet_spawn(self._create_connection)
        except Exception as trouble:  # whatever it is, who waits is told
            if self._trouble is None:  # once an outage
                log.exception("no connection to the database can be opened")
            self._fail(trouble)
            return False
        finally:
            self._opening -= 1
        self._open, self._trouble = self._open + 1, None
        self._give(entry)
        return True

    def _fail(self, trouble: Exception) -> None:
        """Send everybody away if nothing is open: it would not be soon."""
        self._trouble = trouble
        self._missing.set()
        while self._line and not self._open:
            self._line.popleft().come(None)

    def admit(self) -> None:
        """Refuse who would be refused anyway: Away or Busy, before anything is made for him."""
        if self._idle:
            return
        if self._trouble and not self._open:
            raise Away from self._trouble
        if self._in_vain():
            raise Busy

    def _do_get(self) -> ConnectionPoolEntry:
        while self._idle:
            entry, _ = self._idle.popitem()
            if _is_open(entry):
                self._lent[entry] = monotonic()
                return entry
            self._lose()
        self.admit()
        return await_only(self._turn())

    def _in_vain(self) -> bool:
        """Tell whether one more would wait too long: by Little's law, or because the first in line does already."""
        if len(self._lent) + len(self._line) < self._most:
            return False  # one more is opened
        wait = (len(self._line) + 1) * self._held / self._most
        stalled = self._line and monotonic() - self._line[0].since > STALLED
        return bool(stalled) or wait > WAITING

    async def _turn(self) -> ConnectionPoolEntry:
        """Wait for a connection, in line."""
        mine = _Turn()
        self._line.append(mine)
        self._wanted = max(self._wanted, min(self._most, len(self._lent) + len(self._line)))
        self._missing.set()
        try:
            async with asyncio.timeout(WAITING):
                entry = await mine.came
        except BaseException as why:
            if mine.came.done() and not mine.came.cancelled() and (entry := mine.came.result()):
                self._do_return_conn(entry)  # it came as we were called away
            raise (Busy() if isinstance(why, TimeoutError) else why) from None
        finally:
            with suppress(ValueError):
                self._line.remove(mine)
        if entry is None:
            raise Away from self._trouble
        return entry

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        now = monotonic()
        self._held += (now - self._lent.pop(record, now) - self._held) / 8
        if _is_open(record):
            self._give(record)
        else:
            self._lose()

    def _give(self, entry: ConnectionPoolEntry) -> None:
        """Give a connection to the first in line who still waits; else it is idle."""
        while self._line:
            if self._line.popleft().come(entry):
                self._lent[entry] = monotonic()
                return
        self._idle[entry] = monotonic()

    async def _rest(self) -> None:
        """Close what nobody has borrowed for a while, all but one."""
        while len(self._idle) > 1:
            entry, since = next(iter(self._idle.items()))
            if monotonic() - since < RESTING:
                return
            del self._idle[entry]
            self._open -= 1
            self._wanted = min(self._wanted, max(1, self._open))
            with suppress(Exception):  # it is given up either way
                await _driver(entry).close(timeout=2)

    def _lose(self) -> None:
        self._open -= 1
        self._missing.set()

    def _close_connection(self, connection: Any, *, terminate: bool = False) -> None:  # noqa: ANN401
        """Close without a farewell: SQLAlchemy's takes two seconds of a request where the database hangs."""
        connection.driver_connection.terminate()

    def _invalidate(
        self,
        connection: PoolProxiedConnection,
        exception: BaseException | None = None,
        _checkin: bool = True,
    ) -> None:
        """Give up this connection, not all that are as old: one that was reset says nothing of the others."""
        if _checkin and connection.is_valid:
            connection.invalidate(exception)


class _Turn:
    """Somebody in line."""

    def __init__(self) -> None:
        self.since = monotonic()
        self.came = asyncio.get_running_loop().create_future()

    def come(self, entry: ConnectionPoolEntry | None) -> bool:
        """Tell whoever waits that it is his turn, or with None that there will be none; False if he has left."""
        if self.came.done():
            return False
        self.came.set_result(entry)
        return True


def _driver(entry: ConnectionPoolEntry) -> Any:  # noqa: ANN401 - asyncpg's own
    return entry.driver_connection


def _is_open(entry: ConnectionPoolEntry) -> bool:
    return entry.dbapi_connection is not None and not _driver(entry).is_closed()
