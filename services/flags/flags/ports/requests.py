"""What change requests ask of the store."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from chassis.pages import PageAsk, Slice
from flags.domain.change_request import ChangeRequest, RequestStatus
from flags.domain.place import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRequests:
    """Which change requests are asked for; what is None does not matter. `owner` is who owns the flag.

    `search` is a text in the title or the flag's key.
    """

    status: RequestStatus | None = None
    flag: str | None = None
    environment: str | None = None
    owner: str | None = None
    search: str | None = None


class RequestBook(Protocol):
    """The change requests of every project."""

    async def add(self, request: ChangeRequest) -> None:
        """Keep a new one."""
        ...

    async def put(self, request: ChangeRequest) -> None:
        """Keep one as it now stands."""
        ...

    async def get(
        self, project: Project, request: UUID, *, lock: bool = False
    ) -> ChangeRequest | None:
        """Return one of a project; with `lock`, nobody else changes it until the work ends."""
        ...

    async def page(
        self, project: Project, wanted: WantedRequests, ask: PageAsk
    ) -> Slice[ChangeRequest]:
        """Return a part of those that are asked for, the newest first."""
        ...
