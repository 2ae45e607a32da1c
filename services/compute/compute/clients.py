"""What runs machines: QEMU, if it is installed here.

This release can tell whether QEMU is there; it has no driver that makes it run machines yet, and says so.
"""

import asyncio
import re
import shutil
import time
from collections.abc import Callable

from compute.domain.host import Probe

EMULATOR, IMAGES = "qemu-system-x86_64", "qemu-img"
FRESH = 15.0  # seconds that a probe counts
PATIENCE = 5.0
_VERSION = re.compile(r"version (\d+(?:\.\d+)+)")


class LocalQemu:
    """The QEMU on this machine. `path` is where its programs are looked for: the process's own PATH unless said."""

    def __init__(
        self, path: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._clock = clock
        self._probe: tuple[float, Probe] | None = None
        self._one = asyncio.Lock()

    async def probe(self) -> Probe:
        """Look for both programs and ask the emulator for its version; remember that for FRESH seconds."""
        async with self._one:
            if self._probe is None or self._clock() - self._probe[0] > FRESH:
                self._probe = (self._clock(), await self._look())
            return self._probe[1]

    async def _look(self) -> Probe:
        found = {name: shutil.which(name, path=self._path) for name in (EMULATOR, IMAGES)}
        if missing := [name for name, place in found.items() if place is None]:
            return Probe(trouble=f"not found: {', '.join(missing)}")
        said = await _asked(str(found[EMULATOR]))
        version = _VERSION.search(said)
        if version is None:
            return Probe(trouble=f"{EMULATOR} is there but does not tell its version")
        return Probe(version=version[1])


async def _asked(program: str) -> str:
    """Return what a program says to --version; nothing if it cannot be run or does not answer in time."""
    try:
        running = await asyncio.create_subprocess_exec(
            program,
            "--version",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return ""
    try:
        out, _ = await asyncio.wait_for(running.communicate(), PATIENCE)
    except TimeoutError:
        running.kill()
        await running.wait()
        return ""
    return out.decode(errors="replace")
