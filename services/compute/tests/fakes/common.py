"""What all fakes of compute stand on: templates, sizes, pages."""

from datetime import datetime
from uuid import UUID

from chassis.pages import Slice, cut
from compute.domain.quota import Amount

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
