"""The transport that journeys ask over (tests/lean.py), against a server that answers in every way there is."""

import asyncio
import contextlib

import httpx
import pytest

from tests.lean import Lean

OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    b"/parts": (OK + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"),
    b"/stream": (OK + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",),
    b"/nothing": (b"HTTP/1.1 204 No Content\r\n\r\n",),
    b"/head": (OK + b"content-length: 20\r\n\r\n",),
    b"/last": (OK + b"connection: close\r\ncontent-length: 2\r\n\r\nok", None),
    b"/cut": (OK + b"content-length: 10\r\n\r\nabc", None),
    b"/lost": (None,),
    b"/silent": (),
    b"/no-http": (b"good evening\r\n\r\n",),
}


class Server:
    """Says what `ANSWERS` has for a path, None: it hangs up; and what it was sent where it has nothing."""

    def __init__(self):
        self.connections, self.tasks = 0, []

    async def serve(self, reader, writer):
        self.connections += 1
        self.tasks.append(asyncio.current_task())
        try:
            while True:
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [
            line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        ]
        body = await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
        echo = OK + b"content-length: %d\r\n\r\n%b" % (len(body), body)
        for part in ANSWERS.get(head.split()[1], (echo,)):
            if part is None:
                raise ConnectionError
            writer.write(part)
            await writer.drain()


@pytest.fixture
async def server():
    return Server()


@pytest.fixture
async def web(server):
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, transport=Lean(), timeout=30) as made:
        yield made
    await asyncio.gather(*server.tasks)
    listening.close()


async def test_one_connection_serves_one_answer_after_the_other(web, server):
    for _ in range(3):
        assert (await web.get("/parts")).content == b"abcde"
        assert (await web.post("/echo", json={"a": "ñ"})).json() == {"a": "ñ"}
        assert (await web.get("/nothing")).status_code == 204
    assert server.connections == 1


async def test_many_at_once_get_each_its_own(web):
    said = await asyncio.gather(*(web.post("/echo", json=n) for n in range(50)))
    assert [answer.json() for answer in said] == list(range(50))


async def test_a_connection_that_may_not_be_used_again_is_not(web, server):
    for n in range(1, 4):
        assert (await web.get("/last")).content == b"ok"
        assert (await web.head("/head")).status_code == 200
        assert server.connections == 2 * n


async def test_a_stream_may_be_left_in_its_middle(web, server):
    async with web.stream("GET", "/stream") as answer:
        parts = answer.aiter_bytes()
        assert await anext(parts) == b"abc"
        await parts.aclose()
    assert (await web.post("/echo", json=1)).json() == 1
    assert server.connections == 2


@pytest.mark.parametrize("path", ["/cut", "/lost", "/no-http"])
async def test_half_an_answer_is_none(web, path):
    with pytest.raises(httpx.RemoteProtocolError):
        await web.get(path)
    assert (await web.post("/echo", json=1)).json() == 1


@pytest.mark.parametrize("path", ["/silent", "/stream"])
async def test_nobody_waits_for_ever(web, path):
    with pytest.raises(httpx.ReadTimeout):
        await web.get(path, timeout=0.05)


async def test_where_nobody_listens_nobody_connects():
    async with httpx.AsyncClient(transport=Lean()) as web:
        with pytest.raises(httpx.ConnectError):
            await web.get("http://127.0.0.1:1/")
