"""Exposures and events as they come in: what is taken, and why something is not.

One bad item never costs its neighbours: it is answered with its index and a reason. Units and event ids are kept as
hashes only, so that no name of a person is in the data. Times are whole microseconds since 1970.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from math import isfinite
from re import compile as pattern
from typing import Any, NamedTuple, cast
from uuid import UUID

from experiments.domain.inference.moments import LARGEST
from experiments.domain.trial import Trial

SHARDS = 8
MOST_ITEMS = 10_000
MOST_JOINED = 100
AT_MOST = 1 << 20  # bytes of a batch
AHEAD = timedelta(minutes=5)  # how far the clock of a client may be before ours
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
MOST_DIMENSIONS = 5
MOST_NAMES = 20  # of dimensions of an experiment; later ones are not broken down by
MOST_VALUES = 100  # of a dimension; units with others are counted together
REST = ""  # their value: no unit can say it

_MICRO = timedelta(microseconds=1)
_NAME = pattern(r"[A-Za-z0-9_$][A-Za-z0-9_.:/$ -]{0,99}")
_DIMENSION = pattern(r"[A-Za-z_][A-Za-z0-9_.-]{0,49}")
_EVENT_FIELDS = frozenset(
    ("event_id", "unit", "name", "value", "timestamp", "properties", "source", "sequence")
)
_EXPOSURE_FIELDS = frozenset(
    ("event_id", "experiment", "variant", "unit", "timestamp", "properties")
)

_JOINED_FIELDS = frozenset(("unit", "same_as"))


class NotJson:
    """Stands for a line that could not be read."""


class SeenEvent(NamedTuple):
    """Something that a unit did."""

    unit: bytes
    id: int
    name: str
    at: int
    value: float
    properties: str | None


class SeenExposure(NamedTuple):
    """A unit was shown a variant (its place in the list) in a phase, with what was recorded of it as JSON."""

    experiment: UUID
    unit: bytes
    variant: int
    phase: int
    at: int
    dimensions: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that was not taken: where it stands in the batch, and why."""

    index: int
    code: str
    message: str


class Unfit(Exception):
    """An item cannot be taken."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def unit_of(tenant: UUID, name: str) -> bytes:
    """Return the 16 bytes under which a tenant's unit is known."""
    return blake2b(name.encode(), digest_size=16, key=tenant.bytes).digest()


def shard_of(unit: bytes) -> int:
    """Return the shard that a unit belongs to."""
    return unit[0] % SHARDS


