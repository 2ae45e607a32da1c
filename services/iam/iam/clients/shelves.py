"""Object storage: a folder, or anything that speaks S3 (signed with AWS Signature Version 4)."""

import asyncio
import hmac
import os
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import httpx

from iam.domain.avatar import StorageAway, is_name

_PART = ".part"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FolderShelf:
    """Files in a folder, written whole or not at all. Replicas need one folder together."""

    folder: Path

    async def put(self, name: str, data: bytes) -> None:
        """Keep a file."""
        await self._done(lambda: _write(self._path(name), data))

    async def get(self, name: str) -> bytes | None:
        """Return a file."""
        try:
            return await self._done(self._path(name).read_bytes)
        except FileNotFoundError:
            return None

    async def drop(self, name: str) -> None:
        """Remove a file, if it is there."""
        await self._done(lambda: self._path(name).unlink(missing_ok=True))

    async def names(self) -> AsyncIterator[tuple[str, datetime]]:
        """Yield the name of each file, and when it was kept; half-written ones too."""
        found = await self._done(lambda: [p for p in self.folder.glob("*/*") if p.is_file()])
        for path in found:
            with suppress(FileNotFoundError):
                yield path.name, datetime.fromtimestamp(path.stat().st_mtime, UTC)

    def _path(self, name: str) -> Path:
        if not is_name(name) and not name.endswith(_PART):
            raise ValueError(f"{name!r} is no name of a file here")
        return self.folder / name[:2] / name

    async def _done(self, step: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(step)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageAway("the folder of avatars cannot be used") from error


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=path.name[:2], suffix=_PART, delete=False
    ) as part:
        try:
            part.write(data)
            part.flush()
            os.fsync(part.fileno())
            Path(part.name).replace(path)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket and who may use it. `url` of the endpoint; the bucket is in the path, as every server understands."""

    url: str
    name: str
    region: str
    access_key: str
    secret_key: str
    prefix: str = "avatars/"


@dataclass(frozen=True, slots=True)
class S3Shelf:
    """Files in a bucket."""

    bucket: Bucket
    http: httpx.AsyncClient
    now: Callable[[], datetime]

    async def put(self, name: str, data: bytes) -> None:
        """Keep a file."""
        await self._asked("PUT", self._path(name), data, {"content-type": "image/webp"})

    async def get(self, name: str) -> bytes | None:
        """Return a file."""
        answer = await self._asked("GET", self._path(name), missing=True)
        return None if answer.status_code == 404 else answer.content

    async def drop(self, name: str) -> None:
        """Remove a file, if it is there."""
        await self._asked("DELETE", self._path(name), missing=True)

    async def names(self) -> AsyncIterator[tuple[str, datetime]]:
        """Yield the name of each file, and when it was kept."""
        query = {"list-type": "2", "prefix": self.bucket.prefix}
        while True:
            text = (await self._asked("GET", f"/{self.bucket.name}", query=query)).text
            for entry in re.findall(r"<Contents>(.*?)</Contents>", text, re.DOTALL):
                kept_at = datetime.fromisoformat(_tag("LastModified", entry))
                yield _tag("Key", entry).removeprefix(self.bucket.prefix), kept_at
            if not (following := _tag("NextContinuationToken", text)):
                return
            query["continuation-token"] = following

    def _path(self, name: str) -> str:
        return f"/{self.bucket.name}/{self.bucket.prefix}{name}"

    async def _asked(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        missing: bool = False,
    ) -> httpx.Response:
        asked = urlencode(sorted((query or {}).items()), quote_via=quote, safe="")
        signed = signature(self.bucket, method, (path, asked), body, self.now())
        url = f"{self.bucket.url.rstrip('/')}{quote(path)}{'?' + asked if asked else ''}"
        sent = {**(headers or {}), **signed}
        try:
            answer = await self.http.request(method, url, content=body, headers=sent)
        except httpx.HTTPError as error:
            raise StorageAway("the storage does not answer", retry_after=2) from error
        if answer.is_success or (missing and answer.status_code == 404):
            return answer
        raise StorageAway(f"the storage answers {answer.status_code}", retry_after=5)


def signature(
    bucket: Bucket, method: str, target: tuple[str, str], body: bytes, now: datetime
) -> dict[str, str]:
    """Return the header fields that sign a request (AWS Signature Version 4). `target`: path, sorted query."""
    path, query = target
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    hashed = sha256(body).hexdigest()
    fields = {
        "host": urlsplit(bucket.url).netloc,
        "x-amz-content-sha256": hashed,
        "x-amz-date": stamp,
    }
    names = ";".join(fields)
    told = "".join(f"{name}:{value}\n" for name, value in fields.items())
    request = "\n".join((method, quote(path), query, told, names, hashed))
    scope = f"{day}/{bucket.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    key = f"AWS4{bucket.secret_key}".encode()
    for part in (day, bucket.region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    proof = hmac.new(key, text.encode(), "sha256").hexdigest()
    who = f"AWS4-HMAC-SHA256 Credential={bucket.access_key}/{scope}"
    return {**fields, "authorization": f"{who}, SignedHeaders={names}, Signature={proof}"}


def _tag(name: str, text: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return unescape(found[1]) if found else ""
