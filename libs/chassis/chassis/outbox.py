"""The outbox: facts are stored with the change they tell of, and delivered after it.

A fact is a row written by the transaction that makes the change, so neither can exist without the other. One relay per
service (whoever holds the lease) carries the rows to their reader in the order of their numbers, outside any
transaction, and deletes them once they are acknowledged: at least once, and the reader drops what it has seen. A row
that the reader refuses again and again is parked, so that it does not hold up its neighbours.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import uuid_utils.compat as uuid7s
from prometheus_client import Counter, Gauge
from sqlalchemy import BigInteger, DateTime, Identity, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from chassis.context import asked
from chassis.db import Sessions, after_commit, transaction
from chassis.errors import BadRequest, Broken, Fault, Invalid
from chassis.facts import Fact
from chassis.leases import LeaseRow, hold, release
from chassis.telemetry import traceparent

log = logging.getLogger(__name__)

BATCH = 500
ATTEMPTS = 5
LEASE = 5.0
_REFUSED = (Invalid, BadRequest, Broken)
PARKED = Counter("outbox_parked", "Facts that their reader refused for good")
BACKLOG = Gauge("outbox_backlog", "Facts that wait to be delivered")
ASIDE = Gauge("outbox_parked_facts", "Facts that lie parked now: above 0 is an alarm")


@dataclass(frozen=True, slots=True)
class Letter:
    """A fact on its way: its number here, its id everywhere, and what it says."""

    seq: int
    event_id: UUID
    written_at: datetime
    body: Mapping[str, Any]


Deliver = Callable[[Sequence[Letter]], Awaitable[None]]


class OutboxRow:
    """Mixin: give it to a service's own Base and the table lands in its schema."""

    __tablename__ = "outbox"

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    written_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    parked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    trouble: Mapped[str | None]


def record(
    session: AsyncSession, row: type[OutboxRow], fact: Fact, wake: Callable[[], None]
) -> None:
    """Put a fact into the outbox of this transaction, with the request that it happened in."""
    request = asked()
    body = asdict(fact)
    body["tenant"] = str(fact.tenant) if fact.tenant else ""
    body["context"] = {
        "request_id": request.request_id,
        "trace_id": request.trace_id,
        "ip": request.ip[:64],
        "user_agent": request.user_agent[:512],
        "traceparent": traceparent() if request.sampled else "",
    }
    values: dict[str, Any] = {"event_id": uuid7s.uuid7(), "body": body}
    session.add(row(**values))
    after_commit(session, wake)


class Relay:
    """Carries facts from the outbox to their reader."""

    def __init__(
        self, sessions: Sessions, row: type[OutboxRow], lease: type[LeaseRow], deliver: Deliver
    ) -> None:
        self._sessions = sessions
        self._row = row
        self._lease = lease
        self._deliver = deliver
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Tell the relay that there is post, so that it need not wait for its next round."""
        self._woken.set()

    async def run(self, every: float = 1.0) -> None:
        """Deliver until cancelled; slower and slower while the reader or the database is away."""
        try:
            await self._deliver_on(every)
        finally:  # who comes after us need not wait for the lease to run out
            with suppress(Fault):
                async with transaction(self._sessions) as session:
                    await release(session, self._lease, "relay")

    async def _deliver_on(self, every: float) -> None:
        wait = every
        while True:
            self._woken.clear()
            try:
                while await self.deliver_batch():
                    wait = every
            except Fault as fault:
                wait = min(wait * 2, 15.0) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
                log.warning("facts wait in the outbox: %s", fault.detail)
                await asyncio.sleep(min(wait, 5.0))
                continue
            await self._rest(every)

    async def deliver_batch(self, size: int = BATCH) -> int:
        """Deliver up to `size` facts and forget them; return how many left the queue."""
        letters = await self._claim(size)
        if not letters:
            return 0
        try:
            await self._deliver(letters)
        except _REFUSED:
            return await self._one_by_one(letters)
        await self._forget(letters)
        return len(letters)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # wait_for of 3.11 can lose a cancellation
                await self._woken.wait()

    async def _claim(self, size: int) -> list[Letter]:
        row = self._row
        waiting = row.parked_at.is_(None)
        async with transaction(self._sessions) as session:
            if await hold(session, self._lease, "relay", LEASE) is None:
                return []
            columns = select(row.seq, row.event_id, row.written_at, row.body)
            rows = await session.execute(columns.where(waiting).order_by(row.seq).limit(size))
            letters = [Letter(seq, id_, at.astimezone(UTC), body) for seq, id_, at, body in rows]
            count = select(func.count(), func.count(row.parked_at)).select_from(row)
            everything, parked = (await session.execute(count)).one()
            BACKLOG.set(everything - parked)
            ASIDE.set(parked)
            return letters

    async def _one_by_one(self, letters: Sequence[Letter]) -> int:
        """Deliver what can be delivered of a batch that was refused, and count a failure for the rest.

        A reader that breaks on every letter has an outage; only where others get through is a letter to blame.
        """
        gone, failed = 0, list[tuple[Letter, Fault]]()
        for letter in letters:
            try:
                await self._deliver([letter])
            except _REFUSED as refusal:
                failed.append((letter, refusal))
            else:
                await self._forget([letter])
                gone += 1
        blamed = [(at, why) for at, why in failed if gone or not isinstance(why, Broken)]
        if failed and not blamed:
            raise failed[0][1]
        return gone + sum([await self._failed(at, why) for at, why in blamed])

    async def _forget(self, letters: Sequence[Letter]) -> None:
        async with transaction(self._sessions) as session:
            gone = delete(self._row).where(text("seq = ANY(:seqs)"))  # one value, not five hundred
            gone = gone.execution_options(synchronize_session=False)
            await session.execute(gone, {"seqs": [letter.seq for letter in letters]})

    async def _failed(self, letter: Letter, refusal: Fault) -> int:
        row = self._row
        async with transaction(self._sessions) as session:
            count = (
                update(row)
                .where(row.seq == letter.seq)
                .values(attempts=row.attempts + 1, trouble=refusal.detail[:500])
                .returning(row.attempts)
            )
            if (await session.scalar(count) or 0) < ATTEMPTS:
                return 0
            await session.execute(
                update(row).where(row.seq == letter.seq).values(parked_at=func.now())
            )
        PARKED.inc()
        log.error("fact %s is parked: %s", letter.event_id, refusal.detail)
        return 1
