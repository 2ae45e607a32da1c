"""What serving asks of the world: what there is to serve, where it outlives the process, and how news of it spread."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from flags.domain.compile import StoredSegment
from flags.domain.place import Place
from flags.domain.ruleset import Stored


@dataclass(frozen=True, slots=True)
class Reading:
    """All flags of one environment as they were at one revision."""

    revision: int
    rows: Sequence[Stored]
    segments: Sequence[StoredSegment] = ()


class Shelf(Protocol):
    """Where rulesets are read from; no part of any transaction."""

    async def read(self, place: Place) -> Reading:
        """Return what a place has to serve; revision 0 and nothing where there is no such place (yet)."""
        ...

    async def revisions(self, places: Collection[Place]) -> Mapping[Place, int]:
        """Return the present revision of each place that exists."""
        ...


@dataclass(frozen=True, slots=True)
class Recalled:
    """A reading that outlived the process that made it, and when (seconds since 1970) it was known to be in force."""

    place: Place
    reading: Reading
    at: float


class Snapshots(Protocol):
    """Where the last good state of each place lies, for a start without a database."""

    def keep(self, place: Place, reading: Reading) -> None:
        """Keep what a place has to serve, in place of what was kept before. OSError if that fails."""
        ...

    def forget(self, place: Place) -> None:
        """Forget a place that exists no more."""
        ...

    def confirm(self) -> None:
        """Note that everything that is kept is still in force."""
        ...

    def recall(self) -> Iterable[Recalled]:
        """Yield what was kept; what is damaged is refused, and the one before it taken."""
        ...


Heard = Callable[[Place, int], Awaitable[None]]


class News(Protocol):
    """How replicas tell each other that a place has changed."""

    def tell(self, place: Place, revision: int) -> None:
        """Announce a change; never waits, never fails: who misses it will find out by polling."""
        ...

    async def spread(self, heard: Heard) -> None:
        """Carry what was told to this replica (`heard`) and to all others, until cancelled."""
        ...

    async def listen(self, heard: Heard, begun: Callable[[], Awaitable[None]]) -> None:
        """Pass on what others announce until cancelled; call `begun` after each break, when something may be missed."""
        ...
