"""Recording what agents used, and reading what it adds up to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from chassis.caller import Caller
from chassis.errors import FieldError, Invalid
from chassis.facts import Actor, Fact, Target
from chassis.pages import Slice
from compute.domain.agent_errors import NoSuchAgent
from compute.domain.usage import METER, Kind, Line, Record, Totals, total
from compute.domain.usage_errors import (
    BadCorrection,
    NoSuchRecord,
    NotYet,
    ReservedSource,
    UsageConflict,
)
from compute.ports import OpenWork, Work
from compute.ports.ledger import UsageWanted

SKEW = timedelta(minutes=5)  # by which a client's clock may be ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Usage as it is told. A correction names the record that it corrects, and neither agent nor time."""

    source: str
    event_id: str
    kind: Kind = Kind.AGENT_CALL
    agent_id: UUID | None = None
    calls: int
    token_count: int | None
    cost_micros: int | None
    occurred_at: datetime | None = None
    corrects: UUID | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the ledger holds for each thing that was told, in order; `fresh` are those that it did not hold before."""

    records: Sequence[Record]
    fresh: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Usage:
    """Everything one can do with usage."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def record(self, caller: Caller, told: Sequence[Told]) -> Receipt:
        """Append to the ledger: all or, if one thing is wrong, nothing. What is told again is not counted again."""
        caller.must("usage:create")
        self._check(told)
        async with self.work() as work:
            await _agents_known(work, caller, told)
            records = await self._records(work, caller, told)
            kept = await work.ledger.enter(records)
            _check_same(told, records, kept)
            fresh = frozenset(r.id for r in records) & {k.id for k in kept}
            if fresh:
                work.record(_fact(caller, [k for k in kept if k.id in fresh]))
        return Receipt(kept, fresh)

    async def list(self, caller: Caller, wanted: UsageWanted) -> Slice[Record]:
        """Return a part of the tenant's records, the newest first."""
        caller.must("usage:read")
        async with self.work() as work:
            return await work.ledger.list(caller.tenant, wanted)

    async def summary(self, caller: Caller, wanted: UsageWanted) -> tuple[Slice[Line], Totals]:
        """Return a part of the lines of a summary, and the totals of all of them."""
        caller.must("usage:read")
        async with self.work() as work:
            return await work.ledger.summary(caller.tenant, wanted)

    def _check(self, told: Sequence[Told]) -> None:
        latest = self.now() + SKEW
        for n, one in enumerate(told):
            if one.source == METER:
                raise _wrong(ReservedSource, n, "source", f"{METER} is the platform's own meter")
            if one.occurred_at is not None and one.occurred_at > latest:
                raise _wrong(NotYet, n, "occurred_at", "this lies in the future")

    async def _records(self, work: Work, caller: Caller, told: Sequence[Told]) -> Sequence[Record]:
        """Return what was told as records; corrections take from what they correct whose and when they are."""
        aims = frozenset(one.corrects for one in told if one.corrects is not None)
        there = await work.ledger.take(caller.tenant, aims) if aims else ()
        firsts = {r.id: r for r in there if r.corrects is None}
        made = [
            self._record(caller, one, self._aim(caller, firsts, n, one))
            for n, one in enumerate(told)
        ]
        _check_corrections(there, made)
        return made

    def _aim(self, caller: Caller, firsts: dict[UUID, Record], n: int, one: Told) -> Record | None:
        if one.corrects is None:
            return None
        if (aim := firsts.get(one.corrects)) is None:
            raise _wrong(NoSuchRecord, n, "corrects", f"there is no record {one.corrects}")
        if aim.source == METER and not caller.may_everywhere("usage:create"):
            said = "only the platform's administrators correct what the platform has metered"
            raise _wrong(BadCorrection, n, "corrects", said)
        return aim

    def _record(self, caller: Caller, one: Told, aim: Record | None) -> Record:
        now = self.now()
        plain = Record(
            id=self.new_id(),
            tenant=caller.tenant,
            source=one.source,
            event_id=one.event_id,
            kind=one.kind,
            agent_id=one.agent_id,
            calls=one.calls,
            token_count=one.token_count,
            cost_micros=one.cost_micros,
            occurred_at=one.occurred_at or now,
            recorded_at=now,
            recorded_by=caller.subject,
        )
        if aim is None:
            return plain
        return replace(
            plain,
            kind=aim.kind,
            agent_id=aim.agent_id,
            vm_id=aim.vm_id,
            occurred_at=aim.occurred_at,
            corrects=aim.id,
        )


async def _agents_known(work: Work, caller: Caller, told: Sequence[Told]) -> None:
    """Refuse usage of an agent that is not there or another organization's: both are told alike."""
    asked = frozenset(one.agent_id for one in told if one.agent_id is not None)
    unknown = asked - await work.agents.known(caller.tenant, asked)
    for n, one in enumerate(told):
        if one.agent_id in unknown:
            raise _wrong(NoSuchAgent, n, "agent_id", f"there is no agent {one.agent_id}")


def _check_same(told: Sequence[Told], records: Sequence[Record], kept: Sequence[Record]) -> None:
    for n, (one, record, there) in enumerate(zip(told, records, kept, strict=True)):
        if one.occurred_at is None:  # it was not said, so it says nothing else
            record = replace(record, occurred_at=there.occurred_at)
        if not record.says_the_same_as(there):
            said = (
                f"event {record.event_id!r} of {record.source!r} was recorded before, and otherwise"
            )
            raise UsageConflict(
                said, errors=(FieldError(f"/records/{n}/event_id", said, UsageConflict.code),)
            )


def _check_corrections(there: Sequence[Record], made: Sequence[Record]) -> None:
    """Refuse corrections that leave less than nothing; one that the ledger has already counts once."""
    known = {r.key for r in there}
    new = [r for r in made if r.corrects is not None and r.key not in known]
    for aim in {r.corrects for r in new}:
        total(r for r in (*there, *new) if aim in (r.id, r.corrects)).check()


def _wrong(fault: type[Invalid], n: int, name: str, said: str) -> Invalid:
    return fault(said, errors=(FieldError(f"/records/{n}/{name}", said, fault.code),))


def _fact(caller: Caller, records: Sequence[Record]) -> Fact:
    sums = total(records)
    return Fact(
        tenant=caller.tenant,
        actor=Actor.of(caller),
        action="usage.recorded",
        target=Target("usage", str(records[0].id), records[0].source),
        after={
            "records": sums.records,
            "corrections": sums.corrections,
            "calls": sums.calls,
            "token_count": sums.token_count,
            "cost_micros": sums.cost_micros,
        },
    )
