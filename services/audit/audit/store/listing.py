"""How lists are read: never by counting what an index already knows, never by skipping.

Within a strand (what one filter asks for) each entry has its ordinal in the index, so a total is the difference of two,
and the place of page N is found by halving. What several filters ask for is looked for along the smallest strand.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import TextClause

from audit.domain.entry import ACTOR, TARGET, Entry, read
from audit.domain.wanted import Wanted
from audit.ports import Asked, Span, Vault, Window
from audit.store.people import SqlPeople
from audit.store.tables import STRANDS, EntryRow, HeadRow, PersonRow
from audit.usecases.sealing import opened

_ENDS = """
    SELECT (SELECT {number} FROM audit.entry WHERE tenant = :tenant AND {column} = :value
            AND seq BETWEEN :low AND :high ORDER BY seq LIMIT 1),
           (SELECT {number} FROM audit.entry WHERE tenant = :tenant AND {column} = :value
            AND seq BETWEEN :low AND :high ORDER BY seq DESC LIMIT 1)
"""
# The sought entry is between low and high, always; each step asks who stands at the middle or next before it.
_PLACE = """
    WITH RECURSIVE halved (low, high) AS (
        SELECT CAST(:low AS bigint), CAST(:high AS bigint)
        UNION ALL
        SELECT CASE WHEN at.n = :ordinal THEN at.seq WHEN at.n > :ordinal THEN low
                    ELSE (low + high) / 2 + 1 END,
               CASE WHEN at.n >= :ordinal THEN at.seq ELSE high END
        FROM halved LEFT JOIN LATERAL (
            SELECT seq, {number} AS n FROM audit.entry
            WHERE tenant = :tenant AND {column} = :value AND seq <= (halved.low + halved.high) / 2
            ORDER BY seq DESC LIMIT 1) AS at ON true
        WHERE low < high)
    SELECT high FROM halved WHERE low >= high
