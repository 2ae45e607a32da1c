"""The sequencer: which number and time each event gets, and which were there before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit.domain.entry import Entry, Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a tenant's log: the number and time of its newest entry; 0 for an empty log."""

    tenant: UUID
    seq: int
    ts: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the sender of an event gets: its number, and whether it was in the log already."""

    event_id: UUID
    seq: int
    seen_before: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A sequenced batch: a receipt per event in the order sent, the new entries, the heads that moved."""

    receipts: Sequence[Receipt]
    entries: Sequence[Entry]
    heads: Sequence[Head]


Seen = Mapping[tuple[UUID, UUID], int]


def placed(
    events: Sequence[Event], heads: Mapping[UUID, Head], seen: Seen, now: datetime
) -> Placed:
    """Give each new event the next number of its tenant; `seen` maps (tenant, event id) to the number it has."""
    known, moved = dict(seen), dict(heads)
    receipts: list[Receipt] = []
    entries: list[Entry] = []
    for event in events:
        name = (event.tenant, event.id)
        if (seq := known.get(name)) is None:
            entry = _after(moved[event.tenant], event, now)
            moved[event.tenant] = Head(tenant=event.tenant, seq=entry.seq, ts=entry.ts)
            known[name] = entry.seq
            entries.append(entry)
            receipts.append(Receipt(event_id=event.id, seq=entry.seq, seen_before=False))
        else:
            receipts.append(Receipt(event_id=event.id, seq=seq, seen_before=True))
    changed = [head for head in moved.values() if head.seq != heads[head.tenant].seq]
    return Placed(receipts=receipts, entries=entries, heads=changed)


def _after(head: Head, event: Event, now: datetime) -> Entry:
    return Entry(seq=head.seq + 1, ts=max(now, head.ts), event=event)
