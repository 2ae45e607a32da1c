"""The last good state on disk, in a folder of this replica's own: a file per place, one for API keys.

`confirmed` holds the time at which all of it was last known to be in force: a poll that finds no change rewrites that
and nothing else.
"""

import re
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, fields
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from authz.replica import ApiKey
from flags.domain.compile import StoredSegment
from flags.domain.place import Place
from flags.domain.ruleset import Stored
from flags.ports.serving import Reading, Recalled
from flags.store import sealed

PLACE, KEYS = "place", "keys"
_NAME = re.compile(r"[0-9a-f]{40}\.place")
_STRANGE = (LookupError, TypeError, ValueError, AttributeError)


class Folder:
    """Snapshots in a folder."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._clock = folder, clock

    def keep(self, place: Place, reading: Reading) -> None:
        """Keep what a place has to serve. OSError if it cannot be written."""
        content = {
            "place": [str(place.tenant), place.project, place.environment],
            "revision": reading.revision,
            "rows": [_row(row) for row in reading.rows],
            "segments": [_segment(segment) for segment in reading.segments],
        }
        sealed.write(self._path(place), PLACE, content, self._clock())

    def forget(self, place: Place) -> None:
        """Forget a place that exists no more."""
        sealed.remove(self._path(place))

    def confirm(self) -> None:
        """Note that everything that is kept is in force now. OSError if it cannot be written: the last note stays."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        note = self._folder / ".confirmed.part"
        note.touch(mode=0o600)
        note.write_text(f"{self._clock()}\n")
        note.replace(self._folder / "confirmed")

    def recall(self) -> Iterable[Recalled]:
        """Yield every place that can be read."""
        names = {path.name.removesuffix(sealed.LAST) for path in _listed(self._folder)}
        confirmed = self._confirmed()
        for name in sorted(name for name in names if _NAME.fullmatch(name)):
            kept = _first(self._folder / name, confirmed)
            if kept is not None:
                yield kept

    def keep_keys(self, keys: Iterable[ApiKey], closed: Collection[str], heard: float) -> None:
        """Keep API keys (of each its digest, never its text) and closed tenants, as iam told them at `heard`."""
        content = {
            "keys": [{**asdict(key), "scopes": sorted(key.scopes)} for key in keys],
            "closed": sorted(closed),
        }
        sealed.write(self._folder / "api.keys", KEYS, content, heard)

    def recall_keys(self) -> tuple[list[ApiKey], list[str], float] | None:
        """Return the API keys that were kept, the closed tenants, and when iam told them; None if there are none."""
        path = self._folder / "api.keys"
        for found in sealed.candidates(path, KEYS):
            try:
                return _keys(found.content), [str(t) for t in found.content["closed"]], found.at
            except _STRANGE as why:
                sealed.refused(path, f"it cannot be understood: {why}")
        return None

    def _path(self, place: Place) -> Path:
        name = f"{place.tenant}/{place.project}/{place.environment}"
        return self._folder / f"{sha256(name.encode()).hexdigest()[:40]}.place"

    def _confirmed(self) -> float:
        try:
            return float((self._folder / "confirmed").read_text())
        except (OSError, ValueError):
            return 0.0


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _first(path: Path, confirmed: float) -> Recalled | None:
    for found in sealed.candidates(path, PLACE):
        try:
            place, reading = _place(found.content)
        except _STRANGE as why:
            sealed.refused(path, f"it cannot be understood: {why}")
        else:
            return Recalled(place, reading, max(found.at, confirmed))
    return None


def _place(content: Any) -> tuple[Place, Reading]:  # noqa: ANN401 - JSON is anything
    tenant, project, environment = content["place"]
    reading = Reading(
        revision=int(content["revision"]),
        rows=[_stored(row) for row in content["rows"]],
        segments=[StoredSegment(**segment) for segment in content["segments"]],
    )
    return Place(UUID(tenant), str(project), str(environment)), reading


def _stored(row: dict[str, Any]) -> Stored:
    said: dict[str, Any] = {**row, "allocations": tuple[Any, ...](row.get("allocations", ()))}
    return Stored(**said)


def _row(row: Stored) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(row)}


def _segment(segment: StoredSegment) -> dict[str, Any]:
    lists = {"included": _listing(segment.included), "excluded": _listing(segment.excluded)}
    return {"key": segment.key, "document": segment.document, **lists}


def _listing(ids: object) -> object:
    """Return ids in a form that JSON has; sorted where they are a set."""
    if isinstance(ids, frozenset | set):
        return sorted(str(one) for one in ids)  # type: ignore[reportUnknownArgumentType]
    return ids


def _keys(content: Any) -> list[ApiKey]:  # noqa: ANN401
    found: list[dict[str, Any]] = [
        {**k, "scopes": frozenset[str](k["scopes"])} for k in content["keys"]
    ]
    return [ApiKey(**key) for key in found]
