"""From what a batch changes to the cells: merged under the lock of their experiment, by Chan, Golub & LeVeque."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from experiments.domain.inference.moments import Moments, nothing
from experiments.domain.intake import MOST_NAMES, MOST_VALUES, REST
from experiments.store import statements as sql

_DAY_ONE = date(1970, 1, 1)


class Key(NamedTuple):
    """Which cell. `slice` and `value` are empty for all units, else a dimension (or `day`) and its value."""

    experiment: UUID
    metric: int
    phase: int
    variant: int
    slice: str
    value: str
    bucket: int


Changes = Mapping[Key, tuple[Moments, Moments]]  # what enters and what leaves each cell


async def merge(raw: Any, groups: Sequence[Any]) -> None:  # noqa: ANN401
    """Carry the groups into their cells; experiments are locked in order, so that nobody waits in a ring."""
    if not groups:
        return
    changes = _changes(groups)
    for lock in sorted({lock_of(key.experiment) for key in changes}):
        await raw.execute("SELECT pg_advisory_xact_lock($1)", lock)
    changes = await _gathered(raw, changes)
    keys = sorted(changes)
    before = {
        Key(*row[:7]): Moments(row["n"], tuple(row["mean"]), tuple(row["co"]))
        for row in await raw.fetch(sql.CELLS, *(list(c) for c in zip(*keys, strict=True)))
    }
    after = [(key, _changed(before.get(key, nothing()), *changes[key])) for key in keys]
    rows = [(*key, it.n, list(it.mean), list(it.co)) for key, it in after]
    await raw.executemany(sql.PUT_CELL, rows)


def lock_of(experiment: UUID) -> int:
    """Return the number of the lock under which the cells of an experiment change."""
    return int.from_bytes(experiment.bytes[8:], signed=True)


async def _gathered(raw: Any, changes: Changes) -> Changes:  # noqa: ANN401
    """Return the changes with what is beyond the values that a dimension may have under the rest of it.

    What is beyond the dimensions that an experiment may have is left out. What has a cell keeps it, and what came too
    late never gets one: whoever leaves finds where they entered.
    """
    met = {key[:1] + key[4:6] for key in changes if key.slice not in ("", "day")}
    known = await raw.fetch(sql.NAMED, *(list(c) for c in zip(*met, strict=True))) if met else ()
    places: dict[tuple[UUID, str], list[str]] = defaultdict(list)
    for experiment, name, value in sorted(met - {tuple(row) for row in known}):
        places[experiment, name].append(value)
    if beyond := await _beyond(raw, places):
        changes = {key: it for key, it in changes.items() if key[:1] + key[4:5] not in beyond}
    rest: set[tuple[UUID, str, str]] = set()
    for (experiment, name), fresh in places.items():
        room = MOST_VALUES - await raw.fetchval(sql.VALUES, experiment, name, MOST_VALUES)
        rest.update((experiment, name, value) for value in fresh[room:])
    return _under_rest(changes, rest) if rest else changes


async def _beyond(raw: Any, places: Collection[tuple[UUID, str]]) -> set[tuple[UUID, str]]:  # noqa: ANN401
    """Return the dimensions that come when an experiment has as many as it may already."""
    beyond: set[tuple[UUID, str]] = set()
    for experiment in {experiment for experiment, _ in places}:
        known = {row["slice"] for row in await raw.fetch(sql.NAMES, experiment)}
        fresh = sorted({name for it, name in places if it == experiment} - known)
        room = max(0, MOST_NAMES - len(known))
        beyond.update((experiment, name) for name in fresh[room:])
    return beyond


def _changed(cell: Moments, entered: Moments, left: Moments) -> Moments:
    return cell.plus(entered).minus(left) if left.n else cell.plus(entered)


def _changes(groups: Iterable[Any]) -> Changes:
    """Return what enters and what leaves each cell: that of all units, that of the day, and one a dimension."""
    entered: dict[Key, Moments] = defaultdict(nothing)
    left: dict[Key, Moments] = defaultdict(nothing)
    for row in groups:
        part = Moments(row["n"], tuple(row["mean"]), tuple(row["co"]))
        side = entered if row["sign"] > 0 else left
        for name, value in _slices(row["day"], row["dims"]):
            key = Key(
                row["experiment"], row["metric"], row["phase"], row["variant"], name, value,
                row["bucket"],
            )  # fmt: skip
            side[key] = side[key].plus(part)
    return {key: (entered[key], left[key]) for key in entered.keys() | left.keys()}


def _under_rest(changes: Changes, rest: Collection[tuple[UUID, str, str]]) -> Changes:
    made: dict[Key, tuple[Moments, Moments]] = {}
    for key, (entered, left) in changes.items():
        if key[:1] + key[4:6] in rest:
            place = key._replace(value=REST)
            more = made.get(place, (nothing(), nothing()))
            made[place] = more[0].plus(entered), more[1].plus(left)
        else:
            made[key] = entered, left
    return made


def _slices(day: int, dims: str) -> list[tuple[str, str]]:
    made = [("", ""), ("day", (_DAY_ONE + timedelta(days=day)).isoformat())]
    return made if dims == "{}" else [*made, *json.loads(dims).items()]
