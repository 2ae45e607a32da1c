"""What a guest writes to its serial console, and a way to type there.

QEMU appends to serial.log and knows no time, so each look that finds it longer notes when in serial.times (`<unix time>
<size>` a line): a line is as old as the look that first saw it. Both are cut when they grow beyond MOST, and where this
run of the guest begins in what is left (`offset` of boot.json) is cut with them.
"""

import asyncio
import bisect
import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from compute.clients import home as homes
from compute.clients.home import BOOT, CONSOLE, SERIAL
from compute.clients.monitor import dialled
from compute.domain.guest import Line
from compute.ports.hypervisor import HostTrouble

TIMES = "serial.times"
MOST, KEPT = 4 << 20, 1 << 20
READ = 256 << 10
# Colours, cursor movements and other things that a terminal obeys and a log does not need.
UNSEEN = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]")


def size(home: Path) -> int:
    """Return how much a guest has written."""
    try:
        return (home / SERIAL).stat().st_size
    except OSError:
        return 0


def note_growth(home: Path) -> None:
    """Remember when a guest was seen to have written so much; cut what is too long."""
    now = size(home)
    times = _times(home)
    if (times and times[-1][1] == now) or (not times and not now):
        return
    if now > MOST or len(times) > 20_000:
        _cut(home)
        times, now = [], size(home)
        (home / TIMES).unlink(missing_ok=True)
    with (home / TIMES).open("a") as file:
        file.write(f"{time.time():.3f} {now}\n")


def _cut(home: Path) -> None:
    """Keep the end of what a guest wrote. QEMU appends, so what it writes meanwhile comes after."""
    with (home / SERIAL).open("rb+") as file:
        gone = file.seek(-min(KEPT, size(home)), 2)
        end = file.read()
        file.truncate(0)
    with (home / SERIAL).open("ab") as file:
        file.write(end)
    if booted := homes.read(home / BOOT):
        homes.write(home / BOOT, {**booted, "offset": max(0, booted.get("offset", 0) - gone)})


def _times(home: Path) -> list[tuple[float, int]]:
    found: list[tuple[float, int]] = []
    with suppress(OSError):
        for line in (home / TIMES).read_text().splitlines():
            with suppress(ValueError):
                at, length = line.split()
                found.append((float(at), int(length)))
    return found


def has_said(home: Path, line: str, since: int) -> bool:
    """Tell whether a guest wrote a line, after so many bytes; of a log that was cut shorter than that, anywhere."""
    try:
        with (home / SERIAL).open("rb") as file:
            file.seek(since if since <= size(home) else 0)
            return line.encode() in file.read(MOST * 2)
    except OSError:
        return False


def last_lines(home: Path, limit: int) -> list[Line]:
    """Return the last lines that a guest wrote, the oldest of them first."""
    note_growth(home)
    times, end = _times(home), size(home)
    begin = max(0, end - READ)
    try:
        with (home / SERIAL).open("rb") as file:
            file.seek(begin)
            data = file.read(READ)
    except OSError:
        return []
    found: list[Line] = []
    for raw in data.splitlines(keepends=True):
        begin += len(raw)
        if text := UNSEEN.sub("", raw.decode(errors="replace")).rstrip():
            found.append(Line(_seen_at(times, begin), text[:1000]))
    return found[-limit:]


def _seen_at(times: list[tuple[float, int]], offset: int) -> datetime:
    place = bisect.bisect_left(times, offset, key=lambda it: it[1])
    at = times[min(place, len(times) - 1)][0] if times else time.time()
    return datetime.fromtimestamp(at, UTC)


class SerialConsole:
    """A terminal on a guest's serial port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, home: Path) -> "SerialConsole":
        """Connect; HostTrouble where nobody answers."""
        try:
            reader, writer = await asyncio.open_unix_connection(sock=dialled(home / CONSOLE))
        except OSError as error:
            raise HostTrouble("the guest has no console now: it does not run") from error
        return cls(reader, writer)

    async def read(self) -> bytes:
        """Return what the guest wrote; nothing once it ended."""
        with suppress(ConnectionError):
            return await self._reader.read(16384)
        return b""

    async def write(self, data: bytes) -> None:
        """Type something."""
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        """Let go of it."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()
