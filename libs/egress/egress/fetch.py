"""One HTTP/1.1 request to an address that was judged: resolved once, connected to by number, no redirect followed."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

import h11

from egress.guard import Destination, Rules, destination, judged

_CHUNK = 65_536


class Unreachable(ConnectionError):
    """Nobody answered, or not in time, or not in HTTP."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a redirect is an answer like any other."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def resolved(host: str, port: int) -> list[str]:
    """Return the addresses of a host; Unreachable if it has none."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable("the host's name is not known") from None
    return list(dict.fromkeys(str(info[4][0]) for info in found))


async def fetch(
    request: Request, rules: Rules, *, patience: float = 10.0, most: int = 1_000_000
) -> Answer:
    """Ask once; Refused for what may not be asked, Unreachable for what does not answer within `patience` seconds.

    At most `most` bytes of the answer's body are read; the rest is not.
    """
    where = destination(request.url, rules)
    try:
        async with asyncio.timeout(patience):
            addresses = judged(await resolved(where.host, where.port), rules)
            reader, writer = await connected(where, addresses)
            try:
                return await _asked(request, where, reader, writer, most)
            finally:
                writer.close()
    except TimeoutError:
        raise Unreachable(f"no answer within {patience:g} seconds") from None
    except (OSError, h11.RemoteProtocolError) as trouble:
        if isinstance(trouble, Unreachable):
            raise
        raise Unreachable("the connection failed") from trouble


async def connected(
    where: Destination, addresses: list[str]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to one of the judged addresses; the name is asked for nothing any more but its certificate."""
    context = ssl.create_default_context() if where.tls else None
    name = where.host if where.tls else None
    last: OSError | None = None
    for address in addresses:
        try:
            return await asyncio.open_connection(
                address, where.port, ssl=context, server_hostname=name
            )
        except OSError as trouble:
            last = trouble
    raise Unreachable("the connection failed") from last


async def _asked(
    request: Request,
    where: Destination,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    most: int,
) -> Answer:
    wire = h11.Connection(h11.CLIENT)
    headers = {
        "host": where.authority,
        "content-length": str(len(request.body)),
        "connection": "close",
        **request.headers,
    }
    begin = h11.Request(method=request.method, target=where.target, headers=list(headers.items()))
    for event in (begin, h11.Data(data=request.body), h11.EndOfMessage()):
        writer.write(wire.send(event) or b"")
    await writer.drain()
    status, answered, body = 0, dict[str, str](), bytearray()
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            status = event.status_code
            answered = {name.decode("latin-1"): v.decode("latin-1") for name, v in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) >= most:
                return Answer(status, answered, bytes(body[:most]))
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            return Answer(status, answered, bytes(body))
