"""What is asked of the store for what is to be done later, and of our surroundings when the time has come."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.caller import Caller
from chassis.pages import PageAsk, Slice
from flags.domain.edits import Author, Spot
from flags.domain.flag import Flag
from flags.domain.guard import Evidence
from flags.domain.rollout import Rollout
from flags.domain.schedule import Schedule


class ScheduleBook(Protocol):
    """The scheduled changes of every flag."""

    async def add(self, schedule: Schedule) -> None:
        """Keep a new one."""
        ...

    async def put(self, schedule: Schedule) -> None:
        """Keep one as it now stands."""
        ...

    async def get(self, flag: Flag, schedule: UUID, *, lock: bool = False) -> Schedule | None:
        """Return one of a flag; with `lock`, nobody else changes it until the work ends."""
        ...

    async def page(self, flag: Flag, environment: str, ask: PageAsk) -> Slice[Schedule]:
        """Return a part of those of a flag in an environment, the newest first."""
        ...

    async def count(self, flag: Flag) -> int:
        """Return how many wait."""
        ...

    async def pending(self, flag: Flag, environment: str) -> list[Schedule]:
        """Return those that wait, locked, in the order of their ids."""
        ...

    async def claim(self, now: datetime) -> Schedule | None:
        """Return the one that is longest due, locked; those that others have locked are passed over."""
        ...


class RolloutBook(Protocol):
    """The progressive rollouts of every flag."""

    async def add(self, rollout: Rollout) -> None:
        """Keep a new one; RolloutRunning if another one in its place is unfinished."""
        ...

    async def put(self, rollout: Rollout) -> None:
        """Keep one as it now stands."""
        ...

    async def get(self, flag: Flag, rollout: UUID, *, lock: bool = False) -> Rollout | None:
        """Return one of a flag; with `lock`, nobody else changes it until the work ends."""
        ...

    async def page(self, flag: Flag, environment: str, ask: PageAsk) -> Slice[Rollout]:
        """Return a part of those of a flag in an environment, the newest first."""
        ...

    async def unfinished(self, flag: Flag, environment: str) -> Rollout | None:
        """Return the one that is under way, locked."""
        ...

    async def claim(self, now: datetime) -> Rollout | None:
        """Return the one whose next stage is longest due, locked; those that others have locked are passed over.

        Those with a guard are not among them.
        """
        ...

    async def to_look_at(self, now: datetime) -> Rollout | None:
        """Return the one whose guard is longest due; not locked, as nobody is asked inside a transaction."""
        ...


class Experiments(Protocol):
    """What is asked of experiments."""

    async def evidence(self, tenant: UUID, experiment: str) -> Evidence:
        """Return what an experiment (id or key) tells of its guardrails. NotFound, Unavailable."""
        ...


class Authors(Protocol):
    """Who somebody is by now who asked for something earlier."""

    def caller(self, author: Author, spot: Spot) -> Caller:
        """Return them with what they may do now. AuthorGone if they cannot act any more; Unavailable if unknown."""
        ...
