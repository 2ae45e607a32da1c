"""Every denial becomes a fact, `authz.denied`: who was refused which permission, where, and how often.

The first of its kind is stored before the answer; a flood is counted (authz.tally) and told every few seconds. Nobody
waits for a database that is away: the refusal is logged, answered, and told as soon as there is one again.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace

from authz.tally import Tally, Told
from chassis.caller import Caller
from chassis.context import CURRENT, Asked, asked
from chassis.db import AMBIENT, Sessions, transaction
from chassis.errors import Fault, Forbidden
from chassis.facts import Actor, Fact, Outcome, Target
from chassis.outbox import OutboxRow, record

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds of a window
PATIENCE = 0.5  # seconds that an answer waits for its fact
KNOWN: ContextVar[Caller | None] = ContextVar("known", default=None)  # who calls over gRPC
_Latest = tuple[Fact, Asked]
_AN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")


class Denials:
    """Tells the audit log of refusals."""

    def __init__(self, sessions: Sessions, row: type[OutboxRow], wake: Callable[[], None]) -> None:
        self._sessions, self._row, self._wake = sessions, row, wake
        self._tally = Tally[_Latest]()
        self._writing: asyncio.Task[None] | None = None
        self._away = False

    async def note(
        self, caller: Caller | None, fault: Fault, method: str, path: str, target: str = ""
    ) -> None:
        """See to it that a refusal of somebody whom we know is told; other faults are none."""
        if caller is None or not (isinstance(fault, Forbidden) or fault.needed):
            return
        fact = _fact(caller, fault, method, path, target)
        name = (caller.tenant, caller.subject, fault.needed, fault.code, method, path)
        if not self._tally.add(name, (fact, asked())) or self._away:
            return
        # A 404 must take as long for what is there as for what is not: it does not wait for its fact.
        await asyncio.wait({self._writer()}, timeout=PATIENCE * isinstance(fault, Forbidden))

    async def run(self) -> None:
        """Tell every few seconds how often it was; never returns."""
        while True:
            await asyncio.sleep(EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Tell everything that waits, and begin to count anew."""
        if self._writing is not None:
            await asyncio.wait({self._writing})
        await self._write(self._tally.turn())

    def _writer(self) -> asyncio.Task[None]:
        """Return the one task that writes, so that a flood of names takes one connection."""
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(self._tally.due()))
        return self._writing

    async def _write(self, told: list[Told[_Latest]]) -> None:
        AMBIENT.set(None)
        while told:
            try:
                await self._store(told)
            except Fault as away:
                self._away = True
                self._tally.back(told)
                log.warning("%d kinds of denial are not told yet: %s", len(told), away.detail)
                return
            self._away = False
            told = self._tally.due()

    async def _store(self, told: list[Told[_Latest]]) -> None:
        async with transaction(self._sessions) as session:
            for one in told:
                fact, request = one.latest
                CURRENT.set(request)
                after = {**(fact.after or {}), "count": one.count, "crowded": one.crowded}
                record(session, self._row, replace(fact, after=after), self._wake)


def _fact(caller: Caller, fault: Fault, method: str, path: str, target: str) -> Fact:
    kind = fault.needed.partition(":")[0] or "route"
    return Fact(
        tenant=caller.tenant,
        actor=Actor.of(caller),
        action="authz.denied",
        target=Target(kind, target if _AN_ID.fullmatch(target) else "", path),
        after={"permission": fault.needed, "code": fault.code, "method": method, "path": path},
        outcome=Outcome.DENIED,
    )
