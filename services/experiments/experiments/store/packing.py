"""Exposures and events as rows of PostgreSQL's binary COPY: packed once at the door, not looked at again on the way.

Each row is the count of its fields and, for each, its length and its bytes (PostgreSQL 18, COPY, "Binary Format").
"""

from collections.abc import Iterable, Sequence
from struct import Struct

from experiments.domain.intake import SeenEvent, SeenExposure, shard_of
from experiments.ports.measuring import Parcel

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
_EVENT = Struct(">hi16siqi")
_WHEN = Struct(">iqid")
_EXPOSURE = Struct(">hi16si16sihihiqi")
_LENGTH = Struct(">i")
_NONE = _LENGTH.pack(-1)


class Rows:
    """Packs items, by shard."""

    def events(self, events: Sequence[SeenEvent]) -> Sequence[Parcel]:
        """Pack events."""
        return _parcelled("event", ((event.unit, _event(event)) for event in events))

    def exposures(self, exposures: Sequence[SeenExposure]) -> Sequence[Parcel]:
        """Pack exposures."""
        return _parcelled("exposure", ((it.unit, _exposure(it)) for it in exposures))


def _parcelled(kind: str, rows: Iterable[tuple[bytes, bytes]]) -> Sequence[Parcel]:
    shards: dict[int, list[bytes]] = {}
    for unit, row in rows:
        shards.setdefault(shard_of(unit), []).append(row)
    return [Parcel(kind, shard, len(them), b"".join(them)) for shard, them in shards.items()]


def copied(parcels: Iterable[Parcel], kind: str) -> bytes:
    """Return everything of one kind as a whole binary COPY."""
    return b"".join((HEADER, *(p.body for p in parcels if p.kind == kind), TRAILER))


def _event(event: SeenEvent) -> bytes:
    unit, number, name, at, value, properties = event
    text = name.encode()
    row = _EVENT.pack(6, 16, unit, 8, number, len(text)) + text + _WHEN.pack(8, at, 8, value)
    if properties is None:
        return row + _NONE
    document = b"\x01" + properties.encode()  # the version of jsonb's binary form
    return row + _LENGTH.pack(len(document)) + document


def _exposure(exposure: SeenExposure) -> bytes:
    experiment, unit, variant, phase, at, dimensions = exposure
    text = dimensions.encode()
    return (
        _EXPOSURE.pack(6, 16, experiment.bytes, 16, unit, 2, variant, 2, phase, 8, at, len(text))
        + text
    )
