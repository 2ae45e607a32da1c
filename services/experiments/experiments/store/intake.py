"""The state of exposures and events in PostgreSQL: what waits, what each unit has done, and the cells."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from experiments.domain.aggregation import Kind, Measure
from experiments.domain.inference.moments import Moments, nothing
from experiments.domain.metric import MOST_STEPS, WHETHER, definition_of, document, measure
from experiments.domain.trial import Frozen
from experiments.ports import Absorbed, Parcel
from experiments.store import packing
from experiments.store import statements as sql
from experiments.store.tables import InboxRow, MeasureRow, ShardRow, SourceRow

_EVENT = ("unit", "id", "name", "at", "value", "properties")
_EXPOSURE = ("experiment", "unit", "variant", "phase", "at", "dims")
_DAY_ONE = date(1970, 1, 1)


class Key(NamedTuple):
    """Which cell. `slice` and `value` are empty for all units, else a dimension (or `day`) and its value."""

    experiment: UUID
    metric: int
    phase: int
    variant: int
    slice: str
    value: str
    bucket: int


class SqlIntake:
    """Intake over one session. Hold a shard before anything is absorbed into it."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

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
        found = await self._session.execute(
            gone.returning(InboxRow.kind, InboxRow.n, InboxRow.body)
        )
        return [Parcel(kind, shard, n, body) for kind, n, body in found]

    async def shards_waiting(self) -> set[int]:
        """Return the shards with something in the inbox."""
        return set(await self._session.scalars(select(InboxRow.shard).distinct()))

    async def lay_out(self, parcels: Sequence[Parcel]) -> Sequence[UUID]:
        """Lay parcels out to be absorbed; return the experiments of whose metrics nothing is frozen yet."""
        raw = await self._raw()
        await raw.execute(sql.TEMPORARY)
        for kind, table, columns in (
            ("event", "came_event", _EVENT),
            ("exposure", "came_exposure", _EXPOSURE),
        ):
            source = BytesIO(packing.copied(parcels, kind))
            await raw.copy_to_table(table, source=source, columns=columns, format="binary")
        return [row["experiment"] for row in await raw.fetch(sql.UNFROZEN)]

    async def freeze(self, experiment: UUID, metrics: Sequence[Frozen]) -> None:
        """Keep the metrics of an experiment as they are now, and its exposures as number 0."""
        lock = func.pg_advisory_xact_lock(_lock_of(experiment))
        await self._session.execute(select(lock))
        rows = [_exposed(experiment), *(_measured(experiment, m) for m in metrics)]
        kept = insert(MeasureRow).on_conflict_do_nothing().returning(MeasureRow.metric)
        fresh = set((await self._session.execute(kept, rows)).scalars())
        sources = [s for m in metrics if m.number in fresh for s in _sources(experiment, m)]
        if sources:
            await self._session.execute(insert(SourceRow).on_conflict_do_nothing(), sources)

    async def absorb(self) -> Absorbed:
        """Make what was laid out part of the state: events first, then exposures, then the cells."""
        raw = await self._raw()
        fresh = _count(await raw.execute(sql.KEEP_EVENTS))
        if fresh:
            await self._move(raw)
        met = _count(await raw.execute(sql.MEET))
        if met:
            await self._meet(raw)
        groups = await raw.fetch(sql.GROUPS)
        if groups:
            await self._merge(raw, groups)
        return Absorbed(events=fresh, exposures=met, cells=len(groups))

    async def _move(self, raw: Any) -> None:  # noqa: ANN401 - asyncpg's own connection
        await raw.execute(sql.MOVE)
        if await raw.fetchval(sql.HAS_FUNNELS) and _count(await raw.execute(sql.WALKERS)):
            await self._walk(raw)
            await raw.execute(sql.WALKED)
            await raw.execute("DELETE FROM walk")
        await raw.execute(sql.TALLY)
        await raw.execute(sql.TURN)

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
            if not _count(await raw.execute(sql.STEP, step)):
                return

    async def _merge(self, raw: Any, groups: Sequence[Any]) -> None:  # noqa: ANN401
        """Carry the groups into their cells; experiments are locked in order, so that nobody waits in a ring."""
        changes = _changes(groups)
        for lock in sorted({_lock_of(key.experiment) for key in changes}):
            await raw.execute("SELECT pg_advisory_xact_lock($1)", lock)
        keys = sorted(changes)
        before = {
            Key(*row[:7]): Moments(row["n"], tuple(row["mean"]), tuple(row["co"]))
            for row in await raw.fetch(sql.CELLS, *(list(c) for c in zip(*keys, strict=True)))
        }
        after = [(key, _changed(before.get(key, nothing()), *changes[key])) for key in keys]
        rows = [(*key, it.n, list(it.mean), list(it.co)) for key, it in after]
        await raw.executemany(sql.PUT_CELL, rows)

    async def _raw(self) -> Any:  # noqa: ANN401
        """Return asyncpg's connection: COPY is beyond SQLAlchemy. It is in the session's transaction."""
        await self._session.execute(select(1))
        connection = await self._session.connection()
        return (await connection.get_raw_connection()).driver_connection