"""


def _of_each(template: str) -> tuple[TextClause, ...]:
    """Return a statement for each strand, in the order of STRANDS."""
    return tuple(text(template.format(column=c, number=n)) for c, n in STRANDS.values())


_ENDS_OF, _PLACE_IN = _of_each(_ENDS), _of_each(_PLACE)
_VALUES = tuple(getattr(EntryRow, column) for column, _ in STRANDS.values())
# The same by what the indexes of the other strands hold (tables.BESIDES).
_INSIDE = tuple(
    func.split_part(EntryRow.action, ".", 2) if name == "verb" else value
    for name, value in zip(STRANDS, _VALUES, strict=True)
)


class SqlListing:
    """Reads of the logs over one session."""

    def __init__(self, session: AsyncSession, people: SqlPeople, vault: Vault) -> None:
        self._reading = session
        self._people = people
        self._vault = vault

    async def span(self, tenant: UUID, since: datetime | None, until: datetime | None) -> Span:
        """Turn times into numbers by a probe of an index for each end."""
        row = EntryRow
        head = select(HeadRow.dropped, HeadRow.seq).filter_by(tenant=tenant)
        dropped, high = next(iter(await self._reading.execute(head)), (0, 0))
        if until is not None:
            high = await self._reading.scalar(_end(tenant, row.ts <= until, newest=True)) or 0
        if since is None or not high:
            return Span(dropped + 1, high)
        low = await self._reading.scalar(_end(tenant, row.ts >= since, newest=False))
        return Span(low or high + 1, high)

    async def stretch(self, tenant: UUID, strand: Asked, span: Span) -> Span:
        """Probe both ends of a strand."""
        which, value = strand
        asked = {"tenant": tenant, "value": value, "low": span.low, "high": span.high}
        first, last = (await self._reading.execute(_ENDS_OF[which], asked)).one()
        return Span(1, 0) if first is None else Span(first, last)

    async def place(self, tenant: UUID, strand: Asked, span: Span, ordinal: int) -> int:
        """Halve the span until the entry is found: 23 probes for five million."""
        which, value = strand
        asked = {"tenant": tenant, "value": value, "low": span.low, "high": span.high}
        found = await self._reading.execute(_PLACE_IN[which], {**asked, "ordinal": ordinal})
        return found.scalar_one()

    async def newest(self, tenant: UUID, span: Span, wanted: Wanted, limit: int) -> Sequence[Entry]:
        """Read the wanted entries backwards."""
        return await self.entries(_matching(tenant, span, wanted), limit)

    async def oldest(self, tenant: UUID, span: Span, wanted: Wanted, limit: int) -> Sequence[Entry]:
        """Read the wanted entries forwards."""
        return await self.entries(_matching(tenant, span, wanted), limit, oldest=True)

    async def window(
        self, tenant: UUID, span: Span, wanted: Wanted, along: Asked | None, most: int
    ) -> Window:
        """Look back along a strand, or along the log, and count what matches; only numbers leave the database."""
        query = _looked_at(tenant, span, wanted, along, most + 1)
        fits, oldest, count = (await self._reading.execute(query)).one()
        whole = count <= most  # if not, the oldest is one too many
        down_to = span.low if oldest is None else oldest + (not whole)
        seqs = sorted((one for one in fits or () if one >= down_to), reverse=True)
        return Window(seqs=seqs, down_to=down_to, whole=whole)

    async def these(self, tenant: UUID, seqs: Sequence[int]) -> Sequence[Entry]:
        """Look entries up by their numbers."""
        return await self.entries(
            (EntryRow.tenant == tenant, EntryRow.seq.in_(seqs)), len(seqs) or 1
        )

    async def entries(
        self, where: Sequence[ColumnElement[bool]], limit: int, *, oldest: bool = False
    ) -> Sequence[Entry]:
        """Read entries in order, and open what is personal in them."""
        row = EntryRow
        query = select(row.body, row.sealed_actor, row.sealed_target).where(*where)
        query = query.order_by(row.seq if oldest else row.seq.desc()).limit(limit)
        found = [
            (read(body), {ACTOR: actor, TARGET: target})
            for body, actor, target in await self._reading.execute(query)
        ]
        return await self._opened(found)

    async def _opened(
        self, found: Sequence[tuple[Entry, dict[str, bytes | None]]]
    ) -> Sequence[Entry]:
        if not found:
            return []
        people = {who for e, _ in found for who in (e.event.doer, e.event.subject) if who}
        tenant = found[0][0].event.tenant
        keys = await self._people.keys(tenant, people)
        whole: list[Entry] = []
        for entry, kept in found:
            event = entry.event
            sealed = {part: text for part, text in kept.items() if text is not None}
            whose = {ACTOR: event.doer, TARGET: event.subject}
            ours = {part: keys[whose[part]] for part in sealed if whose[part] in keys}
            secrets = opened(self._vault, ours, sealed, event)
            whole.append(read(entry.body, secrets) if secrets else entry)
        return whole


def _end(tenant: UUID, within: ColumnElement[bool], *, newest: bool) -> Any:  # noqa: ANN401
    row = EntryRow
    order = (row.ts.desc(), row.seq.desc()) if newest else (row.ts, row.seq)
    return select(row.seq).where(row.tenant == tenant, within).order_by(*order).limit(1)


def _matching(tenant: UUID, span: Span, wanted: Wanted) -> Sequence[ColumnElement[bool]]:
    row = EntryRow
    return (
        row.tenant == tenant,
        row.seq.between(span.low, span.high),
        *_rest(tenant, wanted),
    )


def _looked_at(
    tenant: UUID, span: Span, wanted: Wanted, along: Asked | None, most: int
) -> Select[Sequence[int] | None, int | None, int]:
    """Ask for the newest entries of a strand which are wanted, the oldest that was looked at, and how many were."""
    row = EntryRow
    where = [row.tenant == tenant, row.seq.between(span.low, span.high)]
    strands = wanted.strands
    if along is not None:
        where.append(_VALUES[along[0]] == along[1])
        del strands[along[0]]
    fits = [_INSIDE[which] == value for which, value in strands.items()]
    within = and_(true(), *fits, *(_called(tenant, term) for term in wanted.terms))
    looked = select(row.seq, within.label("fits")).where(*where)
    looked = looked.order_by(row.seq.desc()).limit(most).subquery()
    seq = looked.c.seq
    return select(func.array_agg(seq).filter(looked.c.fits), func.min(seq), func.count(seq))


def _rest(tenant: UUID, wanted: Wanted) -> Sequence[ColumnElement[bool]]:
    strands = [_VALUES[which] == value for which, value in wanted.strands.items()]
    return (*strands, *(_called(tenant, term) for term in wanted.terms))


def _called(tenant: UUID, term: str) -> ColumnElement[bool]:
    """Ask for a word in what is written, or in the name of somebody who is meant."""
    row, person = EntryRow, PersonRow
    meant = select(person.id).where(
        person.tenant == tenant, person.names.contains(term, autoescape=True)
    )
    return or_(
        row.words.contains(term, autoescape=True),
        row.actor_id.in_(meant),
        row.entity_id.in_(meant),
    )
