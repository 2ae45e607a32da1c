"""Holding what each environment serves, in memory, fresh: the reason why an evaluation waits for nobody.

A place is read when it is first asked for, by one reader however many wait. From then on it is read again when a change
is announced, and when polling shows that an announcement was missed. What cannot be read again stays as it was.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import Gauge

from chassis.caller import Caller
from chassis.errors import Fault
from flags.domain.context import UNIT, Context
from flags.domain.place import Place, place_of
from flags.domain.ruleset import Ruleset, compile_all
from flags.ports import Shelf
from flags.usecases.tally import Counts, Tally

MOST_SEEN = 1_000  # contexts that are remembered of each place

log = logging.getLogger(__name__)

REFUSED = Gauge("flags_refused", "Flags whose stored form cannot be served", ["environment"])


@dataclass(slots=True)
class Held:
    """What is in force at one place; `ruleset` is replaced as a whole, never changed."""

    place: Place
    ruleset: Ruleset | None = None
    reading: asyncio.Task[None] | None = None
    seen: deque[Context] = field(default_factory=lambda: deque[Context](maxlen=MOST_SEEN))
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True)
class Rulesets:
    """The rulesets that this replica holds."""

    shelf: Shelf
    _held: dict[Place, Held] = field(default_factory=dict[Place, Held])

    async def open(self, caller: Caller) -> Held:
        """Return what is held of the caller's place, with its ruleset; reads it if nobody has asked before.

        Unavailable if it cannot be read.
        """
        caller.must("flag:evaluate")
        place = place_of(caller, None, None)
        held = self._held.setdefault(place, Held(place))
        if held.ruleset is None:
            await self._read(held)
        return held

    def seen(self, place: Place) -> Sequence[Context]:
        """Return the contexts that this replica was lately asked with at a place: the last one of each unit."""
        held = self._held.get(place)
        return list({str(c.get(UNIT)): c for c in held.seen}.values()) if held else []

    def drain(self) -> Iterator[tuple[Place, Counts]]:
        """Yield how often each answer of each place was given since this was asked last."""
        for place, held in self._held.items():
            if counts := held.tally.take():
                yield place, counts

    async def heard(self, place: Place, revision: int) -> None:
        """Take notice that a place has a newer revision; places that nobody asks for do not matter."""
        held = self._held.get(place)
        if held is not None:
            await self._catch_up(held, revision)

    async def poll(self) -> None:
        """Find out which announcements were missed, and read those places again."""
        known = {p: held.ruleset.revision for p, held in self._held.items() if held.ruleset}
        if not known:
            return
        found = await self.shelf.revisions(known)
        for place, revision in known.items():
            if found.get(place, 0) != revision:
                await self._read_again(self._held[place])

    async def _catch_up(self, held: Held, revision: int) -> None:
        # A reading that was under way may have begun before the change: then one more is needed, but never a third.
        for _ in range(2):
            if held.ruleset is not None and held.ruleset.revision < revision:
                await self._read_again(held)

    async def _read_again(self, held: Held) -> None:
        try:
            await self._read(held)
        except Fault as fault:
            log.warning("%s stays as it was: %s", held.place, fault.detail)

    async def _read(self, held: Held) -> None:
        """Read a place; whoever comes while it is being read waits for the same reading."""
        if held.reading is None:
            held.reading = asyncio.create_task(self._take(held))
            held.reading.add_done_callback(lambda task: _read_is_over(held, task))
        await asyncio.shield(held.reading)

    async def _take(self, held: Held) -> None:
        reading = await self.shelf.read(held.place)
        ruleset, refused = compile_all(
            held.place, reading.revision, reading.rows, held.ruleset, reading.segments
        )
        held.ruleset = ruleset
        _alarm(held.place, refused)


def _read_is_over(held: Held, task: asyncio.Task[None]) -> None:
    held.reading = None
    if not task.cancelled():
        task.exception()  # whoever waits is told; if nobody is left, that is all right


def _alarm(place: Place, refused: Mapping[str, str]) -> None:
    REFUSED.labels(f"{place.tenant}/{place.project}/{place.environment}").set(len(refused))
    for key, trouble in refused.items():
        log.error("flag %r in %s cannot be served: %s", key, place, trouble)
