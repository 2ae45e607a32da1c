"""Usage: carrying counts from memory to the store, and telling them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from prometheus_client import Counter as Metric

from chassis.caller import Caller
from chassis.pages import PageAsk, Slice, cut
from flags.domain.place import Place
from flags.domain.staleness import Asked, Stale, stale
from flags.domain.usage import KEPT, By, Slot, Usage, hour_of, period_of
from flags.ports import OpenWork
from flags.usecases.checking import allowed
from flags.usecases.homes import home
from flags.usecases.rulesets import Rulesets

MOST_WAITING = 200_000  # slots that are kept while the database is away
AT_ONCE = 5_000

DROPPED = Metric(
    "flags_usage_dropped", "Evaluations that were not counted: too much waited already"
)


@dataclass(slots=True)
class Counting:
    """What this replica has counted and not stored yet. It survives a database that is away, not its own process."""

    rulesets: Rulesets
    work: OpenWork
    now: Callable[[], datetime]
    waiting: Counter[Slot] = field(default_factory=Counter[Slot])

    async def flush(self) -> None:
        """Store what was counted since the last time, and what waits; what cannot be stored goes on waiting."""
        self._gather()
        while self.waiting:
            some = [(slot, self.waiting[slot]) for slot in list(self.waiting)[:AT_ONCE]]
            async with self.work() as work:
                await work.usage.count(some)
            for slot, count in some:
                self._stored(slot, count)

    async def sweep(self) -> None:
        """Forget counts that are too old, and those of flags that are gone."""
        async with self.work() as work:
            await work.usage.forget(self.now() - KEPT)

    def _gather(self) -> None:
        hour = hour_of(self.now())
        for place, counts in self.rulesets.drain():
            for served, count in counts.items():
                slot = Slot(place, served, hour)
                if slot in self.waiting or len(self.waiting) < MOST_WAITING:
                    self.waiting[slot] += count
                else:
                    DROPPED.inc(count)

    def _stored(self, slot: Slot, count: int) -> None:
        self.waiting[slot] -= count
        if not self.waiting[slot]:
            del self.waiting[slot]


@dataclass(frozen=True, slots=True)
class Usages:
    """Everything one can ask about how flags are used."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def of_flag(
        self, caller: Caller, place: Place, flag: str, by: By, ends: Sequence[datetime | None]
    ) -> Usage:
        """Return how often a flag served what at a place, from one end to the other (None: the last seven days)."""
        caller.must_for_some("flag:read")
        now = self.now()
        period = period_of(ends[0], ends[1], by, now)
        async with self.work() as work:
            project = await home(work, place.tenant, place.project, now, self.new_id)
            environment = project.environment(place.environment)
            found = allowed(caller, "flag:read", await work.flags.get(project, flag), flag)
            counts = await work.usage.of_flag(found, environment, period)
            last = await work.usage.last(found, environment)
        return Usage(period=period, counts=counts, last=last)

    async def stale(
        self, caller: Caller, place: Place, limits: tuple[timedelta, timedelta], ask: PageAsk
    ) -> Slice[Stale]:
        """List the flags that look stale, by key; `limits` are how long unchanged is long, and how long unused."""
        own = caller.must_or_own("flag:read", project=place.project)
        now = self.now()
        asked = Asked(environment=place.environment, unchanged=limits[0], unused=limits[1], now=now)
        async with self.work() as work:
            project = await home(work, place.tenant, place.project, now, self.new_id)
            environment = project.environment(place.environment)
            flags = await work.flags.served(project, own)
            used = {u.flag_id: u for u in await work.usage.lately(environment, now - asked.unused)}
            begun = await work.usage.begun(environment)
        found = [s for flag in flags if (s := stale(flag, used.get(flag.id), begun, asked))]
        rest = [s for s in found if not ask.after or s.flag.key > ask.after[0]][ask.offset :]
        items, after = cut(rest[: ask.limit + 1], ask.limit, lambda s: (s.flag.key,))
        return Slice(items=items, next=after, total=len(found))
