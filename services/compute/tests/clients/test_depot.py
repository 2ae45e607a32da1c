"""Images are fetched whole, checked, gone on with and kept once; nothing of ours is ever asked."""

import asyncio
import hashlib
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from compute.clients.depot import Depot
from compute.domain.image import Image
from compute.ports.images import NeverThere, NotNow
from egress.guard import Rules

NOON = datetime(2026, 6, 1, tzinfo=UTC)
HERE = Rules.of("127.0.0.0/8", plain_http=True)
BYTES = bytes(range(256)) * 20_000  # five megabytes
DIGEST = hashlib.sha256(BYTES).hexdigest()
ETAG = '"v1"'


class Server:
    """A server with one image; `breaks_after` bytes the connection ends, once."""

    def __init__(self, content=BYTES):
        self.content, self.etag, self.breaks_after = content, ETAG, None
        self.says_length, self.answer, self.asked = True, None, []

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        self.asked.append(head)
        writer.write(self.answer or self._whole(head))
        await writer.drain()

    def _whole(self, head):
        start, status = 0, b"200 OK"
        fields = [b"etag: " + self.etag.encode()]
        if "range: bytes=" in head and f"if-range: {self.etag}" in head:
            start = int(head.partition("range: bytes=")[2].partition("-")[0])
            status = b"206 Partial Content"
            fields.append(
                b"content-range: bytes %d-%d/%d" % (start, len(self.content) - 1, len(self.content))
            )
        body = self.content[start:]
        if self.says_length:
            fields.append(b"content-length: %d" % len(body))
        if self.breaks_after is not None:
            body, self.breaks_after = body[: self.breaks_after], None
        return b"HTTP/1.1 " + status + b"\r\n" + b"\r\n".join(fields) + b"\r\n\r\n" + body


@asynccontextmanager
async def serving(server):
    """Serve, and wait at the end until everybody has been answered."""
    answered = []

    async def serve(reader, writer):
        answered.append(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await server.serve(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/x.qcow2"
        await asyncio.gather(*answered)


@pytest.fixture
def depot(tmp_path):
    return Depot(tmp_path, HERE, most=len(BYTES), patience=2.0)


def image(url, **said):
    given = {
        "id": uuid4(),
        "tenant": None,
        "created_at": NOON,
        "updated_at": NOON,
        "due_at": NOON,
        "fence": 1,
    }
    return Image(**given | said, url=url)


def quiet(_):
    pass


def left(depot):
    return [p.name for p in (depot.root / "parts").iterdir()]


async def test_an_image_is_fetched_whole_and_kept_once(depot):
    heard = []
    async with serving(Server()) as url:
        for _ in range(2):
            blob = await depot.fetch(image(url, wanted_sha256=DIGEST), heard.append)
            assert (blob.sha256, blob.size_bytes) == (DIGEST, len(BYTES))
    assert [p.name for p in (depot.root / "blobs").iterdir()] == [DIGEST]
    assert depot.blob(DIGEST).read_bytes() == BYTES
    assert left(depot) == []
    seen = [p.received_bytes for p in heard]
    assert (seen[0] > 0, max(seen) <= len(BYTES), heard[0].total_bytes) == (True, True, len(BYTES))


async def test_a_worker_that_died_is_followed_by_one_that_goes_on(depot):
    heard, server = [], Server()
    server.breaks_after = 3_000_000
    async with serving(server) as url:
        one = image(url)
        with pytest.raises(NotNow):
            await depot.fetch(one, heard.append)
        two = replace(one, fence=2, progress=heard[-1])
        blob = await depot.fetch(two, quiet)
    assert blob.sha256 == DIGEST
    assert "range: bytes=" in server.asked[1]
    assert left(depot) == []


async def test_an_image_that_changed_meanwhile_is_fetched_from_its_beginning(depot):
    heard, server = [], Server(b"a" * 3_000_000)
    server.breaks_after = 2_000_000
    async with serving(server) as url:
        one = image(url)
        with pytest.raises(NotNow):
            await depot.fetch(one, heard.append)
        server.content, server.etag = BYTES, '"v2"'
        blob = await depot.fetch(replace(one, fence=2, progress=heard[-1]), quiet)
    assert blob.sha256 == DIGEST


async def test_what_a_frozen_worker_still_writes_when_it_wakes_is_read_by_nobody(depot):
    heard, server = [], Server()
    server.breaks_after = 1_000_000
    async with serving(server) as url:
        one = image(url)
        with pytest.raises(NotNow):
            await depot.fetch(one, heard.append)
        with (depot.root / "parts" / f"{one.id}.1").open("ab") as frozen:
            blob = await depot.fetch(replace(one, fence=2, progress=heard[-1]), quiet)
            frozen.write(b"late" * 1000)
    assert blob.sha256 == DIGEST == hashlib.sha256(depot.blob(DIGEST).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (
            b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\n\r\n",
            NeverThere,
            "redirect",
        ),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", NeverThere, "404"),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", NotNow, "503"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", NeverThere, "empty"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", NeverThere, "larger"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-encoding: gzip\r\n\r\nhello",
            NeverThere,
            "encoded",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", NeverThere, "how large"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", NotNow, "failed"),
        (b"nonsense\r\n\r\n", NotNow, "failed"),
    ],
)
async def test_what_is_no_image_fails_and_says_why(depot, answer, kind, why):
    server = Server()
    server.answer = answer
    async with serving(server) as url:
        with pytest.raises(kind, match=why):
            await depot.fetch(image(url), quiet)
    assert list((depot.root / "blobs").iterdir()) == []


