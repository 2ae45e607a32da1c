"""How long logs are kept, and taking a person out of one. Both are recorded in the transaction that does them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit.domain.errors import StaleRetention
from audit.domain.keeping import Erasure, Retention
from audit.ports import OpenWork
from audit.usecases.facts import SYSTEM, event_of
from audit.usecases.reader import whose
from audit.usecases.recorder import Recorder
from chassis.caller import Caller
from chassis.facts import Actor, Fact, Target
from chassis.pages import PageAsk, Slice

AT_ONCE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long a log shall be kept: `days`, None for ever; a legal hold, None to leave it as it is; and why."""

    days: int | None
    legal_hold: bool | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Keeper:
    """Keeps logs as long as their tenants want."""

    work: OpenWork
    recorder: Recorder
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def retention(self, caller: Caller, tenant: UUID | None = None) -> Retention:
        """Return how long the log is kept."""
        caller.must("audit:admin")
        async with self.work() as work:
            return await work.keeping.retention(whose(caller, tenant, "audit:admin"))

    async def retain(
        self, caller: Caller, terms: Terms, expected: int | None, asked: UUID | None = None
    ) -> Retention:
        """Set how long the log is kept."""
        caller.must("audit:admin")
        tenant, now = whose(caller, asked, "audit:admin"), self.now()
        async with self.work() as work:
            before = await work.keeping.retention(tenant, lock=True)
            if expected is not None and expected != before.version:
                raise StaleRetention("the retention was changed meanwhile: read it again")
            hold = before.legal_hold if terms.legal_hold is None else terms.legal_hold
            after = before.changed(terms.days, now, legal_hold=hold)
            await work.keeping.put(after)
            fact = Fact(
                tenant=tenant,
                actor=Actor.of(caller),
                action="audit_log.retention_changed",
                target=Target("audit_log", str(tenant)),
                before=before.said(),
                after=after.said(),
                reason=terms.reason,
            )
            await self.recorder.record(work, event_of(fact, self.new_id(), now))
        return after

    async def erase(
        self, caller: Caller, person: str, reason: str, tenant: UUID | None = None
    ) -> tuple[Erasure, bool]:
        """Delete a person's key, and with it all that a log holds of their person; tell whether that is news."""
        caller.must("audit:admin")
        log, now, event_id = whose(caller, tenant, "audit:admin"), self.now(), self.new_id()
        asked = Erasure(
            id=event_id, tenant=log, person=person, at=now, asked_by=caller.subject, reason=reason
        )
        async with self.work() as work:
            done = await work.keeping.forget(asked)
            if new := done.id == event_id:
                fact = Fact(
                    tenant=log,
                    actor=Actor.of(caller),
                    action="person.erased",
                    target=Target("person", person),
                    reason=reason,
                )
                await self.recorder.record(work, event_of(fact, event_id, now))
        return done, new

    async def erasures(
        self, caller: Caller, ask: PageAsk, tenant: UUID | None = None
    ) -> Slice[Erasure]:
        """Return who was erased, newest first."""
        caller.must("audit:admin")
        async with self.work() as work:
            return await work.keeping.erasures(whose(caller, tenant, "audit:admin"), ask)

    async def sweep(self) -> int:
        """Drop what no tenant wants kept; return how many entries went."""
        async with self.work() as work:
            limited = await work.keeping.limited()
        gone = 0
        for terms in limited:
            while dropped := await self._drop(terms.tenant):
                gone += dropped
        return gone

    async def _drop(self, tenant: UUID) -> int:
        """Drop some of a log, by the terms as they are now."""
        now = self.now()
        async with self.work() as work:
            before = (await work.keeping.retention(tenant, lock=True)).before(now)
            if before is None:
                return 0
            low, high = await work.keeping.drop(tenant, before, AT_ONCE)
            if high < low:
                return 0
            fact = Fact(
                tenant=tenant,
                actor=SYSTEM,
                action="audit_log.trimmed",
                target=Target("audit_log", str(tenant)),
                after={"first": low, "last": high},
                reason="retention",
            )
            await self.recorder.record(work, event_of(fact, self.new_id(), now))
        return high - low + 1
