"""What the flags service asks of the world: here what a transaction has; beside it what serving asks (`serving`)."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from chassis.facts import Fact
from chassis.pages import PageAsk, Slice
from flags.domain.allocation import Kept
from flags.domain.analyse import Neighbours
from flags.domain.flag import Flag
from flags.domain.listing import Sought, Wanted
from flags.domain.place import Environment, Project
from flags.domain.revision import Revision
from flags.domain.ruleset import Stored
from flags.domain.segment import Members, Segment
from flags.domain.uses import Use
from flags.ports.plans import RolloutBook, ScheduleBook
from flags.ports.requests import RequestBook
from flags.ports.usage import UsageBook

# How a project is held, before anything in it is locked: `shared` while a flag is switched, so that its environments
# stay; `changed` by one at a time, who changes who uses what; `alone` while environments come and go.
Hold = Literal["shared", "changed", "alone"]


class ProjectBook(Protocol):
    """The projects of every tenant, with their environments."""

    async def get(self, tenant: UUID, key: str, hold: Hold | None = None) -> Project | None:
        """Return a project, held until the work ends if that is asked for; None if there is none."""
        ...

    async def add(self, project: Project) -> bool:
        """Keep a new project; False if another one of the tenant has its key (perhaps since this moment)."""
        ...

    async def page(self, tenant: UUID, sought: Sought, ask: PageAsk) -> Slice[Project]:
        """Return the part of a tenant's projects that is asked for, by key."""
        ...

    async def add_environment(self, project: Project, environment: Environment) -> bool:
        """Keep a new environment, with a switch for every flag, disabled; False if its key is taken."""
        ...

    async def put_environment(self, before: Environment, after: Environment) -> bool:
        """Keep an environment as it now stands; False if it was changed since it stood as before."""
        ...

    async def remove_environment(self, environment: Environment) -> None:
        """Forget an environment with all its switches."""
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

    async def every(self, project: Project, most: int) -> Sequence[Flag]:
        """Return all flags of a project by key, at most so many."""
        ...

    async def served(self, project: Project, owner: str | None) -> Sequence[Flag]:
        """Return every flag that is served, by key: all of a project, or those of one owner."""
        ...


class SegmentBook(Protocol):
    """The segments of every project."""

    async def get(self, project: Project, name: str, *, lock: bool = False) -> Segment | None:
        """Return a segment by id or key; with `lock`, nobody else changes it until the work ends."""
        ...

    async def members(self, segment: Segment) -> Members:
        """Return who is listed in a segment."""
        ...

    async def add(self, segment: Segment) -> None:
        """Keep a new segment, with empty lists; SegmentKeyTaken if its project has one with its key."""
        ...

    async def put(self, segment: Segment, members: Members | None = None) -> None:
        """Keep the segment as it now stands, and its lists if they are given."""
        ...

    async def remove(self, segment: Segment) -> None:
        """Forget the segment."""
        ...

    async def every(self, project: Project) -> Sequence[Segment]:
        """Return all segments of a project, by key."""
        ...

    async def page(self, project: Project, search: str | None, ask: PageAsk) -> Slice[Segment]:
        """Return a part of a project's segments, by key."""
        ...


class RevisionBook(Protocol):
    """What every flag was after each change."""

    async def add(self, revision: Revision) -> None:
        """Keep what a change left."""
        ...

    async def get(self, flag: Flag, number: int) -> Revision | None:
        """Return one revision of a flag."""
        ...

    async def page(self, flag: Flag, ask: PageAsk) -> Slice[Revision]:
        """Return a part of a flag's revisions, newest first; their documents, which may be large, are left empty."""
        ...

    async def served_at(
        self, project: Project, environment: str, moment: datetime
    ) -> Sequence[Stored]:
        """Return what an environment had to serve at a moment, as far as its flags still exist."""
        ...


class UseBook(Protocol):
    """Who uses what in a project."""

    async def neighbours(self, project: Project, environment: str) -> Neighbours:
        """Return every flag and segment as far as rules look at it."""
        ...

    async def of_flag(self, project: Project, key: str) -> Sequence[Use]:
        """Return where a flag is asked for."""
        ...

    async def of_segment(self, project: Project, key: str) -> Sequence[Use]:
        """Return where a segment is asked for."""
        ...


class AllocationBook(Protocol):
    """What experiments want of flags."""

    async def take(self, experiment_id: UUID) -> Kept | None:
        """Return what was last said of an experiment, locked until the work ends; None if nothing ever was."""
        ...

    async def put(self, kept: Kept) -> bool:
        """Keep what an experiment wants; False if something newer is kept already."""
        ...

    async def running(self, project: Project) -> Sequence[Kept]:
        """Return what experiments want of the flags of a project, in all environments."""
        ...

    async def of_flag(self, flag: Flag) -> Sequence[Kept]:
        """Return what experiments want of a flag, in all environments."""
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

    @property
    def segments(self) -> SegmentBook:
        """The segments, inside this transaction."""
        ...

    @property
    def history(self) -> RevisionBook:
        """The revisions, inside this transaction."""
        ...

    @property
    def uses(self) -> UseBook:
        """Who uses what, as this transaction sees it."""
        ...

    @property
    def usage(self) -> UsageBook:
        """How often flags are used."""
        ...

    @property
    def schedules(self) -> ScheduleBook:
        """The scheduled changes, inside this transaction."""
        ...

    @property
    def rollouts(self) -> RolloutBook:
        """The progressive rollouts, inside this transaction."""
        ...

    @property
    def allocations(self) -> AllocationBook:
        """What experiments want, inside this transaction."""
        ...

    @property
    def requests(self) -> RequestBook:
        """The change requests, inside this transaction."""
        ...

    def record(self, fact: Fact) -> None:
        """Leave a fact for the audit log, kept together with the change."""
        ...


OpenWork = Callable[[], AbstractAsyncContextManager[Work]]
