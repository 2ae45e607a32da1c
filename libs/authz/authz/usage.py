"""Which API keys were used lately: noted at each use, told together, each key once a minute at most.

To note is one look into a set, so it may be done per request. A crash loses what was noted and not told.
"""

from dataclasses import dataclass, field

AGAIN = 60.0  # seconds until a key that is still used is told of again
MOST = 5000  # keys in one telling


@dataclass(slots=True)
class Usage:
    """The ids of keys in `seen` were used since they were told of. The set is never replaced: keep it at hand."""

    seen: set[str] = field(default_factory=set[str])
    _told: dict[str, float] = field(default_factory=dict[str, float])

    def due(self, now: float) -> list[str]:
        """Return what is to be told at `now` (seconds, monotonic)."""
        self._told = {key: at for key, at in self._told.items() if now - at < AGAIN}
        return sorted(self.seen - self._told.keys())[:MOST]

    def told(self, keys: list[str], now: float) -> None:
        """Note that these were told of; what could not be told stays due."""
        self.seen.difference_update(keys)
        self._told.update(dict.fromkeys(keys, now))