def event_of(tenant: UUID, said: object, now: datetime) -> SeenEvent:
    """Return the event that an item says; Unfit if it says none."""
    it = _fields(said, _EVENT_FIELDS)
    unit = _text(it, "unit", 256)
    name = it.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Unfit("bad_name", "name: 1 to 100 letters, digits or _ . : / $ - and spaces")
    value = it.get("value", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _measurable(value):
        raise Unfit("bad_value", f"value: a finite number of at most {LARGEST:g} in size")
    at = _time(it, now)
    given = it.get("event_id")
    who = _derived(it, unit, name, at) if given is None else _text(it, "event_id", 200)
    number = int.from_bytes(blake2b(who.encode(), digest_size=8).digest(), signed=True)
    return SeenEvent(unit_of(tenant, unit), number, name, at, float(value), _properties(it))


def exposure_of(
    tenant: UUID,
    said: object,
    now: datetime,
    trials: Mapping[str, Trial],
    elsewhere: Callable[[Trial], bool] = lambda _: False,
) -> SeenExposure:
    """Return the exposure that an item says, held against its experiment; Unfit if there is none, or it is elsewhere.

    `elsewhere` tells whether an experiment is in another place than the API key that exposes is bound to.
    """
    it = _fields(said, _EXPOSURE_FIELDS)
    unit = _text(it, "unit", 256)
    trial = trials.get(_text(it, "experiment", 100))
    if trial is None:
        raise Unfit("unknown_experiment", "experiment: there is none with this key or id")
    if elsewhere(trial):
        where = f"environment {trial.environment!r} of project {trial.project!r}"
        text = f"experiment: {trial.key!r} is in {where}; this API key is bound to another place"
        raise Unfit("other_place", text)
    variant = _text(it, "variant", 100)
    if variant not in trial.variants:
        known = ", ".join(trial.variants)
        raise Unfit("unknown_variant", f"variant: experiment {trial.key!r} has {known}")
    at = _time(it, now)
    span = trial.span_at(EPOCH + at * _MICRO)
    if span is None:
        raise Unfit("not_running", f"timestamp: experiment {trial.key!r} did not run at that time")
    place = trial.variants.index(variant)
    return SeenExposure(trial.id, unit_of(tenant, unit), place, span.number, at, dimensions_of(it))


def joined_of(tenant: UUID, said: object) -> tuple[bytes, bytes]:
    """Return the unit that an item says is another one, and that one; Unfit if it says neither."""
    it = _fields(said, _JOINED_FIELDS)
    unit, same_as = _text(it, "unit", 256), _text(it, "same_as", 256)
    if unit == same_as:
        raise Unfit("bad_same_as", "same_as: another unit than the first")
    return unit_of(tenant, unit), unit_of(tenant, same_as)


def sifted(
    items: Sequence[object], take: Callable[[object], Any]
) -> tuple[list[Any], list[Rejected]]:
    """Return what is taken of a batch, and what is not with the reasons."""
    taken: list[Any] = []
    rejected: list[Rejected] = []
    for index, item in enumerate(items):
        try:
            taken.append(take(item))
        except Unfit as unfit:
            rejected.append(Rejected(index, unfit.code, unfit.message))
    return taken, rejected


def experiments_in(items: Sequence[object]) -> set[str]:
    """Return the names of experiments that the items of a batch say."""
    said = (cast("dict[str, Any]", it).get("experiment") for it in items if isinstance(it, dict))
    return {name for name in said if isinstance(name, str) and 0 < len(name) <= 100}


def dimensions_of(it: Mapping[str, Any]) -> str:
    """Return what was recorded of a unit at its exposure as canonical JSON: names to texts."""
    said = _object(it, MOST_DIMENSIONS)
    if not said:
        return "{}"
    return json.dumps(
        {name: _dimension(name, said[name]) for name in sorted(said)}, ensure_ascii=False
    )


def _object(it: Mapping[str, Any], most: int) -> dict[str, Any]:
    said = it.get("properties")
    if not said:
        return {}
    if not isinstance(said, dict) or len(cast("dict[str, Any]", said)) > most:
        raise Unfit("bad_properties", f"properties: at most {most} names with values")
    return cast("dict[str, Any]", said)


def _dimension(name: str, value: object) -> str:
    if not _DIMENSION.fullmatch(name) or name == "day":
        raise Unfit(
            "bad_properties", f"properties: {name[:50]!r} cannot be the name of a dimension"
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and isfinite(value):
        return format(value, "g") if isinstance(value, float) else str(value)[:100]
    if isinstance(value, str) and 0 < len(value) <= 100 and _storable(value):
        return value
    raise Unfit("bad_properties", f"properties: {name!r} must be a text of 1 to 100, or a number")


def _fields(said: object, known: frozenset[str]) -> Mapping[str, Any]:
    if isinstance(said, NotJson):
        raise Unfit("bad_json", "the line is not JSON: NaN, for one, is no number there")
    if not isinstance(said, dict):
        raise Unfit("bad_item", "each item is a JSON object")
    it = cast("dict[str, Any]", said)
    if not it.keys() <= known:
        extra = next(name for name in it if name not in known)
        raise Unfit("unknown_field", f"there is no field {extra[:50]!r}")
    return it


def _text(it: Mapping[str, Any], name: str, most: int) -> str:
    value = it.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most or not _storable(value):
        raise Unfit(f"bad_{name}", f"{name}: a text of 1 to {most} characters")
    return value


def _storable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _measurable(value: float) -> bool:
    return -LARGEST <= value <= LARGEST  # NaN is neither


def _finite(value: object) -> bool:
    return isinstance(value, float) and isfinite(value)


def _time(it: Mapping[str, Any], now: datetime) -> int:
    said = it.get("timestamp")
    try:
        at = datetime.fromisoformat(said) if isinstance(said, str) and len(said) <= 40 else None
        at = at.astimezone(UTC) if at and at.tzinfo else None
    except (ValueError, OverflowError):
        at = None
    if at is None:
        raise Unfit("bad_timestamp", "timestamp: a date and time with its offset, as in RFC 3339")
    if at > now + AHEAD:
        raise Unfit("in_the_future", "timestamp: lies ahead of our clock by more than 5 minutes")
    if at < OLDEST:
        raise Unfit("too_old", "timestamp: lies before the year 2000")
    return (at - EPOCH) // _MICRO


def _derived(it: Mapping[str, Any], unit: str, name: str, at: int) -> str:
    """Return an id for an event without one: the same event sent again gets the same."""
    source, sequence = it.get("source", ""), it.get("sequence", 0)
    if not isinstance(source, str) or len(source) > 200 or not _storable(source):
        raise Unfit("bad_source", "source: a text of at most 200 characters")
    if isinstance(sequence, bool) or not isinstance(sequence, int):
        raise Unfit("bad_sequence", "sequence: a whole number")
    return json.dumps(["derived", source, unit, name, at, str(sequence)[:100]])


def _properties(it: Mapping[str, Any]) -> str | None:
    said = _object(it, 20)
    if not said:
        return None
    for name, value in said.items():
        plain = value is None or isinstance(value, bool | int | str) or _finite(value)
        if not plain or not _storable(name + str(value)[:2000]) or len(str(value)) > 1000:
            raise Unfit(
                "bad_properties", "properties: texts of at most 1000, numbers, true or false"
            )
    return json.dumps(said, ensure_ascii=False)
