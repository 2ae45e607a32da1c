"""What runs by itself."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta

from chassis.authority import Authority
from chassis.errors import Fault
from iam.ports import Means, OpenWork
from iam.usecases.assignments import TURNED, Assignments
from iam.usecases.avatars import Avatars
from iam.usecases.bootstrap import Bootstrap
from iam.usecases.keys import SigningKeys

log = logging.getLogger(__name__)

TURN = 30.0  # seconds between two looks at the signing keys; far less than a key is published ahead
SWEEP = 600.0
TIDE = 0.5  # seconds; a role that begins or ends by itself must be in force everywhere within one
CHANGES_KEPT = timedelta(hours=1)
HAPPENINGS_KEPT = timedelta(days=1)
ROUNDS = 120  # of clearing, to one look through all files
CLEAR = 15.0  # seconds for which the picture of what was deleted may still be seen
SESSIONS_KEPT = timedelta(days=7)


@dataclass(slots=True)
class Start:
    """Has the first key and the first administrator made, and says when that is done."""

    keys: SigningKeys
    authority: Authority
    bootstrap: Bootstrap
    admin_password: str | None
    api_key: str | None
    done: bool = False

    async def run(self) -> None:
        """Make what must be there, then keep the keys turning until cancelled; at once when another turned them."""
        while True:
            await self._turn()

    async def _turn(self) -> None:
        heard = self.authority.signing_generation
        await self.keys.turn()
        if not self.done:
            await self.bootstrap.begin(self.admin_password, self.api_key)
            self.done = True
        await self.authority.until(lambda _: self.authority.signing_generation != heard, TURN)

    def waits(self) -> str:
        """Say what keeps iam from serving, or nothing."""
        return "" if self.done else "waiting for the database to make the first key"


@dataclass(frozen=True, slots=True)
class Tide:
    """Has replicas told when a role that was given for a time begins or ends."""

    assignments: Assignments

    async def run(self) -> None:
        """Look every half a second until cancelled, at once again where there is more."""
        while True:
            if await self.assignments.turn() < TURNED:
                await asyncio.sleep(TIDE)


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Forgets what nobody can need any more."""

    work: OpenWork
    means: Means

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(SWEEP)
            await self.sweep()

    async def sweep(self) -> None:
        """Forget old changes and sessions that were over long ago."""
        now = self.means.now()
        async with self.work() as work:
            await work.authority.trim(now - CHANGES_KEPT)
            await work.happenings.trim(now - HAPPENINGS_KEPT)
            await work.sessions.sweep(now - SESSIONS_KEPT)
            await work.resets.sweep(now)


@dataclass(frozen=True, slots=True)
class Cleaner:
    """Removes pictures that nobody has."""

    avatars: Avatars

    async def run(self) -> None:
        """Clear until cancelled; look through all files now and then."""
        rounds = 0
        while True:
            await asyncio.sleep(CLEAR)
            rounds += 1
            try:
                await self.avatars.clear()
                if rounds % ROUNDS == 0:
                    await self.avatars.sweep()
            except Fault as fault:
                log.warning("pictures cannot be cleared away: %s", fault.detail)
