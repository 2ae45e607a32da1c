"""What a guest of Incus writes to its console, and a way to type there."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from compute.clients.incus_marks import name_of
from compute.clients.incus_wire import Refused, Unreachable, Wire
from compute.clients.serial import UNSEEN
from compute.domain.guest import Line
from compute.ports.hypervisor import HostTrouble

LONGEST, KEPT = 1000, 256 << 10


class IncusConsole:
    """A terminal on a guest's console: one WebSocket for what is written and typed, one that keeps it open."""

    def __init__(self, data: ClientConnection, control: ClientConnection) -> None:
        self._data, self._control = data, control

    @classmethod
    async def open(cls, wire: Wire, vm: UUID) -> "IncusConsole":
        """Connect; HostTrouble where the guest does not run."""
        body = {"type": "console", "width": 80, "height": 24}
        try:
            said = (await wire.send("POST", f"/1.0/instances/{name_of(vm)}/console", body)).said
        except Refused as why:
            raise HostTrouble(f"the guest has no console now: it does not run ({why})") from why
        place, secrets = f"/1.0/operations/{said['id']}/websocket", said["metadata"]["fds"]
        control = await wire.dial(place, {"secret": secrets["control"]})
        try:
            return cls(await wire.dial(place, {"secret": secrets["0"]}), control)
        except Unreachable:
            await control.close()
            raise

    async def read(self) -> bytes:
        """Return what the guest wrote; nothing once it ended."""
        with suppress(ConnectionClosed):
            said = await self._data.recv()
            return said.encode() if isinstance(said, str) else said
        return b""

    async def write(self, data: bytes) -> None:
        """Type something."""
        with suppress(ConnectionClosed):
            await self._data.send(data)

    async def close(self) -> None:
        """Let go of it."""
        await asyncio.gather(self._data.close(), self._control.close())


@dataclass(slots=True)
class Heard:
    """What guests wrote, and when it was first seen: Incus keeps no times, and of a container that runs it tells what
    was written since it was last asked; of others it tells all.
    """

    _texts: dict[UUID, tuple[str, str]] = field(default_factory=dict[UUID, tuple[str, str]])
    _lines: dict[UUID, list[Line]] = field(default_factory=dict[UUID, list[Line]])

    def add(self, vm: UUID, run: str, told: str, *, whole: bool) -> str:
        """Return all that a guest is known to have written in a run, with what Incus tells now: maybe the `whole`."""
        of, before = self._texts.get(vm, ("", ""))
        known = "" if whole or of != run or told.startswith(before) else before
        text = (known + told)[-KEPT:]
        self._texts[vm] = (run, text)
        return text

    def lines(self, vm: UUID, text: str) -> Sequence[Line]:
        """Return the lines of what a guest wrote; those that were there before keep their times."""
        now, told = datetime.now(UTC), [one for one in map(_cleaned, text.split("\n")) if one]
        before = _overlap(self._lines.get(vm, []), told)
        self._lines[vm] = [*before, *(Line(now, one) for one in told[len(before) :])]
        return self._lines[vm]

    def forget(self, vm: UUID) -> None:
        """Forget a guest."""
        self._lines.pop(vm, None)
        self._texts.pop(vm, None)


def _overlap(before: list[Line], told: list[str]) -> list[Line]:
    """Return the lines with which a text begins and that are known: the oldest may have been dropped since.

    The last of the known ones may have been half a line then.
    """
    for begin in range(len(before)):
        tail, same = before[begin:], told[: len(before) - begin]
        whole = [line.text for line in tail[:-1]] == same[:-1]
        if whole and len(same) == len(tail) and same[-1].startswith(tail[-1].text):
            return [Line(line.at, text) for line, text in zip(tail, same, strict=True)]
    return []


def _cleaned(raw: str) -> str:
    return UNSEEN.sub("", raw).rstrip()[:LONGEST]
