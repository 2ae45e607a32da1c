"""Avatars: taken in, shown, and cleared away when nobody has them any more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from chassis.caller import Caller
from iam.domain.avatar import NoSuchFile, StorageAway, is_name, name_of
from iam.domain.gitops import Ref
from iam.ports import Images, Means, OpenWork, Shelf
from iam.usecases.gitops import Gitops, Seen

BATCH = 500
YOUNG = timedelta(
    hours=1
)  # a file that nobody has yet may belong to an upload that is still going on


@dataclass(frozen=True, slots=True)
class Avatars:
    """The pictures of users and groups."""

    gitops: Gitops
    work: OpenWork
    images: Images
    shelf: Shelf
    means: Means

    async def upload(self, caller: Caller, ref: Ref, sent: bytes) -> Seen:
        """Give a thing a picture. Who may not is told so before the image is looked at."""
        caller.must_be_known()
        owner = await self.gitops.changeable(caller, ref)
        image = await self.images.avatar(sent)
        name = name_of(owner, image)
        await self.shelf.put(name, image)
        seen, before = await self.gitops.picture(caller, ref, name)
        if before != name:
            await self._drop(before)
        return seen

    async def remove(self, caller: Caller, ref: Ref) -> None:
        """Take the picture from a thing."""
        caller.must_be_known()
        _, before = await self.gitops.picture(caller, ref, "")
        await self._drop(before)

    async def show(self, name: str) -> bytes:
        """Return a picture, to anybody who knows its name; NoSuchFile if there is none."""
        found = await self.shelf.get(name) if is_name(name) else None
        if found is None:
            raise NoSuchFile("there is no such file")
        return found

    async def clear(self) -> int:
        """Remove the pictures of what was deleted; return how many."""
        async with self.work() as work:
            gone = await work.entities.faded(BATCH)
        for name in gone:
            await self.shelf.drop(name)
        async with self.work() as work:
            await work.entities.unpicture(gone)
        return len(gone)

    async def sweep(self) -> int:
        """Remove files that nothing has, left by uploads that were cut off; return how many."""
        removed, batch = 0, list[str]()
        oldest = self.means.now() - YOUNG
        async for name, kept_at in self.shelf.names():
            if kept_at < oldest:
                batch.append(name)
            if len(batch) >= BATCH:
                removed += await self._sweep(batch)
                batch.clear()
        return removed + await self._sweep(batch)

    async def _sweep(self, names: Sequence[str]) -> int:
        async with self.work() as work:
            kept = await work.entities.pictured(names)
        orphans = [name for name in names if name not in kept]
        for name in orphans:
            await self.shelf.drop(name)
        return len(orphans)

    async def _drop(self, name: str) -> None:
        """Remove a picture now if that is possible; the sweep finds it otherwise."""
        if not name:
            return
        try:
            await self.shelf.drop(name)
        except StorageAway:
            return
