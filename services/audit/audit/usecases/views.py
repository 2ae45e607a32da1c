"""Leaving in the log who looked at it: the first look of each person at each log in a while, not every page."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from audit.domain.wanted import Wanted
from audit.ports import OpenWork
from audit.usecases.facts import event_of
from audit.usecases.recorder import Recorder
from chassis.caller import Caller
from chassis.facts import Actor, Fact, Target

MOST = 10_000


class Views:
    """Samples the reading of logs. Each process remembers whom it told of in the last `every`; 0 tells of nobody."""

    def __init__(
        self,
        work: OpenWork,
        recorder: Recorder,
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
        every: timedelta,
    ) -> None:
        self._work = work
        self._recorder = recorder
        self._now = now
        self._new_id = new_id
        self._every = every
        self._told: dict[tuple[UUID, str], datetime] = {}

    async def seen(self, caller: Caller, tenant: UUID, looked_for: Wanted) -> None:
        """Record that somebody looks at a log, unless that was told lately; it is there before they see anything."""
        caller.must("audit:read")
        if not self._due(key := (tenant, caller.subject)):
            return
        fact = Fact(
            tenant=tenant,
            actor=Actor.of(caller),
            action="audit_log.viewed",
            target=Target("audit_log", str(tenant)),
            after={"filters": looked_for.filters},
        )
        async with self._work() as work:
            await self._recorder.record(work, event_of(fact, self._new_id(), self._now()))
        self._told[key] = self._now()

    def _due(self, key: tuple[UUID, str]) -> bool:
        if not self._every:
            return False
        if len(self._told) >= MOST:
            self._told = {k: at for k, at in self._told.items() if self._now() - at < self._every}
        told = self._told.get(key)
        return told is None or self._now() - told >= self._every
