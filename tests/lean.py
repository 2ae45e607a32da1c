"""A transport of httpx for tests that ask ten thousand times: HTTP/1.1 over kept connections, parsed in C.

The one that httpx brings takes many times as long for a small answer, on a machine whose two cores the platform needs
itself. It gives whole answers only, but for a stream of events: of that the head is enough, and its connection ends.
"""

import asyncio
from itertools import chain

import httptools
import httpx


class Lean(httpx.AsyncBaseTransport):
    """As many connections as are asked over at once; each is kept for the next request to the same place."""

    def __init__(self):
        self._idle = {}

    async def handle_async_request(self, request):
        assert request.url.scheme == "http", "nothing here speaks TLS"
        place = request.url.host, request.url.port or 80
        body = await request.aread()
        patience = request.extensions["timeout"]
        try:
            async with asyncio.timeout(patience["connect"]):
                line = await self._line(place)
            async with asyncio.timeout(patience["read"]):
                status, headers, said = await line.ask(_head(request) + body)
        except TimeoutError:
            raise httpx.ReadTimeout(f"{request.method} {request.url}") from None
        if not line.closed:
            self._idle.setdefault(place, []).append(line)
        return httpx.Response(status, headers=headers, content=said)

    async def _line(self, place):
        idle = self._idle.get(place, [])
        while idle:
            if not (line := idle.pop()).closed:
                return line
        try:
            return (await asyncio.get_running_loop().create_connection(_Line, *place))[1]
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error

    async def aclose(self):
        for line in chain.from_iterable(self._idle.values()):
            line.close()


def _head(request):
    lines = [b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%b: %b\r\n" % pair for pair in request.headers.raw]
    return b"".join([*lines, b"\r\n"])


class _Line(asyncio.Protocol):
    """A connection, and the answer that is under way on it. `closed`: it can be asked nothing more."""

    def __init__(self):
        self.closed = False
        self._answer = None

    async def ask(self, request):
        """Send a request; return (status, headers, body). Who stops waiting closes the connection."""
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._body = [], []
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        except BaseException:
            self.close()
            raise

    def close(self):
        self.closed = True
        self._transport.close()

    # what asyncio calls

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        if self._answer is None or self._answer.done():
            self.close()  # said without being asked, or after the head of a stream
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"no HTTP: {error}")

    def connection_lost(self, exc):
        self._fail(f"the connection was lost: {exc or 'it was closed'}")

    def _fail(self, why):
        self.close()
        if self._answer and not self._answer.done():
            self._answer.set_exception(httpx.RemoteProtocolError(why))

    # what the parser calls

    def on_header(self, name, value):
        self._headers.append((name, value))

    def on_headers_complete(self):
        kinds = [value for name, value in self._headers if name.lower() == b"content-type"]
        if any(kind.startswith(b"text/event-stream") for kind in kinds):
            self.close()
            self._told()

    def on_body(self, body):
        self._body.append(body)

    def on_message_complete(self):
        if not self._parser.should_keep_alive():
            self.close()
        self._told()

    def _told(self):
        if not self._answer.done():
            said = self._parser.get_status_code(), self._headers, b"".join(self._body)
            self._answer.set_result(said)
