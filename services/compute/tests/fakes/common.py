"""What all fakes of compute stand on: moments, names, sizes."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.identity import NoCredential
from chassis.pages import Slice, cut
from compute.domain.quota import Amount

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


TEMPLATE = UUID("01890000-0000-7000-8000-0000000000aa")


ISO = "https://images.example/debian.iso"


LIMIT = Amount(vms=3, cpu=8, memory_gb=16, disk_gb=100)


def part_of(found, wanted):
    """List what is in memory as the store lists what is in its tables."""

    def position(it):
        said = getattr(it, wanted.sort.removeprefix("-"))
        return (said.isoformat() if isinstance(said, datetime) else str(said), str(it.id))

    found = sorted(
        found,
        key=lambda it: (getattr(it, wanted.sort.removeprefix("-")), it.id),
        reverse=wanted.sort.startswith("-"),
    )
    total, ask = len(found), wanted.ask
    if ask.after:
        place = next(i for i, it in enumerate(found) if position(it) == ask.after)
        found = found[place + 1 :]
    items, after = cut(found[ask.offset : ask.offset + ask.limit + 1], ask.limit, position)
    return Slice(items=items, next=after, total=total)


class Clock:
    """A clock that stands until it is set forward."""

    def __init__(self, at=NOON):
        self.at = at

    def __call__(self):
        return self.at

    def forward(self, **by):
        self.at += timedelta(**by)
        return self.at


class Names:
    """An identity that reads a name off the header instead of a credential."""

    def __init__(self, *callers):
        self._known = {caller.subject: caller for caller in callers}

    async def of(self, headers):
        said = headers.get("authorization", "").removeprefix("Bearer ")
        if said not in self._known:
            raise NoCredential("an access token or an API key is needed")
        return self._known[said]
