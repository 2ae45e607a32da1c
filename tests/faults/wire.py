"""A TCP connection that suffers: cut, late, broken now and then, or open and silent."""

import asyncio
import contextlib
import itertools
import socket
import struct
from types import SimpleNamespace
from urllib.parse import urlsplit

from tests.faults.replicas import Replica, free_ports, running

RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends a reset


class Wire:
    """Carries bytes from a port of its own to a place; what is set about it holds for what comes next.

    `late`: seconds by which each answer comes late; `every`: each piece of that number, counted over all connections,
    resets its connection instead (0: none does); while it hangs nothing is carried any more, and nobody is told.
    """

    def __init__(self, host, port):
        self.there, self.port, self._server = (host, port), free_ports(1)[0], None
        self.late, self.every, self._pieces = 0.0, 0, itertools.count(1)
        self.broken = self.now = self.most = 0  # connections: reset, open now, open at most
        self._open, self._carrying, self._flowing = set(), set(), asyncio.Event()
        self._flowing.set()

    @classmethod
    def spliced(cls, env, name):
        """Return a wire to the place that a variable names, which names the wire from then on."""
        said = env[name]
        place = urlsplit(said if "//" in said else f"//{said}")
        wire = cls(place.hostname, place.port)
        env[name] = said.replace(f":{place.port}", f":{wire.port}")
        return wire

    async def join(self):
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def cut(self):
        """Answer nobody any more, and break what is open."""
        self._server.close()
        self.flow()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        self._open.clear()
        self._carrying.clear()

    def hang(self):
        self._flowing.clear()

    def flow(self):
        self._flowing.set()

    @contextlib.asynccontextmanager
    async def joined(self):
        await self.join()
        try:
            yield self
        finally:
            await self.cut()

    async def _carry(self, reader, writer):
        self._carrying.add(asyncio.current_task())
        try:
            there, back = await asyncio.open_connection(*self.there)
        except OSError:
            writer.close()
            return
        ends = {writer, back}
        self._open |= ends
        with self._counted():
            await asyncio.gather(
                self._pump(reader, back, ends), self._pump(there, writer, ends, answers=True)
            )
        self._open -= ends

    @contextlib.contextmanager
    def _counted(self):
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            yield
        finally:
            self.now -= 1

    async def _pump(self, reader, writer, ends, *, answers=False):
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._flowing.wait()
                await asyncio.sleep(self.late * answers)
                if self.every and next(self._pieces) % self.every == 0:
                    self._reset(ends)
                    break
                writer.write(data)
                await writer.drain()
        writer.close()

    def _reset(self, ends):
        self.broken += 1
        for writer in ends:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


@contextlib.asynccontextmanager
async def wired(platform, folder, **env):
    """Lend a replica of flags and the wires on which its database, iam and its own door are."""
    replica = Replica(platform, "flags", folder, **env)
    wires = SimpleNamespace(
        database=Wire.spliced(replica.env, "FLAGS_DATABASE_URL"),
        iam=Wire.spliced(replica.env, "SWITCHYARD_IAM_ADDRESS"),
        door=Wire("127.0.0.1", replica.http),
    )
    async with contextlib.AsyncExitStack() as stack:
        for wire in vars(wires).values():
            await stack.enter_async_context(wire.joined())
        await stack.enter_async_context(running(replica))
        await replica.start()
        yield replica, wires
