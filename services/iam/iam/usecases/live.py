"""Who hears of what: the board, filtered by what each listener may be notified of at that moment."""

from collections.abc import Callable, Sequence
from collections.abc import Collection as Several
from dataclasses import dataclass, field, replace

from authz.verbs import NOTIFY
from chassis.caller import Caller
from iam.domain.acl import Acl
from iam.domain.gitops import C
from iam.ports import Means, OpenWork
from iam.usecases.board import Board, Posted
from iam.usecases.gitops_asker import Asker
from iam.usecases.gitops_asker import recognised as _recognised

MOST_KNOWN = 5000
Covers = Callable[[Posted], bool]
Known = tuple[tuple[int, int], Asker]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a listener wants to hear of; None: everything. `ids` are keys or UUIDs."""

    kinds: Several[str] | None = None
    ids: Several[str] | None = None

    def covers(self, posted: Posted) -> bool:
        """Tell whether it is about one of these things."""
        note = posted.happening.note
        if self.kinds is not None and note.kind not in self.kinds:
            return False
        return self.ids is None or note.thing in self.ids or called(posted) in self.ids


@dataclass(frozen=True, slots=True)
class Live:
    """Listening, for people and their keys."""

    work: OpenWork
    board: Board
    means: Means
    _known: dict[Caller, Known] = field(default_factory=dict[Caller, Known])

    async def begin(self, caller: Caller, since: int | None) -> int:
        """Return the position to listen from; Behind if the log does not reach back to `since`."""
        caller.must_be_known()
        return await self.board.begin(since)

    async def heard(
        self, caller: Caller, covers: Covers, position: int, seconds: float
    ) -> tuple[int, Sequence[Posted]]:
        """Return what the caller hears of after a position, and the position it leads to; wait if there is nothing.

        `covers` says what the caller wants to hear of, and is asked when there is something.
        """
        caller.must_be_known()
        position, posted = await self.board.after(position, seconds)
        mine = [one for one in posted if covers(one)]
        if not mine:
            return position, ()
        asker = await self._asker(caller)
        return position, [one for one in mine if may_hear(asker, one)]

    async def _asker(self, caller: Caller) -> Asker:
        """Return who listens, with their rights as they are now: looked up again when the board says they changed.

        The number is read before the rights are: what changes in between is looked up once more.
        """
        rights = self.board.rights(caller.tenant)
        known = self._known.get(caller)
        if known is not None and known[0] == rights:
            return known[1]
        async with self.work() as work:
            asker = await _recognised(work, caller, self.means.now())
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[caller] = rights, asker
        return asker


def may_hear(asker: Asker, posted: Posted) -> bool:
    """Tell whether somebody may be notified of a thing: decided as at the gitops doors."""
    entity, note = posted.entity, posted.happening.note
    if note.kind == C.PERMISSIONS:
        return asker.everywhere("platform", NOTIFY)
    if entity is None:
        return False
    if asker.names.isdisjoint(posted.named):  # no list means them: long ones need not be read
        return asker.can(NOTIFY, replace(entity, acl=Acl()), Acl())
    return asker.can(NOTIFY, entity, posted.lent)


def called(posted: Posted) -> str:
    """Return what a thing is called on the wire."""
    entity = posted.entity
    if entity is None:
        return posted.happening.note.thing
    if entity.collection is not C.MEMBERSHIPS:
        return entity.key
    ends = (posted.keys.get(id_, str(id_)) for id_ in (entity.principal, entity.parent) if id_)
    return "::".join(ends)


def present(posted: Posted) -> bool:
    """Tell whether there is still a thing to be described."""
    entity = posted.entity
    return entity is not None and entity.deleted_at is None
