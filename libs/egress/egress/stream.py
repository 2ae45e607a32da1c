"""One HTTP/1.1 answer read piece by piece, from an address that was judged: for what is too big to hold."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import h11

from egress import fetch
from egress.fetch import Request, Unreachable, connected
from egress.guard import Destination, Rules, destination, judged

_CHUNK = 262_144
_MOST_HEADERS = 65_536


@dataclass(frozen=True, slots=True)
class Incoming:
    """An answer that has begun: a redirect is one like any other. `pieces` end when it is whole, never before."""

    status: int
    headers: dict[str, str]
    pieces: AsyncIterator[bytes]


@asynccontextmanager
async def opened(
    request: Request, rules: Rules, *, patience: float = 10.0
) -> AsyncGenerator[Incoming]:
    """Ask once, and read the answer as it comes.

    Refused for what may not be asked. Unreachable for what does not answer, sends nothing for `patience` seconds, or
    breaks off; that may come out of `pieces` too. The request has no body.
    """
    where = destination(request.url, rules)
    with _told(patience):
        async with asyncio.timeout(patience):
            addresses = judged(await fetch.resolved(where.host, where.port), rules)
            reader, writer = await connected(where, addresses)
    try:
        wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEADERS)
        with _told(patience):
            async with asyncio.timeout(patience):
                await _send(wire, request, where, writer)
                begun = await _begun(wire, reader)
        headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in begun.headers}
        yield Incoming(begun.status_code, headers, _pieces(wire, reader, patience))
    finally:
        writer.transport.abort()  # nothing more is to be said, and what is left of the answer is not wanted


async def _send(
    wire: h11.Connection, request: Request, where: Destination, writer: asyncio.StreamWriter
) -> None:
    headers = {"host": where.authority, "connection": "close", **request.headers}
    begin = h11.Request(method=request.method, target=where.target, headers=list(headers.items()))
    for event in (begin, h11.EndOfMessage()):
        writer.write(wire.send(event) or b"")
    await writer.drain()


async def _begun(wire: h11.Connection, reader: asyncio.StreamReader) -> h11.Response:
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            return event
        elif isinstance(event, h11.ConnectionClosed):
            raise Unreachable("the connection failed")


async def _pieces(
    wire: h11.Connection, reader: asyncio.StreamReader, patience: float
) -> AsyncGenerator[bytes]:
    while True:
        with _told(patience):
            event = wire.next_event()
            if event is h11.NEED_DATA:
                async with asyncio.timeout(patience):
                    wire.receive_data(await reader.read(_CHUNK))
        if isinstance(event, h11.Data):
            yield bytes(event.data)
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return


@contextmanager
def _told(patience: float) -> Generator[None]:
    """Turn the ways of a connection to fail into one."""
    try:
        yield
    except TimeoutError:
        raise Unreachable(f"nothing came within {patience:g} seconds") from None
    except Unreachable:
        raise
    except (OSError, h11.RemoteProtocolError) as trouble:
        raise Unreachable("the connection failed") from trouble
