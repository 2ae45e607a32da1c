"""What happens to guests, as Incus tells it over its WebSocket; asked again for as long as one listens."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from websockets.exceptions import ConnectionClosed

from compute.clients.incus_marks import guest_of
from compute.clients.incus_wire import Unreachable, Wire

AGAIN = 2.0


async def happened(wire: Wire) -> AsyncGenerator[UUID]:
    """Yield guests to which something happened. Nothing is lost for good: who listens looks by itself now and then."""
    while True:
        with suppress(Unreachable, ConnectionClosed):
            async with wire.socket("/1.0/events", {"type": "lifecycle"}) as events:
                async for said in events:
                    if (vm := _guest(said)) is not None:
                        yield vm
        await asyncio.sleep(AGAIN)


def _guest(said: str | bytes) -> UUID | None:
    """Return whom an event is about, by its source (`/1.0/instances/<name>[/…][?project=…]`)."""
    source: str = orjson.loads(said).get("metadata", {}).get("source", "")
    parts = urlsplit(source).path.split("/")
    return guest_of(parts[3]) if parts[:3] == ["", "1.0", "instances"] else None
