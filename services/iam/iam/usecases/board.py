"""The board: what happened under /global, read from the log once per process and shared by everybody who listens.

Like the feed, it remembers the latest in a ring of fixed size, and a listener is nothing but a position in it: a slow
one costs nothing and holds nobody up. While nobody listens nothing is read.
"""

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from uuid import UUID

from chassis.errors import Fault
from iam.domain.acl import Acl
from iam.domain.errors import Behind
from iam.domain.gitops import C, Collection, Entity
from iam.domain.happening import ROLES, Happening, turns_rights
from iam.ports import OpenWork, Work
from iam.usecases.gitops_lists import lent_to as _lent_to

log = logging.getLogger(__name__)

MOST = 2000
BATCH = 100
EVERY = 0.25  # seconds between two looks at the log when no bell rings
FRESH = 3.0  # seconds for which "nothing new" may be said after a look


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """Something that happened, with all that is needed to decide who hears of it and to tell them.

    `entity` is None for what is not there to be looked at: permissions, which are views. `keys` are the ends of edges.
    """

    happening: Happening
    entity: Entity | None
    lent: Acl
    named: frozenset[UUID]
    keys: dict[UUID, str]

    @property
    def position(self) -> int:
        """Where it is in the log."""
        return self.happening.position


class Board:
    """What happened lately, in order."""

    def __init__(self, work: OpenWork, clock: Callable[[], float] = time.monotonic) -> None:
        self.closed = False
        self._work = work
        self._clock = clock
        self._ring: deque[Posted] = deque()
        self._floor = self._position = -1
        self._listeners = 0
        self._looked = float("-inf")
        self._rights = defaultdict[UUID, int](int)
        self._era = 0
        self._woken = asyncio.Event()
        self._moved = asyncio.Condition()

    @property
    def fresh(self) -> bool:
        """Whether nothing can have happened that is not on the board yet."""
        return self._clock() - self._looked < FRESH

    def wake(self) -> None:
        """Look at the log now: somebody committed a change."""
        self._woken.set()

    def rights(self, tenant: UUID) -> tuple[int, int]:
        """Return what is never again the same once somebody of a tenant may do more or less than before."""
        return self._era, self._rights[tenant]

    @contextmanager
    def listening(self) -> Generator[None]:
        """Be somebody for whom the log is read."""
        self._listeners += 1
        self.wake()
        try:
            yield
        finally:
            self._listeners -= 1

    async def run(self) -> None:
        """Follow the log until cancelled, as long as somebody listens; then let everybody go."""
        try:
            while True:
                self._woken.clear()
                await self._look_if_possible()
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY if self._listeners else None):
                        await self._woken.wait()
        except asyncio.CancelledError:
            self.closed = True
            await self._tell()
            raise

    async def look(self) -> None:
        """Read everything that is not on the board yet."""
        full = True
        while full:
            async with self._work() as work:
                if begins := self._position < 0:
                    self._floor = self._position = await work.happenings.newest()
                found = await work.happenings.after(self._position, BATCH)
                posted = await _posted(work, found)
            self._looked = self._clock()
            full = len(found) == BATCH
            self._remember(found, posted)
            if found or begins:
                await self._tell()

    async def begin(self, since: int | None) -> int:
        """Return the position to listen from: the newest, or `since`; Behind if the log does not reach back to that."""
        async with self._work() as work:
            newest, oldest = await work.happenings.newest(), await work.happenings.oldest()
        if since is None:
            return newest
        if not oldest - 1 <= since <= newest:
            raise Behind("the log does not reach back to that position: read everything again")
        return since

    async def after(self, position: int, seconds: float) -> tuple[int, Sequence[Posted]]:
        """Return what happened after a position, and the position it leads to; wait if there is nothing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self.closed or self._position > position)
        if self._position <= position:
            return position, ()
        if position < self._floor:
            return await self._from_log(position)
        return self._position, [one for one in self._ring if one.position > position]

    async def _look_if_possible(self) -> None:
        if not self._listeners:  # whoever comes next begins where the log is then
            self._ring.clear()
            self._rights.clear()
            self._era += 1
            self._floor = self._position = -1
            return
        try:
            await self.look()
        except Fault as fault:
            if self.fresh:
                log.warning("the log of happenings cannot be read: %s", fault.detail)

    async def _from_log(self, position: int) -> tuple[int, Sequence[Posted]]:
        async with self._work() as work:
            if position < await work.happenings.oldest() - 1:
                raise Behind("the log does not reach back to that position: read everything again")
            later = await work.happenings.after(position, BATCH)
            # What is not on the board yet may have changed rights, and the board does not say so yet.
            found = [one for one in later if one.position <= self._position]
            posted = await _posted(work, found)
        return (found[-1].position if found else position), posted

    def _remember(self, found: Sequence[Happening], posted: Sequence[Posted]) -> None:
        for one in found:
            self._rights[one.note.tenant] += turns_rights(one.note)
            self._era += one.note.kind == ROLES  # who has it may be of any tenant
        self._ring.extend(posted)
        while len(self._ring) > MOST:
            self._floor = self._ring.popleft().position
        if found:
            self._position = found[-1].position

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()


async def _posted(work: Work, found: Sequence[Happening]) -> list[Posted]:
    """Return what happened with the things as they are now, each looked at once."""
    seen = dict[tuple[str, str], Posted]()
    made = list[Posted]()
    for one in found:
        if one.note.kind == ROLES:
            continue
        key = one.note.kind, one.note.thing
        if key not in seen:
            seen[key] = await _looked_at(work, one)
        made.append(replace(seen[key], happening=one))
    return made


async def _looked_at(work: Work, one: Happening) -> Posted:
    entity = None
    if one.note.kind != C.PERMISSIONS:
        entity = await work.entities.last(Collection(one.note.kind), UUID(one.note.thing))
    if entity is None:
        return Posted(happening=one, entity=None, lent=Acl(), named=frozenset(), keys={})
    lent = await (_last_lent(work, entity) if entity.deleted_at else _lent_to(work, entity))
    keys = dict(await work.entities.last_keys(entity.ends)) if entity.ends else {}
    named = {p for acl in (entity.acl, lent) for e in acl.entries for p in e.principals}
    return Posted(happening=one, entity=entity, lent=lent, named=frozenset(named), keys=keys)


async def _last_lent(work: Work, entity: Entity) -> Acl:
    """Return what was lent to a thing that is no more, by what may be no more either."""
    if entity.parent is None:
        return Acl()
    tied = entity.collection is C.MEMBERSHIPS
    parent = await work.entities.last(C.GROUPS if tied else C.PROJECTS, entity.parent)
    if parent is None:
        return Acl()
    more = await _last_lent(work, parent) if tied and parent.inherits else Acl()
    return replace(parent.acl, entries=(*parent.acl.entries, *more.entries))
