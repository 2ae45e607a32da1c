"""Images fetched from addresses that users name, behind the guard of egress.

    parts/<image>.<fence>    what has come so far; each worker writes a file of its own, so that one which was frozen
                             and wakes up writes into a file that nobody reads any more
    blobs/<sha256>           what came whole and was checked, once for all that have the same content

A part becomes a blob by fsync and rename. Content is shared by what was fetched and never by a checksum that somebody
only claims: a tenant who knows the checksum of another's image does not get it.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from compute.domain.image import Blob, Image, Progress
from compute.ports.images import NeverThere, NotNow
from egress.fetch import Request, Unreachable
from egress.guard import Refused, Rules, destination
from egress.stream import Incoming, opened

_TOLD_EVERY = 1 << 20
_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))


class Digest(Protocol):
    """A checksum that is not finished."""

    def update(self, data: bytes, /) -> None:
        """Go on with these bytes."""
        ...

    def hexdigest(self) -> str:
        """Return the checksum so far."""
        ...


@dataclass(slots=True)
class _Part:
    """What has come so far: a file, its digest and its size."""

    file: IO[bytes]
    size: int = 0
    digest: Digest = field(default_factory=hashlib.sha256)

    def write(self, piece: bytes) -> None:
        self.file.write(piece)
        self.digest.update(piece)
        self.size += len(piece)

    def empty(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.size, self.digest = 0, hashlib.sha256()


@dataclass(slots=True)
class _Pace:
    """Whether what comes comes fast enough: a server that sends a byte now and then would hold its place for ever."""

    least: int
    over: float
    clock: Callable[[], float]
    _since: float | None = None
    _came: int = 0

    def note(self, size: int) -> None:
        """Count what came; NotNow if that is too little, once the time is over."""
        now = self.clock()
        self._since = now if self._since is None else self._since
        self._came += size
        if (took := now - self._since) < self.over:
            return
        if self._came < self.least * took:
            raise NotNow(f"it comes too slowly: {self._came} bytes in {took:.0f} seconds")
        self._since, self._came = now, 0


@dataclass(frozen=True, slots=True)
class Depot:
    """Images in a folder. `most`: the bytes that one may have. `patience`: seconds in which something must come.

    `least`: how many bytes a second must come over each such time; `clock` counts seconds.
    """

    root: Path
    rules: Rules
    most: int
    patience: float = 30.0
    least: int = 64 << 10
    clock: Callable[[], float] = time.monotonic

    def trouble(self, url: str) -> str:
        """Return why an address can never be asked; nothing if it can be tried."""
        try:
            destination(url, self.rules)
        except Refused as refused:
            return str(refused)
        return ""

    def blob(self, digest: str) -> Path:
        """Return where something that was fetched lies."""
        return self.root / "blobs" / digest

    def make(self) -> None:
        """Create the folders, closed to others."""
        for folder in ("parts", "blobs"):
            (self.root / folder).mkdir(mode=0o700, parents=True, exist_ok=True)

    async def fetch(self, image: Image, told: Callable[[Progress], None]) -> Blob:
        """Fetch an image, going on where an earlier worker stopped; tell how far it is. NeverThere or NotNow."""
        try:
            return await self._fetched(image, told)
        except Refused as refused:
            raise NeverThere(str(refused)) from None
        except Unreachable as away:
            raise NotNow(str(away)) from None
        except OSError as full:
            raise NotNow(f"it could not be kept: {full.strerror}") from full

    async def _fetched(self, image: Image, told: Callable[[Progress], None]) -> Blob:
        self.make()
        mine = self.root / "parts" / f"{image.id}.{image.fence}"
        earlier = self._earlier(image)
        with mine.open("w+b") as file:
            part = _Part(file)
            if earlier is not None:
                if image.progress.validator:
                    await asyncio.to_thread(_copy, earlier, part)
                earlier.unlink(missing_ok=True)
            await self._receive(image, part, told)
            blob = _checked(image, part)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        mine.replace(self.blob(blob.sha256))
        _settle(self.root / "blobs")
        return blob

    def _earlier(self, image: Image) -> Path | None:
        """Return what the last worker before this one left; drop what others left before it."""
        found = [p for p in (self.root / "parts").glob(f"{image.id}.*") if _fence(p) < image.fence]
        found.sort(key=_fence)
        for old in found[:-1]:
            old.unlink(missing_ok=True)
        return found[-1] if found else None

    async def _receive(self, image: Image, part: _Part, told: Callable[[Progress], None]) -> None:
        headers = {"accept-encoding": "identity", "user-agent": "Switchyard-Images/1"}
        if part.size:
            validator = image.progress.validator or ""
            headers |= {"range": f"bytes={part.size}-", "if-range": validator}
        request = Request("GET", image.url or "", headers)
        async with opened(request, self.rules, patience=self.patience) as incoming:
            _must_be_an_image(incoming)
            if incoming.status != 206 or not _goes_on(incoming, part.size):
                part.empty()
            total = _total(incoming, part.size, image)
            self._must_fit(total or 0)
            await self._write(incoming, part, total, told)
        if total is not None and part.size != total:
            raise NotNow(f"the server sent {part.size} of {total} bytes")

    async def _write(
        self, incoming: Incoming, part: _Part, total: int | None, told: Callable[[Progress], None]
    ) -> None:
        validator = _strong(incoming.headers.get("etag"))
        next_word, pace = 0, _Pace(self.least, self.patience, self.clock)
        async for piece in incoming.pieces:
            self._must_fit(part.size + len(piece))
            part.write(piece)
            pace.note(len(piece))
            if part.size >= next_word:
                part.file.flush()
                told(Progress(received_bytes=part.size, total_bytes=total, validator=validator))
                next_word = part.size + _TOLD_EVERY

    def _must_fit(self, size: int) -> None:
        if size > self.most:
            raise NeverThere(f"the image is larger than {self.most} bytes, which is the most here")


def _fence(part: Path) -> int:
    return int(part.suffix[1:])


def _copy(earlier: Path, part: _Part) -> None:
    with earlier.open("rb") as old:
        while piece := old.read(1 << 20):
            part.write(piece)


def _must_be_an_image(incoming: Incoming) -> None:
    status = incoming.status
    if 300 <= status < 400:
        raise NeverThere(
            "the server sends elsewhere (a redirect): give the address that it leads to"
        )
    if status in _AGAIN:
        raise NotNow(f"the server answered {status}")
    if status not in (200, 206):
        raise NeverThere(f"the server answered {status}")
    if incoming.headers.get("content-encoding", "identity") != "identity":
        raise NeverThere("the server sends the image encoded, though it was asked not to")


def _goes_on(incoming: Incoming, size: int) -> bool:
    """Tell whether a part of the image that comes begins where what we have ends."""
    return incoming.headers.get("content-range", "").startswith(f"bytes {size}-")


def _total(incoming: Incoming, had: int, image: Image) -> int | None:
    """Return how large the image will be. Where nobody says, only a checksum can tell a whole one from half of one."""
    said = incoming.headers.get("content-length", "")
    if said.isdecimal():
        return had + int(said)
    if image.wanted_sha256 is None:
        raise NeverThere("the server does not say how large the image is: give its checksum")
    return None


def _strong(etag: str | None) -> str | None:
    """Return an ETag that names bytes (RFC 9110, 13.1.5): only such a one may be gone on with."""
    return etag if etag and etag.startswith('"') and len(etag) <= 200 else None


def _checked(image: Image, part: _Part) -> Blob:
    found = part.digest.hexdigest()
    if part.size == 0:
        raise NeverThere("the image is empty")
    if image.wanted_sha256 not in (None, found):
        raise NeverThere(f"the checksum is sha256:{found}, not the one that was given")
    return Blob(found, part.size)


def _settle(folder: Path) -> None:
    """Make what was renamed in a folder last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
