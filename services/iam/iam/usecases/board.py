"""The board: what happened under /global, read from the log once per process and shared by everybody who listens."""

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from iam.domain.acl import Acl
from iam.domain.errors import Behind
from iam.domain.gitops import C, Collection, Entity
from iam.domain.happening import ROLES, Happening, turns_rights
from iam.ports import OpenWork, Work
from iam.usecases.following import EVERY, Follower
from iam.usecases.gitops_lists import lent_to as _lent_to


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


class Board(Follower[Happening, Posted]):
    """What happened lately, in order. While nobody listens nothing is read."""

    most = 2000
    batch = 100

    def __init__(self, work: OpenWork, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(work, clock)
        self._listeners = 0
        self._rights = defaultdict[UUID, int](int)
        self._era = 0

    @property
    def pause(self) -> float | None:
        """Seconds until the log is looked at unasked: for ever while nobody listens."""
        return EVERY if self._listeners else None

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

    async def begin(self, since: int | None) -> int:
        """Return the position to listen from: the newest, or `since`; Behind if the log does not reach back to that."""
        async with self._work() as work:
            newest = await self.newest(work)
            if since is not None and not (since <= newest and await self.reaches(work, since)):
                raise Behind("the log does not reach back to that position: read everything again")
        return newest if since is None else since

    async def look_if_possible(self) -> None:
        """Look if somebody listens; whoever comes next begins where the log is then."""
        if self._listeners:
            await super().look_if_possible()
            return
        self.forget()
        self._rights.clear()
        self._era += 1

    async def newest(self, work: Work) -> int:
        """Return the position of what happened last."""
        return await work.happenings.newest()

    async def reaches(self, work: Work, position: int) -> bool:
        """Tell whether all that happened after a position is known."""
        return position >= await work.happenings.oldest() - 1

    async def lines(self, work: Work, position: int) -> Sequence[Happening]:
        """Return what happened after a position."""
        return await work.happenings.after(position, self.batch)

    async def told(self, work: Work, lines: Sequence[Happening]) -> Sequence[Posted]:
        """Return what happened with the things as they are now, each looked at once."""
        seen = dict[tuple[str, str], Posted]()
        made = list[Posted]()
        for one in lines:
            if one.note.kind == ROLES:
                continue
            key = one.note.kind, one.note.thing
            if key not in seen:
                seen[key] = await _looked_at(work, one)
            made.append(replace(seen[key], happening=one))
        return made

    def remember(self, lines: Sequence[Happening], told: Sequence[Posted]) -> None:
        """Keep what happened, and whose rights it turned."""
        for one in lines:
            self._rights[one.note.tenant] += turns_rights(one.note)
            self._era += one.note.kind == ROLES  # who has it may be of any tenant
        super().remember(lines, told)


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
