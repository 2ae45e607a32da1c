"""Object storage: one contract, for a folder and for a server that speaks S3 and checks every signature."""

import hashlib
import hmac
import os
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

import httpx
import pytest

from iam.clients.shelves import Bucket, FolderShelf, S3Shelf, signature
from iam.domain.avatar import StorageAway

NAME, OTHER = "a" * 64 + ".webp", "b" * 64 + ".webp"
BUCKET = Bucket(
    url="http://s3.test:9000",
    name="pictures",
    region="eu-central-1",
    access_key="AKIDEXAMPLE",
    secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
)


class TinyS3(httpx.AsyncBaseTransport):
    """A bucket in memory. It works out each signature itself, from the request as it arrived."""

    def __init__(self, page=2):
        self.objects, self.page, self.status = {}, page, 0

    async def handle_async_request(self, request):
        body = await request.aread()
        if self.status:
            return httpx.Response(self.status)
        if self._signed(request, body) != request.headers["authorization"]:
            return httpx.Response(403, text="<Code>SignatureDoesNotMatch</Code>")
        path = request.url.path
        if not path.startswith("/pictures/"):
            return self._list(dict(parse_qsl(request.url.query.decode())))
        if request.method == "PUT":
            self.objects[path] = body
            return httpx.Response(200)
        if request.method == "DELETE":
            self.objects.pop(path, None)
            return httpx.Response(204)
        if path not in self.objects:
            return httpx.Response(404)
        return httpx.Response(200, content=self.objects[path])

    def _signed(self, request, body):
        sent = request.headers
        assert sent["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
        day = sent["x-amz-date"][:8]
        query = "&".join(
            sorted(
                f"{quote(k, safe='')}={quote(v, safe='')}"
                for k, v in parse_qsl(request.url.query.decode())
            )
        )
        names = ["host", "x-amz-content-sha256", "x-amz-date"]
        canonical = "\n".join(
            [
                *(request.method, quote(request.url.path), query),
                *(f"{n}:{sent[n]}" for n in names),
                "",
                ";".join(names),
                sent["x-amz-content-sha256"],
            ]
        )
        scope = f"{day}/eu-central-1/s3/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{sent['x-amz-date']}\n{scope}\n{hashed}"
        key = b"AWS4" + BUCKET.secret_key.encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        proof = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        who = f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}"
        return f"{who}, SignedHeaders={';'.join(names)}, Signature={proof}"

    def _list(self, query):
        assert query["list-type"] == "2"
        keys = sorted(p.removeprefix("/pictures/") for p in self.objects)
        keys = [k for k in keys if k.startswith(query["prefix"])]
        begin = int(query.get("continuation-token", "0 +/").split()[0])
        part, more = keys[begin : begin + self.page], begin + self.page < len(keys)
        entries = "".join(
            f"<Contents><Key>{k}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>"
            for k in part
        )
        token = f"<NextContinuationToken>{begin + self.page} +/</NextContinuationToken>"
        return httpx.Response(
            200, text=f"<ListBucketResult>{entries}{token if more else ''}</ListBucketResult>"
        )


@pytest.fixture
def s3():
    return TinyS3()


@pytest.fixture(params=["folder", "s3"])
async def shelf(request, tmp_path, s3):
    if request.param == "folder":
        yield FolderShelf(tmp_path / "deep" / "avatars")
        return
    async with httpx.AsyncClient(transport=s3) as http:
        yield S3Shelf(BUCKET, http, lambda: datetime.now(UTC))


async def all_of(shelf):
    return {name: at async for name, at in shelf.names()}


async def test_what_is_kept_is_found_until_it_is_dropped(shelf):
    assert await shelf.get(NAME) is None
    await shelf.put(NAME, b"one")
    await shelf.put(NAME, b"two")
    await shelf.put(OTHER, b"\x00" * 300_000)
    assert await shelf.get(NAME) == b"two"
    assert len(await shelf.get(OTHER)) == 300_000
    await shelf.drop(NAME)
    await shelf.drop(NAME)
    assert await shelf.get(NAME) is None
    assert list(await all_of(shelf)) == [OTHER]


async def test_every_file_is_named_with_its_time_over_all_pages(shelf):
    assert await all_of(shelf) == {}
    names = [f"{n:064x}.webp" for n in range(5)]
    for name in names:
        await shelf.put(name, b"x")
    found = await all_of(shelf)
    assert sorted(found) == names
    assert all(at.tzinfo and at < datetime.now(UTC) + timedelta(seconds=5) for at in found.values())


async def test_a_wrong_signature_is_a_storage_that_does_not_work(s3):
    async with httpx.AsyncClient(transport=s3) as http:
        stranger = Bucket(**{n: getattr(BUCKET, n) for n in BUCKET.__slots__} | {"secret_key": "x"})
        with pytest.raises(StorageAway, match="403"):
            await S3Shelf(stranger, http, lambda: datetime.now(UTC)).put(NAME, b"x")
    assert s3.objects == {}


@pytest.mark.parametrize("status", [301, 403, 500, 503])
async def test_a_server_that_refuses_is_a_storage_that_is_away(s3, status):
    async with httpx.AsyncClient(transport=s3) as http:
        shelf, s3.status = S3Shelf(BUCKET, http, lambda: datetime.now(UTC)), status
        for step in (shelf.put(NAME, b"x"), shelf.get(NAME), shelf.drop(NAME), all_of(shelf)):
            with pytest.raises(StorageAway):
                await step


async def test_a_server_that_is_not_there_is_a_storage_that_is_away():
    def broken(request):
        raise httpx.ConnectError("nobody there")

    async with httpx.AsyncClient(transport=httpx.MockTransport(broken)) as http:
        with pytest.raises(StorageAway):
            await S3Shelf(BUCKET, http, lambda: datetime.now(UTC)).get(NAME)


def test_a_signature_is_the_one_that_amazon_publishes():
    """The example `GET ?lifecycle` of the S3 documentation: "Signature Calculations for the Authorization Header"."""
    bucket = Bucket(
        url="https://examplebucket.s3.amazonaws.com",
        name="",
        region="us-east-1",
        access_key="AKIA" + "IOSFODNN7EXAMPLE",
        secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    )
    at = datetime(2013, 5, 24, tzinfo=UTC)
    signed = signature(bucket, "GET", ("/", "lifecycle="), b"", at)["authorization"]
    assert signed.endswith("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")


async def test_a_folder_that_cannot_be_used_is_a_storage_that_is_away(tmp_path):
    (tmp_path / "file").write_text("in the way")
    shelf = FolderShelf(tmp_path / "file")
    for step in (shelf.put(NAME, b"x"), shelf.get(NAME)):
        with pytest.raises(StorageAway):
            await step


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a.webp", "", "x" * 64])
async def test_no_name_leads_out_of_the_folder(tmp_path, name):
    shelf = FolderShelf(tmp_path)
    with pytest.raises(ValueError, match="no name of a file"):
        await shelf.get(name)


async def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    shelf = FolderShelf(tmp_path)

    def full(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageAway):
        await shelf.put(NAME, b"x")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