def _changed(cell: Moments, entered: Moments, left: Moments) -> Moments:
    return cell.plus(entered).minus(left) if left.n else cell.plus(entered)


def _changes(groups: Iterable[Any]) -> dict[Key, tuple[Moments, Moments]]:
    """Return what enters and what leaves each cell: that of all units, that of the day, and one a dimension."""
    entered: dict[Key, Moments] = defaultdict(nothing)
    left: dict[Key, Moments] = defaultdict(nothing)
    for row in groups:
        part = Moments(row["n"], tuple(row["mean"]), tuple(row["co"]))
        side = entered if row["sign"] > 0 else left
        for name, value in _slices(row["day"], row["dims"]):
            key = Key(
                row["experiment"], row["metric"], row["phase"], row["variant"], name, value,
                row["bucket"],
            )  # fmt: skip
            side[key] = side[key].plus(part)
    return {key: (entered[key], left[key]) for key in entered.keys() | left.keys()}


def _slices(day: int, dims: str) -> list[tuple[str, str]]:
    made = [("", ""), ("day", (_DAY_ONE + timedelta(days=day)).isoformat())]
    return made if dims == "{}" else [*made, *json.loads(dims).items()]


def _lock_of(experiment: UUID) -> int:
    return int.from_bytes(experiment.bytes[8:], signed=True)


def _count(status: str) -> int:
    """Return how many rows a statement touched, from what the server says of it: INSERT 0 17."""
    return int(status.rsplit(" ", 1)[1])


def _exposed(experiment: UUID) -> dict[str, Any]:
    return _measure_row(experiment, 0, "", None) | {"whether": True}


def _measured(experiment: UUID, metric: Frozen) -> dict[str, Any]:
    it = metric.definition
    made = _measure_row(experiment, metric.number, metric.key, document(it))
    return made | {
        "whether": it.kind in WHETHER,
        "ratio": it.denominator is not None,
        "low": it.low,
        "high": it.high,
        "ranked": it.ranked,
        "steps": len(it.steps),
    }


def _measure_row(experiment: UUID, number: int, key: str, said: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "experiment": experiment,
        "metric": number,
        "key": key,
        "definition": said,
        "whether": False,
        "ratio": False,
        "low": None,
        "high": None,
        "ranked": False,
        "steps": 0,
    }


def _sources(experiment: UUID, metric: Frozen) -> list[dict[str, Any]]:
    """Return which events make a metric; times in microseconds."""
    it = measure(metric.definition)
    funnel = it.kind is Kind.FUNNEL
    above = [
        _source(it, name, step if funnel else 0, below=False)
        for step, name in enumerate(it.events, 1)
    ]
    under = [_source(it, it.below, 0, below=True)] if it.below else []
    return [{"experiment": experiment, "metric": metric.number, **row} for row in above + under]


def _source(it: Measure, name: str, step: int, *, below: bool) -> dict[str, Any]:
    micro = timedelta(microseconds=1)
    after, length = it.window.after, it.window.length
    summed = not it.counted if below else it.kind in (Kind.SUM, Kind.RATIO)
    return {
        "name": name,
        "step": step,
        "below": below,
        "summed": summed,
        "after": after // micro,
        "until": None if length is None else (after + length) // micro,
        "lookback": it.lookback // micro,
    }


def frozen_of(row: MeasureRow) -> Frozen:
    """Return the metric that a row keeps."""
    assert row.definition is not None
    return Frozen(number=row.metric, key=row.key, definition=definition_of(row.definition))
