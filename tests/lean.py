"""A transport of httpx for tests that ask ten thousand times: HTTP/1.1 over kept connections, parsed in C.

The one that httpx brings takes several times as long for a small answer, on a machine whose two cores the platform
needs itself.
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
        line = await self._line(place, patience["connect"])
        line.patience, line.bodiless = patience["read"], request.method == "HEAD"
        status, headers = await line.ask(_head(request) + body)
        return httpx.Response(status, headers=headers, stream=_Body(line, self._keep(place)))

    def _keep(self, place):
        return self._idle.setdefault(place, []).append

    async def _line(self, place, patience):
        idle = self._idle.get(place, [])
        while idle:
            if not (line := idle.pop()).closed:
                return line
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(patience):
                return (await loop.create_connection(_Line, *place))[1]
        except TimeoutError:
            raise httpx.ConnectTimeout(str(place)) from None
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error

    async def aclose(self):
        for line in chain.from_iterable(self._idle.values()):
            line.close()


def _head(request):
    lines = [b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%b: %b\r\n" % pair for pair in request.headers.raw]
    return b"".join([*lines, b"\r\n"])


class _Body(httpx.AsyncByteStream):
    """What comes after the head. Whoever does not read it to its end closes the connection."""

    def __init__(self, line, keep):
        self._line, self._keep, self._closed = line, keep, False

    async def __aiter__(self):
        while (part := await self._line.said()) is not None:
            yield part

    async def aclose(self):
        if self._closed:  # the line may be another answer's by now
            return
        self._closed = True
        if self._line.free():
            self._keep(self._line)
        else:
            self._line.close()


class _Line(asyncio.Protocol):
    """A connection, and the answer that is under way on it.

    `closed`: it can be asked nothing more. `patience`: seconds of waiting. `bodiless`: only a head will come.
    What was heard is queued: the head, parts of the body, None at the end; or why there will be no more.
    """

    def __init__(self):
        self.closed = self.bodiless = False
        self.patience = None
        self._under_way = False

    async def ask(self, request):
        """Send a request; return (status, headers)."""
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._heard, self._under_way = [], asyncio.Queue(), True
        self._transport.write(request)
        try:
            return await self.said()
        except BaseException:
            self.close()
            raise

    async def said(self):
        """Wait for what comes next, and return it."""
        try:
            async with asyncio.timeout(self.patience):
                heard = await self._heard.get()
        except TimeoutError:
            raise httpx.ReadTimeout(f"nothing for {self.patience} s") from None
        if isinstance(heard, httpx.HTTPError):
            raise heard
        return heard

    def free(self):
        """Whether the answer came to its end, and another may be asked for."""
        return not (self._under_way or self.closed)

    def close(self):
        self.closed = True
        self._transport.close()

    # what asyncio calls

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        if not self._under_way:
            self.close()  # it speaks without being asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"no HTTP: {error}")

    def connection_lost(self, exc):
        self._fail(f"the connection was lost: {exc or 'it was closed'}")

    def _fail(self, why):
        self.close()
        if self._under_way:
            self._under_way = False
            self._heard.put_nowait(httpx.RemoteProtocolError(why))

    # what the parser calls

    def on_header(self, name, value):
        self._headers.append((name, value))

    def on_headers_complete(self):
        self._heard.put_nowait((self._parser.get_status_code(), self._headers))
        if self.bodiless:  # the parser would wait for what content-length says
            self.close()
            self._end()

    def on_body(self, body):
        self._heard.put_nowait(body)

    def on_message_complete(self):
        if not self._parser.should_keep_alive():
            self.close()
        self._end()

    def _end(self):
        if self._under_way:
            self._under_way = False
            self._heard.put_nowait(None)
