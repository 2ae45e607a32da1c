"""What reports ask of the world."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from chassis.caller import Caller
from chassis.pages import PageAsk, Slice
from experiments.domain.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedReports:
    """Which reports of a tenant are wanted: of an experiment (None: all), and as `reader` may see them.

    `reader` None: all but the private ones of others than `owner_id`; else those that are shared and approved, and the
    reader's own. `sort` is created_at, updated_at or title, with `-` before it for descending.
    """

    ask: PageAsk
    experiment: UUID | None = None
    owner_id: str = ""
    all_shared: bool = False
    everything: bool = False
    search: str = ""
    sort: str = "-created_at"


class ReportBook(Protocol):
    """The reports of every tenant."""

    async def find(self, tenant: UUID, report: UUID) -> Report | None:
        """Return a report; None if there is none."""
        ...

    async def take(self, tenant: UUID, report: UUID) -> Report | None:
        """Return a report, locked until the work ends; None if there is none."""
        ...

    async def linked(self, link: bytes) -> Report | None:
        """Return the report that is shared by the link with this hash, of whichever tenant."""
        ...

    async def page(self, tenant: UUID, wanted: WantedReports) -> Slice[Report]:
        """Return a part of a tenant's reports, without their results."""
        ...

    async def add(self, report: Report) -> None:
        """Keep a new report."""
        ...

    async def put(self, report: Report) -> None:
        """Keep a locked report as it is now."""
        ...

    async def remove(self, report: Report) -> None:
        """Forget a locked report."""
        ...


class ResultOf(Protocol):
    """Where the result of an experiment is computed."""

    async def document(self, caller: Caller, experiment: str) -> Mapping[str, Any]:
        """Return the result of an experiment (id or key) as JSON has it, as the caller may read it."""
        ...
