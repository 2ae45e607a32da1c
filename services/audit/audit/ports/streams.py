"""What is asked of receivers of everything, and of the way to them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from audit.domain.stream import Stream


class Streams(Protocol):
    """Receivers of everything."""

    async def get(self, tenant: UUID, stream: UUID, *, lock: bool = False) -> Stream | None:
        """Return a stream; None if the tenant has none such."""
        ...

    async def of(self, tenant: UUID, after: UUID | None, limit: int) -> Sequence[Stream]:
        """Return a tenant's streams, newest first."""
        ...

    async def count(self, tenant: UUID) -> int:
        """Return how many streams a tenant has."""
        ...

    async def due(self, now: datetime) -> Sequence[Stream]:
        """Return the active streams that have something to send."""
        ...

    async def add(self, stream: Stream) -> None:
        """Add a stream."""
        ...

    async def put(self, stream: Stream) -> None:
        """Change a stream."""
        ...

    async def delete(self, stream: Stream) -> None:
        """Delete a stream."""
        ...


class Poster(Protocol):
    """The way out."""

    def trouble(self, url: str) -> str:
        """Return why a URL can never be sent to; nothing if it can be tried."""
        ...

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> str:
        """Send; return why it was not taken, nothing if it was."""
        ...
