"""An image that is being had: fetched from an address that a user named, or copied from a machine. Sizes in bytes.

Whoever works on it holds a lease with a fence. A worker that dies loses it; the next one goes on with what was fetched,
under a higher fence, and what the first still does when it wakes up is refused.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

MOST_ATTEMPTS = 8
_SOON, _LATE = timedelta(seconds=2), timedelta(minutes=5)


class ImageState(StrEnum):
    """How far it is."""

    WAITING = "waiting"
    FETCHING = "fetching"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How much has come, of how much (None: nobody said), and the ETag of what is coming."""

    received_bytes: int = 0
    total_bytes: int | None = None
    validator: str | None = None


@dataclass(frozen=True, slots=True)
class Blob:
    """Something that was fetched whole and checked: its SHA-256 in hex, and its size."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a template is made of, or a machine installed from. `id` is the template's or the machine's. Either
    `url` or `source_vm_id` says where it comes from.

    `trouble`: why it failed, or why it is tried again. `due_at`: not before.
    """

    id: UUID
    tenant: UUID | None
    created_at: datetime
    updated_at: datetime
    due_at: datetime
    url: str | None = None
    wanted_sha256: str | None = None
    source_vm_id: UUID | None = None
    state: ImageState = ImageState.WAITING
    sha256: str | None = None
    progress: Progress = Progress()
    trouble: str | None = None
    attempts: int = 0
    fence: int = 0
    lease_until: datetime | None = None

    @property
    def detail(self) -> str | None:
        """What there is to say beyond the state; None if nothing."""
        if self.state is ImageState.FETCHING:
            return f"{self.progress.received_bytes} of {self.progress.total_bytes or '?'} bytes"
        return self.trouble

    def claimed(self, now: datetime, lease: timedelta) -> "Image":
        """Return the image in the hands of a worker."""
        return replace(
            self,
            state=ImageState.FETCHING,
            attempts=self.attempts + 1,
            fence=self.fence + 1,
            lease_until=now + lease,
            updated_at=now,
        )

    def made(self, blob: Blob, now: datetime) -> "Image":
        """Return the image once it is there."""
        whole = replace(self.progress, received_bytes=blob.size_bytes, total_bytes=blob.size_bytes)
        done = replace(self, state=ImageState.READY, sha256=blob.sha256, progress=whole)
        return replace(done, trouble=None, lease_until=None, updated_at=now)

    def failed(self, why: str, now: datetime, *, final: bool) -> "Image":
        """Return the image after an attempt that failed: to be tried again, later and later, unless that is no use."""
        over = final or self.attempts >= MOST_ATTEMPTS
        wait = min(_SOON * 2 ** min(self.attempts, 16), _LATE)
        return replace(
            self,
            state=ImageState.FAILED if over else ImageState.WAITING,
            trouble=why,
            due_at=now + wait,
            lease_until=None,
            updated_at=now,
        )
