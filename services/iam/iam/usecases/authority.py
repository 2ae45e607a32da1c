"""What replicas are told, and what they ask when they have not been told yet. For services only, except `check`."""

import re
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from authz.decision import Explanation, Resource, decide, explain
from authz.standing import ANYTHING, Standing, Thing
from authz.verbs import need_of
from chassis.caller import Caller
from chassis.errors import Unavailable
from iam.domain.authority import Beat, Event, Kind, LiveKey, News, Ready
from iam.domain.errors import KeyNotFound, TooManyRows
from iam.domain.gitops import Entity
from iam.domain.grant_errors import UnknownPermission
from iam.ports import Means, OpenWork
from iam.usecases.feed import Feed

PAGE = 1000
BEAT = 1.0
MOST_USED = 5000
MOST_ASKED = 1000
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """May somebody do this to a thing that another service keeps? Without a tenant: in their own."""

    permission: str
    thing: Thing = ANYTHING
    tenant: str = ""

    def on(self, standing: Standing, kind: str) -> Resource:
        """Return the thing as the decision sees it."""
        return standing.on(kind, self.thing, self.tenant)


@dataclass(frozen=True, slots=True)
class Replicas:
    """The side of iam that other services see."""

    work: OpenWork
    feed: Feed
    means: Means
    clock: Callable[[], float] = time.monotonic

    async def stream(self, kinds: Collection[Kind]) -> AsyncGenerator[Event]:
        """Tell the whole state of these kinds, then each change, and once a second that there is none.

        What changes while the state is read is told again as a change: it was logged after the position that was
        read first. No transaction is open while a reader takes its time.
        """
        async with self.work() as work:
            epoch = await work.authority.epoch()
        for kind in kinds:
            async for news in self._state(kind, epoch):
                yield news
        yield Ready(epoch)
        async for event in self._changes(kinds, epoch):
            yield event

    async def resolve(self, hash_: str) -> LiveKey:
        """Return the key with this SHA-256; KeyNotFound if there is none, or none that holds."""
        async with self.work() as work:
            found = await work.api_keys.known(hash_)
        now = self.means.now()
        if found is None or (found.expires_at and found.expires_at <= now):
            raise KeyNotFound("there is no such API key")
        return found

    async def used(self, keys: Iterable[str]) -> None:
        """Note that API keys, by their ids, were used a moment ago. It is no change that anybody has to hear of."""
        ids = [UUID(key) for key in islice(keys, MOST_USED) if _UUID.fullmatch(key)]
        async with self.work() as work:
            await work.api_keys.used(ids, self.means.now())

    def check(self, caller: Caller, doubt: Doubt, other: Standing | None = None) -> bool:
        """Tell whether the caller, or somebody else, may do something; what means nothing nobody may.

        Who asks about others needs `role:read`.
        """
        if not doubt.permission and other is None:
            return True
        need = need_of(doubt.permission)
        standing = self._of(caller, other)
        return need is not None and decide(standing.compiled, need[1], doubt.on(standing, need[0]))

    def explain(self, caller: Caller, doubt: Doubt, other: Standing | None = None) -> Explanation:
        """Tell why the answer is what it is; UnknownPermission if it is about nothing."""
        if (need := need_of(doubt.permission)) is None:
            raise UnknownPermission(f"there is no permission {doubt.permission!r}")
        standing = self._of(caller, other)
        return explain(standing.compiled, need[1], doubt.on(standing, need[0]))

    async def principals(self, ids: Sequence[UUID]) -> Sequence[Entity]:
        """Return the users, groups and accounts with these ids, in whichever tenant they are."""
        if len(ids) > MOST_ASKED:
            raise TooManyRows(f"ask about at most {MOST_ASKED} at once")
        async with self.work() as work:
            return await work.entities.principals_of(ids)

    def _of(self, caller: Caller, other: Standing | None) -> Standing:
        if other is None:
            return caller.held
        caller.must("role:read")
        return other

    async def _state(self, kind: Kind, epoch: int) -> AsyncGenerator[News]:
        after, full = "", True
        while full:
            async with self.work() as work:
                page = await work.authority.page(kind, after, PAGE, self.means.now())
            for id_, thing in page:
                yield News(epoch, kind, id_, thing)
            full = len(page) == PAGE
            after = page[-1][0] if page else after

    async def _changes(self, kinds: Collection[Kind], epoch: int) -> AsyncGenerator[Event]:
        due = self.clock()
        while not self.feed.closed:
            epoch, news = await self.feed.after(epoch, max(0.0, due - self.clock()))
            for one in news:
                if one.kind in kinds:
                    yield one
            if self.clock() >= due:
                due = self.clock() + BEAT
                if self.feed.fresh:
                    yield Beat(epoch, self.means.now())
        raise Unavailable("this replica of iam is stopping")
