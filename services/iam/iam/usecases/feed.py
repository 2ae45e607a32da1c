"""The feed: changes of authority, read from the log once per process and shared by all streams."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from iam.domain.authority import Change, Kind, News, Thing
from iam.ports import OpenWork, Work
from iam.usecases.following import Follower


class Feed(Follower[Change, News]):
    """What changed lately, in order."""

    most = 10_000
    batch = 500

    def __init__(
        self,
        work: OpenWork,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(work, clock)
        self._now = now

    async def newest(self, work: Work) -> int:
        """Return the epoch."""
        return await work.authority.epoch()

    async def reaches(self, work: Work, position: int) -> bool:
        """Tell whether all changes after an epoch are known."""
        return position >= await work.authority.oldest()

    async def lines(self, work: Work, position: int) -> Sequence[Change]:
        """Return changes after an epoch."""
        return await work.authority.changes(position, self.batch)

    async def told(self, work: Work, lines: Sequence[Change]) -> Sequence[News]:
        """Return how the changed things stand now, each once, where it was changed last."""
        last = {(change.kind, change.id): change.epoch for change in lines}
        found: dict[Kind, Mapping[str, Thing]] = {}
        for kind in {change.kind for change in lines}:
            ids = [id_ for k, id_ in last if k is kind]
            found[kind] = await work.authority.things(kind, ids, self._now())
        news = [News(epoch, kind, id_, found[kind].get(id_)) for (kind, id_), epoch in last.items()]
        return sorted(news, key=lambda one: one.epoch)
