"""The sequencer: which number, time, ordinals and leaf each event gets, and which were there before.

What is made for each event of a batch is a tuple: a log is locked meanwhile, and a frozen dataclass takes three times
as long to make.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from audit.domain.merkle import Frontier, leaf_hash
from audit.domain.strands import Ordinals, Strand, Strands
from audit.domain.writing import Prepared


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


class Receipt(NamedTuple):
    """What the sender of an event gets: its number, and whether it was in the log already."""

    event_id: UUID
    seq: int
    seen_before: bool


class Leaf(NamedTuple):
    """An event that enters the log: its number and time, its exact bytes, their hash, its number in each strand."""

    one: Prepared
    seq: int
    ts: datetime
    body: bytes
    leaf: bytes
    ordinals: Ordinals

    @property
    def tenant(self) -> UUID:
        """Whose log it is."""
        return self.one.event.tenant


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
    found: dict[int, tuple[UUID, set[Strand]]] = {}
    for one in events:
        tenant = one.event.tenant
        if (ours := found.get(tenant.int)) is None:
            ours = found[tenant.int] = (tenant, set())
        ours[1].update(one.strands)
    return dict(found.values())


@dataclass(slots=True)
class _End:
    tenant: UUID
    seq: int
    ts: datetime
    tree: Frontier
    counts: dict[Strand, int]


class Placing:
    """Gives places: the next number of its tenant, a time that never runs back, ordinals, a leaf.

    `counts` holds the newest ordinal of every strand that will be met; it is kept up.
    """

    def __init__(self, heads: Mapping[UUID, Head], counts: Counts) -> None:
        self._ends = {  # by number, which is hashed ten times as fast
            tenant.int: _End(
                tenant,
                head.seq,
                head.ts,
                Frontier.of(head.leaves, head.edge),
                counts.setdefault(tenant, {}),
            )
            for tenant, head in heads.items()
        }
        self._were = {tenant: head.leaves for tenant, head in heads.items()}

    def add(self, one: Prepared, now: datetime) -> Leaf:
        """Place an event at the end of its tenant's log."""
        end = self._ends[one.event.tenant.int]
        end.seq += 1
        if now > end.ts:
            end.ts = now
        return _leaf(one, end, end.seq, end.ts)

    def adopt(self, one: Prepared, seq: int, ts: datetime) -> Leaf:
        """Place an event where it stands already, as the next leaf."""
        end = self._ends[one.event.tenant.int]
        if seq != end.tree.size + 1:
            raise ValueError(f"entry {seq} is not the next leaf of a tree of {end.tree.size}")
        return _leaf(one, end, seq, ts)

    def heads(self) -> Sequence[Head]:
        """Return the heads that moved, where they are now."""
        return [
            Head(
                tenant=end.tenant,
                seq=end.seq,
                ts=end.ts,
                leaves=end.tree.size,
                edge=end.tree.packed(),
            )
            for end in self._ends.values()
            if end.tree.size > self._were[end.tenant]
        ]


def _leaf(one: Prepared, end: _End, seq: int, ts: datetime) -> Leaf:
    body = one.written(seq, ts)
    leaf = leaf_hash(body)
    end.tree.grow(leaf)
    return Leaf(one, seq, ts, body, leaf, _numbered(one.strands, end.counts))


def _numbered(strands: Sequence[Strand], counts: dict[Strand, int]) -> Ordinals:
    numbers: list[int] = []
    for strand in strands:
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
    placing = Placing(heads, counts)
    known = {(tenant.int, uid.int): seq for (tenant, uid), seq in seen.items()}  # ints hash faster
    receipts: list[Receipt] = []
    leaves: list[Leaf] = []
    for one in events:
        event = one.event
        name = (event.tenant.int, event.id.int)
        if (seq := known.get(name)) is not None:
            receipts.append(Receipt(event.id, seq, seen_before=True))
            continue
        leaf = placing.add(one, now)
        known[name] = leaf.seq
        leaves.append(leaf)
        receipts.append(Receipt(event.id, leaf.seq, seen_before=False))
    return Placed(receipts=receipts, leaves=leaves, heads=placing.heads())
