"""The sequencer: which number, time, ordinals and leaf each event gets, and which were there before."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit.domain.entry import Entry, Event, Prepared
from audit.domain.merkle import Frontier, leaf_hash
from audit.domain.strands import Ordinals, Strand, Strands, values


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a tenant's log: the number and time of its newest entry (0 for an empty log), and its tree's edge.

    The tree is behind the log where entries were written before logs were trees; they are adopted before any other.
    """

    tenant: UUID
    seq: int
    ts: datetime
    leaves: int = 0
    edge: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the sender of an event gets: its number, and whether it was in the log already."""

    event_id: UUID
    seq: int
    seen_before: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """An entry that enters the log: what it is, its place, the hash of its bytes, and its number in each strand."""

    tenant: UUID
    entry: Entry
    leaf: bytes
    ordinals: Ordinals


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A sequenced batch: a receipt per event in the order sent, what enters, the heads that moved."""

    receipts: Sequence[Receipt]
    leaves: Sequence[Leaf]
    heads: Sequence[Head]


Seen = Mapping[tuple[UUID, UUID], int]
Counts = dict[UUID, dict[Strand, int]]


def strands_of(events: Iterable[Prepared]) -> Strands:
    """Return every strand that an event of these belongs to."""
    found: dict[UUID, set[Strand]] = {}
    for one in events:
        if (ours := found.get(one.event.tenant)) is None:
            ours = found[one.event.tenant] = set()
        ours.update(enumerate(values(one.event)))
    return found


@dataclass(slots=True)
class _End:
    seq: int
    ts: datetime
    tree: Frontier
    counts: dict[Strand, int]


class Placing:
    """Gives places: the next number of its tenant, a time that never runs back, ordinals, a leaf.

    `counts` holds the newest ordinal of every strand that will be met; it is kept up.
    """

    def __init__(self, heads: Mapping[UUID, Head], counts: Counts) -> None:
        self._ends = {
            tenant: _End(
                head.seq,
                head.ts,
                Frontier.of(head.leaves, head.edge),
                counts.setdefault(tenant, {}),
            )
            for tenant, head in heads.items()
        }
        self._moved: set[UUID] = set()

    def add(self, one: Prepared, now: datetime) -> Leaf:
        """Place an event at the end of its tenant's log."""
        end = self._ends[one.event.tenant]
        return self._put(one, end, end.seq + 1, max(now, end.ts))

    def adopt(self, one: Prepared, seq: int, ts: datetime) -> Leaf:
        """Place an event where it stands already, as the next leaf."""
        end = self._ends[one.event.tenant]
        if seq != end.tree.size + 1:
            raise ValueError(f"entry {seq} is not the next leaf of a tree of {end.tree.size}")
        return self._put(one, end, seq, ts)

    def _put(self, one: Prepared, end: "_End", seq: int, ts: datetime) -> Leaf:
        event, body = one.event, one.written(seq, ts)
        leaf = leaf_hash(body)
        end.tree.grow(leaf)
        end.seq, end.ts = max(end.seq, seq), max(end.ts, ts)
        self._moved.add(event.tenant)
        entry = Entry(seq=seq, ts=ts, event=event, body=body, secrets=one.secrets)
        return Leaf(
            tenant=event.tenant, entry=entry, leaf=leaf, ordinals=_numbered(event, end.counts)
        )

    def heads(self) -> Sequence[Head]:
        """Return the heads that moved, where they are now."""
        return [
            Head(
                tenant=tenant,
                seq=end.seq,
                ts=end.ts,
                leaves=end.tree.size,
                edge=end.tree.packed(),
            )
            for tenant, end in self._ends.items()
            if tenant in self._moved
        ]


def _numbered(event: Event, counts: dict[Strand, int]) -> Ordinals:
    numbers: list[int] = []
    for strand in enumerate(values(event)):
        counts[strand] = number = counts.get(strand, 0) + 1
        numbers.append(number)
    return tuple(numbers)


def placed(
    events: Sequence[Prepared],
    heads: Mapping[UUID, Head],
    seen: Seen,
    counts: Counts,
    now: datetime,
) -> Placed:
    """Place each new event; `seen` maps (tenant, event id) to the number that it has."""
    known, placing = dict(seen), Placing(heads, counts)
    receipts: list[Receipt] = []
    leaves: list[Leaf] = []
    for one in events:
        event = one.event
        name = (event.tenant, event.id)
        if (seq := known.get(name)) is not None:
            receipts.append(Receipt(event_id=event.id, seq=seq, seen_before=True))
            continue
        leaf = placing.add(one, now)
        known[name] = leaf.entry.seq
        leaves.append(leaf)
        receipts.append(Receipt(event_id=event.id, seq=leaf.entry.seq, seen_before=False))
    return Placed(receipts=receipts, leaves=leaves, heads=placing.heads())
