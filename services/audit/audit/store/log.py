"""The log in PostgreSQL.

An append is three statements whatever its size: lock the heads, COPY the entries, move the heads; and what this process
does not know yet, keys and ordinals, is asked for before. How lists are read is in listing.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC
from typing import Any, cast
from uuid import UUID

from asyncpg import UniqueViolationError
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from audit.domain.entry import ACTOR, TARGET, Entry
from audit.domain.sequence import Counts, Head, Seen
from audit.domain.strands import Strands
from audit.domain.writing import Prepared
from audit.ports import Kept, SeenBefore, Vault
from audit.store.listing import SqlListing
from audit.store.people import SqlPeople
from audit.store.tables import STRANDS, EntryRow

# Sorted, so that two appends never wait for each other; the empty update is what locks a head that is there.
_LOCK = text(
    """
    INSERT INTO audit.head (tenant)
    SELECT tenant FROM unnest(CAST(:tenants AS uuid[])) AS asked (tenant) ORDER BY tenant
    ON CONFLICT (tenant) DO UPDATE SET tenant = excluded.tenant
    RETURNING tenant, seq, ts, leaves, edge
    """
)
_SEEN = text(
    """
    SELECT entry.tenant, entry.id, entry.seq
    FROM unnest(CAST(:tenants AS uuid[]), CAST(:ids AS uuid[])) AS asked (tenant, id)
    JOIN audit.entry ON entry.tenant = asked.tenant AND entry.id = asked.id
    """
)
_ORDINAL = """WHEN {which} THEN (
        SELECT {number} FROM audit.entry
        WHERE entry.tenant = asked.tenant AND entry.{column} = asked.value AND {number} IS NOT NULL
        ORDER BY seq DESC LIMIT 1)"""
_COUNTS = text(
    "SELECT asked.tenant, asked.which, asked.value, coalesce(CASE asked.which "  # noqa: S608 - names of our own columns
    + " ".join(
        _ORDINAL.format(which=which, column=column, number=number)
        for which, (column, number) in enumerate(STRANDS.values())
    )
    + " END, 0) FROM unnest(CAST(:tenants AS uuid[]), CAST(:whichs AS int[]), CAST(:texts AS varchar[]))"
    " AS asked (tenant, which, value)"
)
_MOVE = text(
    """
    UPDATE audit.head SET seq = moved.seq, ts = moved.ts, leaves = moved.leaves, edge = moved.edge
    FROM unnest(CAST(:tenants AS uuid[]), CAST(:seqs AS bigint[]), CAST(:times AS timestamptz[]),
                CAST(:leaves AS bigint[]), CAST(:edges AS bytea[]))
         AS moved (tenant, seq, ts, leaves, edge)
    WHERE head.tenant = moved.tenant
    RETURNING head.tenant, (SELECT note FROM audit.checkpoint WHERE checkpoint.tenant = head.tenant
                            ORDER BY size DESC LIMIT 1) AS note
    """
)
_BEHIND = text("SELECT tenant FROM audit.head WHERE leaves < seq ORDER BY tenant")
_COLUMNS = (
    *("tenant", "seq", "id", "ts", "actor_id", "entity_id", "entity_type", "verb", "action"),
    *("outcome", *(number for _, number in STRANDS.values())),
    *("words", "body", "leaf", "sealed_actor", "sealed_target"),
)
_ADOPTED = ("action", "outcome", *_COLUMNS[10:])
_TYPES = ("varchar", "varchar", *["bigint"] * len(STRANDS), "varchar", *["bytea"] * 4)
_ADOPT = text(
    "UPDATE audit.entry SET "  # noqa: S608 - names of our own columns
    + ", ".join(f"{name} = new.{name}" for name in _ADOPTED)
    + " FROM unnest(CAST(:tenants AS uuid[]), CAST(:seqs AS bigint[]), "
    + ", ".join(f"CAST(:{n} AS {t}[])" for n, t in zip(_ADOPTED, _TYPES, strict=True))
    + f") AS new (tenant, seq, {', '.join(_ADOPTED)})"
    " WHERE entry.tenant = new.tenant AND entry.seq = new.seq"
)


class SqlLog(SqlListing):
    """The logs over one session."""

    def __init__(self, session: AsyncSession, people: SqlPeople, vault: Vault) -> None:
        super().__init__(session, people, vault)
        self._session = session

    async def lock(self, tenants: Collection[UUID]) -> Mapping[UUID, Head]:
        """Lock the heads, in the order of their tenants."""
        rows = await self._session.execute(_LOCK, {"tenants": list(tenants)})
        return {
            tenant: Head(tenant=tenant, seq=seq, ts=ts.astimezone(UTC), leaves=leaves, edge=edge)
            for tenant, seq, ts, leaves, edge in rows
        }

    async def seen(self, events: Sequence[Prepared]) -> Seen:
        """Look the events up by tenant and id."""
        asked = {
            "tenants": [one.event.tenant for one in events],
            "ids": [one.event.id for one in events],
        }
        rows = await self._session.execute(_SEEN, asked)
        return {(tenant, event_id): seq for tenant, event_id, seq in rows}

    async def counts(self, strands: Strands) -> Counts:
        """Probe the end of each strand."""
        each = [(tenant, *strand) for tenant, ours in strands.items() for strand in ours]
        tenants, whichs, texts = map(list, zip(*each, strict=True))
        asked = {"tenants": tenants, "whichs": whichs, "texts": texts}
        found: Counts = {}
        for tenant, which, value, number in await self._session.execute(_COUNTS, asked):
            found.setdefault(tenant, {})[which, value] = number
        return found

    async def enter(self, kept: Sequence[Kept], heads: Sequence[Head]) -> Mapping[UUID, str]:
        """COPY the entries, then move the heads."""
        connection = await (await self._session.connection()).get_raw_connection()
        driver = cast("Any", connection.driver_connection)  # asyncpg's own: only it can COPY
        try:
            await driver.copy_records_to_table(
                "entry", schema_name="audit", columns=_COLUMNS, records=map(_row, kept)
            )
        except UniqueViolationError as there:
            if getattr(there, "constraint_name", "") == "entry_id":
                raise SeenBefore from there
            raise
        return await self._move(heads)

    async def _move(self, heads: Sequence[Head]) -> Mapping[UUID, str]:
        moved: dict[str, list[Any]] = {
            "tenants": [head.tenant for head in heads],
            "seqs": [head.seq for head in heads],
            "times": [head.ts for head in heads],
            "leaves": [head.leaves for head in heads],
            "edges": [head.edge for head in heads],
        }
        rows = await self._session.execute(_MOVE, moved)
        return {tenant: note for tenant, note in rows if note is not None}

    async def behind(self) -> Sequence[UUID]:
        """Compare trees with their logs."""
        return list(await self._session.scalars(_BEHIND))

    async def plain(self, tenant: UUID, after: int, limit: int) -> Sequence[bytes]:
        """Read on from a number."""
        row = EntryRow
        query = select(row.body).where(row.tenant == tenant, row.seq > after)
        return list(await self._session.scalars(query.order_by(row.seq).limit(limit)))

    async def adopt(self, kept: Sequence[Kept], heads: Sequence[Head]) -> None:
        """Update what has no leaf yet; a trigger refuses it for all else."""
        columns = zip(*(_row(one) for one in kept), strict=True)
        table = dict(zip(_COLUMNS, map(list, columns), strict=True))
        told: dict[str, list[Any]] = {name: table[name] for name in _ADOPTED}
        await self._session.execute(
            _ADOPT, told | {"tenants": table["tenant"], "seqs": table["seq"]}
        )
        await self._move(heads)

    async def get(self, tenant: UUID, event_id: UUID) -> Entry | None:
        """Find an entry by its event's id."""
        where = (EntryRow.tenant == tenant, EntryRow.id == event_id)
        return next(iter(await self.entries(where, 1)), None)


def _row(one: Kept) -> tuple[object, ...]:
    (made, seq, ts, body, leaf, ordinals), sealed = one
    event, (actor, entity, entity_type, verb, action, outcome) = made.event, made.strands
    place = (event.tenant, seq, made.id, ts, actor[1], entity[1], entity_type[1], verb[1])
    rest = (made.words, body, leaf, sealed.get(ACTOR), sealed.get(TARGET))
    return (*place, action[1], outcome[1], *ordinals, *rest)
