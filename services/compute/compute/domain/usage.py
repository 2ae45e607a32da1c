"""The ledger of usage: records that are only ever appended, and what they add up to.

Money is whole millionths of the deployment's currency unit (micros), and is rounded to cents once, after it was added
up: so the sum of what is shown for parts may differ from the whole by a cent, and the micros never do.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from compute.domain.usage_errors import BadCorrection

METER = "compute.meter"  # the source of what the platform has metered itself
MICROS_PER_CENT = 10_000
# So that no sum of a year's records leaves what a 64-bit column and a JSON reader hold.
MOST_MICROS, MOST_TOKENS, MOST_CALLS = 10**15, 10**12, 10**9
MOST_RECORDS = 1000
Period = Literal["hour", "day", "month"]
Dimension = Literal["period", "kind", "agent", "vm"]
DIMENSIONS: tuple[Dimension, ...] = ("period", "kind", "agent", "vm")


class Kind(StrEnum):
    """What was used."""

    AGENT_CALL = "agent_call"
    AGENT_TOKENS = "agent_tokens"
    VM_RUNNING = "vm_running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of the ledger. What nobody knows is None: `token_count`, `cost_micros`.

    `corrects` makes it a correction: what it holds is then added to that record's, and may be negative.
    """

    id: UUID
    tenant: UUID
    source: str
    event_id: str
    kind: Kind
    occurred_at: datetime
    recorded_at: datetime
    recorded_by: str
    agent_id: UUID | None = None
    vm_id: UUID | None = None
    calls: int = 0
    token_count: int | None = None
    seconds: int = 0
    cost_micros: int | None = None
    corrects: UUID | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Under which it is known: the same event is never counted twice."""
        return self.source, self.event_id

    @property
    def cost_cents(self) -> int | None:
        """The cost, rounded."""
        return cents(self.cost_micros)

    def says_the_same_as(self, other: "Record") -> bool:
        """Tell whether both tell of the same event alike, whenever and by whomever they were recorded."""
        told = [
            f.name for f in fields(Record) if f.name not in ("id", "recorded_at", "recorded_by")
        ]
        return all(getattr(self, name) == getattr(other, name) for name in told)


def cents(micros: int | None) -> int | None:
    """Return micros as cents, the half away from zero; None for what is unknown."""
    if micros is None:
        return None
    rounded = (abs(micros) * 2 + MICROS_PER_CENT) // (2 * MICROS_PER_CENT)
    return rounded if micros >= 0 else -rounded


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What records add up to. A sum of which nothing is known is None; the records that it lacks are counted."""

    records: int = 0
    corrections: int = 0
    calls: int = 0
    seconds: int = 0
    token_count: int | None = None
    records_without_tokens: int = 0
    cost_micros: int | None = None
    records_without_cost: int = 0

    @property
    def cost_cents(self) -> int | None:
        """The cost, rounded once."""
        return cents(self.cost_micros)

    def check(self) -> "Totals":
        """Return the totals; BadCorrection if a part of them is less than nothing."""
        for name in ("calls", "token_count", "cost_micros"):
            if (getattr(self, name) or 0) < 0:
                raise BadCorrection(f"that would leave a negative {name}")
        return self


def total(records: Iterable[Record]) -> Totals:
    """Add records up."""
    of = list(records)
    told = {r.corrects for r in of if r.token_count is not None}
    priced = {r.corrects for r in of if r.cost_micros is not None}
    first = [r for r in of if r.corrects is None]
    tokenless = [r for r in first if r.token_count is None and r.kind is not Kind.VM_RUNNING]
    return Totals(
        records=len(first),
        corrections=len(of) - len(first),
        calls=sum(r.calls for r in of),
        seconds=sum(r.seconds for r in of),
        token_count=_known(r.token_count for r in of),
        records_without_tokens=sum(r.id not in told for r in tokenless),
        cost_micros=_known(r.cost_micros for r in of),
        records_without_cost=sum(r.cost_micros is None and r.id not in priced for r in first),
    )


def _known(values: Iterable[int | None]) -> int | None:
    said = [value for value in values if value is not None]
    return sum(said) if said else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a summary: totals of what its dimensions have in common; a dimension that is not asked for is None."""

    period: datetime | None
    kind: Kind | None
    agent_id: UUID | None
    vm_id: UUID | None
    totals: Totals

    @property
    def place(self) -> tuple[str, ...]:
        """Where it stands in a summary."""
        return _place(self.period, self.kind, self.agent_id, self.vm_id)


def began(moment: datetime, period: Period) -> datetime:
    """Return when the period of a moment began, in UTC."""
    at = moment.replace(minute=0, second=0, microsecond=0)
    if period == "hour":
        return at
    return at.replace(hour=0) if period == "day" else at.replace(hour=0, day=1)


def summed(
    records: Iterable[Record], by: Sequence[Dimension], period: Period = "day"
) -> list[Line]:
    """Return the summary of records, in the order of its lines. SQL says the same; the tests ask both."""
    groups: defaultdict[tuple[datetime | None, Kind | None, UUID | None, UUID | None], list[Record]]
    groups = defaultdict(list)
    for r in records:
        at = began(r.occurred_at, period) if "period" in by else None
        kind = r.kind if "kind" in by else None
        agent = r.agent_id if "agent" in by else None
        groups[at, kind, agent, r.vm_id if "vm" in by else None].append(r)
    lines = [
        Line(period=at, kind=kind, agent_id=agent, vm_id=vm, totals=total(of))
        for (at, kind, agent, vm), of in groups.items()
    ]
    return sorted(lines, key=lambda line: line.place)


def _place(
    period: datetime | None, kind: Kind | None, agent: UUID | None, vm: UUID | None
) -> tuple[str, ...]:
    at = period.isoformat() if period else ""
    return at, kind.value if kind else "", str(agent or ""), str(vm or "")
