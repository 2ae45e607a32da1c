"""The state of exposures and events in PostgreSQL: what waits, what each unit has done, and the cells."""

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from operator import itemgetter
from struct import Struct
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from experiments.domain.intake import SHARDS, shard_of
from experiments.domain.metric import MOST_STEPS
from experiments.domain.moves import closes_at
from experiments.domain.trial import Frozen
from experiments.ports.measuring import Absorbed, Parcel
from experiments.store import moving, packing
from experiments.store import statements as sql
from experiments.store.cells import lock_of, merge
from experiments.store.data_tables import CellRow, InboxRow, MeasureRow, ShardRow, SourceRow
from experiments.store.measures import exposed, measured, micros, sources_of
from experiments.store.rows import experiment_of
from experiments.store.tables import ExperimentRow

_EVENT = ("unit", "id", "name", "at", "value", "properties")
_EXPOSURE = ("experiment", "unit", "variant", "phase", "at", "dims")
# A parcel that says: the end of this experiment has moved; what was counted since then (microseconds) may be wrong.
CLOSING = "closing"
_CLOSING = Struct(">16sq")


class SqlIntake:
    """Intake over one session. Hold a shard before anything is absorbed into it."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._closings: Sequence[Parcel] = ()

    async def hold(self, shard: int) -> bool:
        """Lock a shard until the work ends; False if another worker has it."""
        row = insert(ShardRow).values(number=shard).on_conflict_do_nothing()
        await self._session.execute(row)
        mine = select(ShardRow.number).where(ShardRow.number == shard)
        return await self._session.scalar(mine.with_for_update(skip_locked=True)) is not None

    async def leave(self, parcels: Sequence[Parcel]) -> None:
        """Keep parcels until a worker takes them: once committed they cannot be lost."""
        rows = [{"shard": p.shard, "kind": p.kind, "n": p.n, "body": p.body} for p in parcels]
        await self._session.execute(insert(InboxRow), rows)

    async def take(self, shard: int, most: int) -> Sequence[Parcel]:
        """Take parcels of a shard off the inbox, the oldest first, of about `most` items together."""
        running = func.sum(InboxRow.n).over(order_by=InboxRow.seq)
        rows = select(InboxRow.seq, (running - InboxRow.n).label("before")).where(
            InboxRow.shard == shard
        )
        first = rows.order_by(InboxRow.seq).limit(1000).subquery()
        wanted = select(first.c.seq).where(first.c.before < most)
        gone = delete(InboxRow).where(InboxRow.seq.in_(wanted))
        columns = (InboxRow.seq, InboxRow.kind, InboxRow.n, InboxRow.body)
        found = list(await self._session.execute(gone.returning(*columns)))
        return [
            Parcel(kind, shard, n, body) for _, kind, n, body in sorted(found, key=itemgetter(0))
        ]

    async def shards_waiting(self) -> set[int]:
        """Return the shards with something in the inbox."""
        return set(await self._session.scalars(select(InboxRow.shard).distinct()))

    async def lay_out(self, parcels: Sequence[Parcel]) -> Sequence[UUID]:
        """Lay parcels out to be absorbed; return the experiments of whose metrics nothing is frozen yet."""
        raw = await self._raw()
        await raw.execute(sql.TEMPORARY)
        self._closings = [parcel for parcel in parcels if parcel.kind == CLOSING]
        for kind, table, columns in (
            ("event", "came_event", _EVENT),
            ("exposure", "came_exposure", _EXPOSURE),
        ):
            source = BytesIO(packing.copied(parcels, kind))
            await raw.copy_to_table(table, source=source, columns=columns, format="binary")
        if await raw.fetchval("SELECT EXISTS (SELECT FROM identity)"):
            await self._identify(raw, parcels)
        return [row["experiment"] for row in await raw.fetch(sql.UNFROZEN)]

    async def freeze(self, experiment: UUID, metrics: Sequence[Frozen]) -> None:
        """Keep the metrics of an experiment as they are now, and its exposures as number 0.

        Its row is held until the commit, so that its end cannot move unseen. Exposures of one that is gone are dropped.
        """
        lock = func.pg_advisory_xact_lock(lock_of(experiment))
        await self._session.execute(select(lock))
        mine = select(ExperimentRow).where(ExperimentRow.id == experiment)
        row = await self._session.scalar(mine.with_for_update(read=True))
        if row is None:
            await (await self._raw()).execute(sql.DROP, experiment)
            return
        closes = closes_at(experiment_of(row))
        rows = [exposed(experiment), *(measured(experiment, m) for m in metrics)]
        kept = insert(MeasureRow).on_conflict_do_nothing().returning(MeasureRow.metric)
        fresh = set((await self._session.execute(kept, rows)).scalars())
        sources = [
            s for m in metrics if m.number in fresh for s in sources_of(experiment, m, closes)
        ]
        if sources:
            await self._session.execute(insert(SourceRow).on_conflict_do_nothing(), sources)

    async def close(self, experiment: UUID, closes: datetime | None, since: datetime) -> None:
        """Let what units do from `closes` on not count, and leave word for each shard to put right what it counted.

        A worker that is absorbing meanwhile may still count by the end as it was. It holds its shard, so whoever finds
        our word there finds what that worker has done, too.
        """
        mine = SourceRow.experiment == experiment
        change = update(SourceRow).where(mine).values(closes=micros(closes))
        if (await self._session.execute(change.returning(SourceRow.name))).first():
            body = _CLOSING.pack(experiment.bytes, micros(since))
            await self.leave([Parcel(CLOSING, shard, 1, body) for shard in range(SHARDS)])

    async def forget(self, experiment: UUID) -> None:
        """Measure an experiment no more, and forget its cells."""
        for table in (SourceRow, MeasureRow, CellRow):
            await self._session.execute(delete(table).where(table.experiment == experiment))

    async def absorb(self) -> Absorbed:
        """Make what was laid out part of the state: events first, then exposures, then the cells."""
        raw = await self._raw()
        fresh = _count(await raw.execute(moving.KEEP_EVENTS))
        groups = list(await self._move(raw)) if fresh else []
        met = _count(await raw.execute(sql.MEET))
        if met + await self._reclose(raw):
            await self._meet(raw)
            groups += await raw.fetch(sql.GROUPS)
        await merge(raw, groups)
        return Absorbed(events=fresh, exposures=met, cells=len(groups))

    async def _reclose(self, raw: Any) -> int:  # noqa: ANN401 - asyncpg's own connection
        """Lay out the units that an end that has moved concerns, to be counted again; return how many."""
        found = 0
        for parcel in self._closings:
            experiment, since = _CLOSING.unpack(parcel.body)
            asked = (UUID(bytes=experiment), since, SHARDS, parcel.shard)
            found += _count(await raw.execute(sql.RECLOSE, *asked))
        return found

    async def join(self, unit: bytes, same_as: bytes) -> bool:
        """Make a unit another one with all it has seen and done; False if they are one already."""
        raw = await self._raw()
        await raw.execute(sql.TEMPORARY)
        await raw.execute(sql.ONE_AFTER_ANOTHER)
        loser, winner = UUID(bytes=unit), UUID(bytes=same_as)
        loser = await raw.fetchval(sql.SAME_AS, loser) or loser
        winner = await raw.fetchval(sql.SAME_AS, winner) or winner
        if loser == winner:
            return False
        await self._hold_too(raw, {shard_of(loser.bytes), shard_of(winner.bytes)})
        await self._take_out(raw, loser, winner)
        await self._meet(raw)
        await merge(raw, await raw.fetch(sql.GROUPS))
        return True

    async def _take_out(self, raw: Any, loser: UUID, winner: UUID) -> None:  # noqa: ANN401
        """Take a unit out of its cells, and lay out what it leaves to the other."""
        await raw.execute(sql.JOIN_ALIASES, loser, winner)
        await raw.execute(sql.JOIN, loser, winner)
        await raw.execute(sql.JOIN_EVENTS, loser, winner)
        await raw.execute(sql.LEAVING, loser)
        await raw.execute(sql.LEAVE)
        await raw.execute(sql.UNCOUNT_CROSSED, loser)
        await raw.execute("DELETE FROM met")
        await raw.execute(sql.JOIN_MEET, loser, winner)
        for statement in sql.FORGET_UNIT:
            await raw.execute(statement, loser)

    async def _identify(self, raw: Any, parcels: Sequence[Parcel]) -> None:  # noqa: ANN401
        """Give what came for units that are others to those, and hold the shards of these too."""
        renamed = [_count(await raw.execute(statement)) for statement in sql.IDENTIFY]
        if any(renamed):
            mine = {parcel.shard for parcel in parcels}
            found = [r["shard"] for r in await raw.fetch(sql.STRANGERS, SHARDS, min(mine))]
            await self._hold_too(raw, set(found))

    async def _hold_too(self, raw: Any, shards: set[int]) -> None:  # noqa: ANN401
        """Wait for these shards; should two workers wait for each other, PostgreSQL sends one of them back."""
        numbers = sorted(shards)
        await raw.execute(sql.MAKE_SHARDS, numbers)
        await raw.execute(sql.HOLD, numbers)

    async def _move(self, raw: Any) -> Sequence[Any]:  # noqa: ANN401 - asyncpg's own connection
        """Add the fresh events to the tallies; return how the cells change by it."""
        funnels = await raw.fetchval(moving.HAS_FUNNELS)
        if funnels and _count(await raw.execute(moving.WALKERS)):
            await self._walk(raw)
        groups = await raw.fetch(moving.MOVE)
        if funnels:
            await raw.execute("DELETE FROM walk")
        return groups

    async def _meet(self, raw: Any) -> None:  # noqa: ANN401
        await raw.execute(sql.LEAVE)
        await raw.execute(sql.FORGET)
        await raw.execute(sql.EXPOSE)
        await raw.execute(sql.RECOUNT)
        if _count(await raw.execute(sql.REWALKERS)):
            await self._walk(raw)
            await raw.execute(sql.REWALKED)
        await raw.execute(sql.ENTER)

    async def _walk(self, raw: Any) -> None:  # noqa: ANN401
        for step in range(1, MOST_STEPS + 1):
            if not _count(await raw.execute(moving.STEP, step)):
                return

    async def _raw(self) -> Any:  # noqa: ANN401
        """Return asyncpg's connection: COPY is beyond SQLAlchemy. It is in the session's transaction."""
        await self._session.execute(select(1))
        connection = await self._session.connection()
        return (await connection.get_raw_connection()).driver_connection


def _count(status: str) -> int:
    """Return how many rows a statement touched, from what the server says of it: INSERT 0 17."""
    return int(status.rsplit(" ", 1)[1])
