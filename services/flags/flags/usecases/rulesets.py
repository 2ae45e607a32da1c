"""Holding what each environment serves, in memory, fresh: the reason why an evaluation waits for nobody.

A place is read when it is first asked for, by one reader however many wait. From then on it is read again when a change
is announced, and when polling shows that an announcement was missed. What cannot be read again stays as it was, and
says since when it has not been confirmed. What was read is kept outside the process too (`Snapshots`), so that a
replica which starts while the database is away serves the last good state.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from prometheus_client import Counter, Gauge

from chassis.caller import Caller
from chassis.errors import Fault
from flags.domain.context import UNIT, Context
from flags.domain.place import Place, place_of
from flags.domain.ruleset import Ruleset, compile_all
from flags.ports.serving import Reading, Shelf, Snapshots
from flags.usecases.tally import Counts, Tally

MOST_SEEN = 1_000  # contexts that are remembered of each place
STALE = 15.0  # seconds without a confirmation, from which on an answer says how old its state is
DOUBT = 1.0  # seconds for which a place that had not what a client said it had is not looked at for clients

NOTHING = Reading(0, ())

log = logging.getLogger(__name__)

REFUSED = Gauge("flags_refused", "Flags whose stored form cannot be served", ["environment"])
AGE = Gauge("flags_snapshot_age_seconds", "How long ago the oldest state in force was confirmed")
READINGS = Counter("flags_readings", "Places that were read from the database")
UNKEPT = Gauge("flags_snapshots_not_kept", "Places whose last state could not be written to disk")


@dataclass(slots=True)
class Held:
    """What is in force at one place; `ruleset` is replaced as a whole, never changed.

    `source` is what it was made of, with the last good form of what could not be served; `at` when (seconds since
    1970) both were last known to be in force; `turned` is set, and replaced, when another ruleset comes into force;
    until `doubted` (monotonic seconds) nobody looks for what clients say there is.
    """

    place: Place
    ruleset: Ruleset | None = None
    source: Reading = NOTHING
    at: float = 0.0
    since: float = 0.0
    turned: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Task[None] | None = None
    looking: asyncio.Task[None] | None = None
    doubted: float = 0.0
    seen: deque[Context] = field(default_factory=lambda: deque[Context](maxlen=MOST_SEEN))
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True)
class Rulesets:
    """The rulesets that this replica holds.

    `looked` is False from when old ones were recalled until it was tried to find newer ones; `unwritten` is set when
    something is there to be kept.
    """

    shelf: Shelf
    snapshots: Snapshots | None = None
    clock: Callable[[], float] = time.time
    closing: bool = False
    looked: bool = True
    unwritten: asyncio.Event = field(default_factory=asyncio.Event)
    _held: dict[Place, Held] = field(default_factory=dict[Place, Held])
    _unkept: set[Place] = field(default_factory=set[Place])

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

    def age(self, held: Held) -> float:
        """Return for how many seconds what is held has not been confirmed; 0 if that was only just."""
        age = self.clock() - held.at
        return age if age > STALE else 0.0

    async def heard(self, place: Place, revision: int) -> None:
        """Take notice that a place has a newer revision; places that nobody asks for do not matter."""
        held = self._held.get(place)
        if held is not None:
            await self._catch_up(held, revision)

    async def hoped_for(self, held: Held, revision: int) -> None:
        """Look for a revision that a client says there is. Clients are not believed: anybody can write any number.

        All who ask meanwhile wait for one look, which asks for the place's revision only, and reads the place if that
        is newer; if it is not what was said, or cannot be told, the next look is a second later.
        """
        for _ in range(2):  # a look that was under way may have begun before the change
            if held.ruleset is None or held.ruleset.revision >= revision:
                return
            if held.looking is None:
                if time.monotonic() < held.doubted:
                    return
                held.looking = asyncio.create_task(self._look(held, revision))
                held.looking.add_done_callback(lambda task: _look_is_over(held, task))
            await asyncio.shield(held.looking)

    async def poll(self) -> None:
        """Find out which announcements were missed, and read those places again."""
        known = {p: held.ruleset.revision for p, held in self._held.items() if held.ruleset}
        if not known:
            return
        asked_at = self.clock()
        found = await self.shelf.revisions(known)
        for place, revision in known.items():
            if found.get(place, 0) != revision:
                await self._read_again(self._held[place])
            else:
                self._held[place].at = max(asked_at, self._held[place].at)
        await asyncio.to_thread(self._confirmed)

    def recall(self) -> int:
        """Put into force what was kept by the process before this one; return of how many places."""
        count = 0
        for kept in self.snapshots.recall() if self.snapshots else ():
            if kept.place not in self._held:
                held = self._held[kept.place] = Held(kept.place)
                self._put(held, kept.reading)
                held.at, count = kept.at, count + 1
        self._unkept.clear()
        self.looked = not count
        return count

    def write(self) -> None:
        """Write what has changed. What cannot be written is tried again after the next change, and counted."""
        if self.snapshots is None:
            return
        for place in tuple(self._unkept):
            held = self._held[place]
            self._unkept.discard(place)
            try:
                if held.source.revision:
                    self.snapshots.keep(place, held.source)
                else:
                    self.snapshots.forget(place)
            except OSError as full:
                self._unkept.add(place)
                log.warning("the state of %s was not kept: %s", place, full)
        UNKEPT.set(len(self._unkept))

    def close(self) -> None:
        """End every wait for a change: the process stops."""
        self.closing = True
        for held in self._held.values():
            held.turned.set()

    def _confirmed(self) -> None:
        AGE.set(max((self.clock() - held.at for held in self._held.values()), default=0.0))
        if self.snapshots is not None:
            try:
                self.snapshots.confirm()
            except OSError as full:
                log.warning("it was not noted that the snapshots are in force: %s", full)

    async def _look(self, held: Held, revision: int) -> None:
        try:
            found = (await self.shelf.revisions([held.place])).get(held.place, 0)
            await self._catch_up(held, found)
        except Fault as fault:
            log.warning("nobody can tell what is newest in %s: %s", held.place, fault.detail)
        if held.ruleset is None or held.ruleset.revision < revision:
            held.doubted = time.monotonic() + DOUBT

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
        asked_at = self.clock()
        reading = await self.shelf.read(held.place)
        READINGS.inc()
        # What is in force already is not put there again: that would compile it, and wake all who wait for changes.
        if held.ruleset is None or held.ruleset.revision != reading.revision:
            self._put(held, reading)
        held.at = asked_at

    def _put(self, held: Held, reading: Reading) -> None:
        """Put a reading into force, and wake whoever waits for that."""
        ruleset, refused = compile_all(
            held.place, reading.revision, reading.rows, held.ruleset, reading.segments
        )
        held.source = _mended(reading, refused, held.source) if refused else reading
        held.ruleset, held.since = ruleset, self.clock()
        turned, held.turned = held.turned, asyncio.Event()
        turned.set()
        self._unkept.add(held.place)
        self.unwritten.set()
        _alarm(held.place, refused)


def _mended(reading: Reading, refused: Mapping[str, str], before: Reading) -> Reading:
    """Return a reading with the last good form of what was refused, as far as there was one."""
    good = {row.key: row for row in before.rows if row.key in refused}
    return replace(reading, rows=[good.get(row.key, row) for row in reading.rows])


def _read_is_over(held: Held, task: asyncio.Task[None]) -> None:
    held.reading = None
    if not task.cancelled():
        task.exception()  # whoever waits is told; if nobody is left, that is all right


def _look_is_over(held: Held, task: asyncio.Task[None]) -> None:
    held.looking = None
    if not task.cancelled():
        task.exception()


def _alarm(place: Place, refused: Mapping[str, str]) -> None:
    REFUSED.labels(f"{place.tenant}/{place.project}/{place.environment}").set(len(refused))
    for key, trouble in refused.items():
        log.error("flag %r in %s cannot be served: %s", key, place, trouble)