async def test_a_wrong_checksum_fails_and_keeps_nothing(depot):
    async with serving(Server()) as url:
        with pytest.raises(NeverThere, match=f"sha256:{DIGEST}"):
            await depot.fetch(image(url, wanted_sha256="0" * 64), quiet)
    assert list((depot.root / "blobs").iterdir()) == []


async def test_without_a_length_the_cap_and_the_checksum_hold(depot):
    server = Server(BYTES + b"x")
    server.says_length = False
    async with serving(server) as url:
        with pytest.raises(NeverThere, match="larger"):
            await depot.fetch(image(url, wanted_sha256=DIGEST), quiet)
        server.content = BYTES
        assert (await depot.fetch(image(url, wanted_sha256=DIGEST), quiet)).sha256 == DIGEST


async def test_a_server_that_falls_silent_is_given_up_on(tmp_path):
    depot = Depot(tmp_path, HERE, most=100, patience=0.1)

    class Silent(Server):
        async def serve(self, reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello")
            await reader.read()

    async with serving(Silent()) as url:
        with pytest.raises(NotNow, match="nothing came"):
            await depot.fetch(image(url), quiet)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
    ],
)
async def test_in_production_nothing_of_ours_is_asked_however_it_is_spelled(tmp_path, host):
    server = Server()
    async with serving(server) as url:
        port = url.split(":")[2]
        for rules, scheme in ((Rules(), "https"), (Rules(plain_http=True), "http")):
            depot = Depot(tmp_path, rules, most=100, patience=2.0)
            with pytest.raises((NeverThere, NotNow)):
                await depot.fetch(image(f"{scheme}://{host}:{port}"), quiet)
    assert server.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x",
        "ftp://example.com/x",
        "https://127.0.0.1/x",
        "https://a:b@example.com/",
    ],
)
def test_what_can_never_be_asked_is_told_before_it_is_tried(tmp_path, url):
    assert Depot(tmp_path, Rules(), most=1).trouble(url)


async def test_a_server_that_trickles_loses_its_place_and_is_asked_again_later(tmp_path):
    seconds = iter(range(0, 10**6, 40))  # to whoever looks, forty have gone by since
    slow = Depot(tmp_path, HERE, most=len(BYTES), least=1 << 20, clock=lambda: next(seconds))
    async with serving(Server()) as url:
        with pytest.raises(NotNow, match="too slowly"):
            await slow.fetch(image(url), lambda progress: None)


async def test_a_server_that_is_slow_for_a_moment_is_waited_for(tmp_path):
    enough = Depot(
        tmp_path, HERE, most=len(BYTES), least=1, clock=iter(range(0, 10**6, 40)).__next__
    )
    async with serving(Server()) as url:
        assert (await enough.fetch(image(url), lambda progress: None)).sha256 == DIGEST
