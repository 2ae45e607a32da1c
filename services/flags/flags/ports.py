"""What the flags service asks of the world."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from chassis.facts import Fact
from chassis.pages import PageAsk, Slice
from flags.domain.flag import Flag
from flags.domain.listing import Wanted
from flags.domain.place import Place, Project
from flags.domain.ruleset import Stored


class ProjectBook(Protocol):
    """The projects of every tenant, with their environments."""

    async def get(self, tenant: UUID, key: str) -> Project | None:
        """Return a project; None if there is none."""
        ...

    async def add(self, project: Project) -> bool:
        """Keep a new project; False if another one of the tenant has its key (perhaps since this moment)."""
        ...

    async def page(self, tenant: UUID, ask: PageAsk) -> Slice[Project]:
        """Return a part of a tenant's projects, by key."""
        ...

    async def bump(self, project: Project, environments: Collection[str]) -> None:
        """Give environments (by key) their next revision; once committed, announce it to every replica."""
        ...


class FlagBook(Protocol):
    """The flags of every project."""

    async def get(self, project: Project, name: str, *, lock: bool = False) -> Flag | None:
        """Return a flag by id or key; with `lock`, nobody else changes it until the work ends."""
        ...

    async def add(self, project: Project, flag: Flag) -> None:
        """Keep a new flag; FlagKeyTaken if its project has one with its key."""
        ...

    async def put(self, project: Project, flag: Flag) -> None:
        """Keep the flag as it now stands."""
        ...

    async def remove(self, flag: Flag) -> None:
        """Forget the flag."""
        ...

    async def page(self, project: Project, wanted: Wanted, ask: PageAsk) -> Slice[Flag]:
        """Return the part of a project's flags that is asked for."""
        ...


class Work(Protocol):
    """One transaction: everything in it is kept, or nothing is."""

    @property
    def projects(self) -> ProjectBook:
        """The projects, inside this transaction."""
        ...

    @property
    def flags(self) -> FlagBook:
        """The flags, inside this transaction."""
        ...

    def record(self, fact: Fact) -> None:
        """Leave a fact for the audit log, kept together with the change."""
        ...


OpenWork = Callable[[], AbstractAsyncContextManager[Work]]


@dataclass(frozen=True, slots=True)
class Reading:
    """All flags of one environment as they were at one revision."""

    revision: int
    rows: Sequence[Stored]


class Shelf(Protocol):
    """Where rulesets are read from; no part of any transaction."""

    async def read(self, place: Place) -> Reading:
        """Return what a place has to serve; revision 0 and nothing where there is no such place (yet)."""
        ...

    async def revisions(self, places: Collection[Place]) -> Mapping[Place, int]:
        """Return the present revision of each place that exists."""
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
