"""What is asked of the world about images."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from compute.domain.image import Blob, Image, Progress
from compute.domain.order import Template


class NeverThere(Exception):
    """The image cannot be had, however often one asks; the text says why, in words for who asked for it."""


class NotNow(Exception):
    """The image could not be had this time; the text says why."""


class ImageBook(Protocol):
    """The images that are wanted."""

    async def add(self, image: Image) -> None:
        """Keep a new image."""
        ...

    async def claim(self, now: datetime, lease: timedelta) -> Image | None:
        """Take an image that is due and in nobody's hands, or in dead ones, of a tenant that has no other in hands.

        None if there is none.
        """
        ...

    async def forget(self, image_id: UUID) -> None:
        """Forget an image; whoever is having it finds its lease lost."""
        ...

    async def renew(self, image: Image, progress: Progress, until: datetime) -> bool:
        """Note how far it is and hold it longer; False if the lease was lost to another."""
        ...

    async def put(self, image: Image) -> bool:
        """Keep an image as it is now; False, and nothing is kept, if the lease was lost to another."""
        ...


class Depot(Protocol):
    """Where images are fetched to."""

    def trouble(self, url: str) -> str:
        """Return why an address can never be asked; nothing if it can be tried."""
        ...

    async def fetch(self, image: Image, told: Callable[[Progress], None]) -> Blob:
        """Fetch an image, going on where an earlier worker stopped; tell how far it is. NeverThere or NotNow."""
        ...


class Shelf(Protocol):
    """Where templates lie, ready to be cloned."""

    async def shelve(self, template: Template, blob: Blob) -> None:
        """Make a template of what the depot has fetched; done already, it is done. NeverThere or NotNow."""
        ...

    async def keep(self, blob: Blob) -> None:
        """Keep what the depot has fetched as a medium, as it is; done already, it is done. NeverThere or NotNow."""
        ...

    async def copy(self, template: Template, vm: UUID) -> Blob:
        """Make a template of the disk of a machine that is off. NeverThere or NotNow."""
        ...

    async def clear(self, known: Collection[UUID]) -> None:
        """Drop what lies there for templates that are none of these any more, if it is old."""
        ...
