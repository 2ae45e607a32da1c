"""Is it ready? Small questions over loopback, each answered in about a second or counted as no."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

LIMIT = 1.0
Probe = Callable[[], Awaitable[bool]]


async def _ask(port: int, question: bytes, size: int) -> bytes:
    """Send a question and return the first bytes of the answer; empty where nobody answers."""
    try:
        async with asyncio.timeout(LIMIT):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with closing(writer):
                writer.write(question)
                await writer.drain()
                return await reader.read(size)
    except (OSError, TimeoutError):
        return b""


def http(port: int, path: str) -> Probe:
    """Return a probe that wants 200."""

    async def ask() -> bool:
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        return (await _ask(port, request.encode(), 64)).startswith(
            (b"HTTP/1.1 200 ", b"HTTP/1.0 200 ")
        )

    return ask


def valkey(port: int, password: str) -> Probe:
    """Return a probe that wants PONG (not LOADING)."""

    async def ask() -> bool:
        return (await _ask(port, f"AUTH {password}\r\nPING\r\n".encode(), 64)).startswith(
            b"+OK\r\n+PONG"
        )

    return ask


def postgres(port: int) -> Probe:
    """Return a probe that wants to be asked for a password: a server that is starting up answers
    with an error.
    """
    body = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
    startup = struct.pack("!i", len(body) + 4) + body

    async def ask() -> bool:
        return (await _ask(port, startup, 1)) == b"R"

    return ask


def file(path: Path) -> Probe:
    """Return a probe that wants a file with something in it."""

    async def ask() -> bool:
        return path.is_file() and path.stat().st_size > 0  # noqa: ASYNC240 - a stat on a local disk

    return ask
