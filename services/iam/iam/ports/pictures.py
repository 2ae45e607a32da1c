"""Where pictures are made and kept."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol


class Images(Protocol):
    """Makes avatars, off the event loop and a few at a time."""

    async def avatar(self, sent: bytes) -> bytes:
        """Return what was sent as a small WebP image with nothing else in it; NotAnImage or TooManyPixels."""
        ...


class Shelf(Protocol):
    """Object storage. Every method may raise StorageAway."""

    async def put(self, name: str, data: bytes) -> None:
        """Keep a file."""
        ...

    async def get(self, name: str) -> bytes | None:
        """Return a file."""
        ...

    async def drop(self, name: str) -> None:
        """Remove a file, if it is there."""
        ...

    def names(self) -> AsyncIterator[tuple[str, datetime]]:
        """Yield the name of each file, and when it was kept."""
        ...
