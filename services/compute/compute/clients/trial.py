"""Whether guests really run here. `/dev/kvm` can be there and QEMU say "running" while the guest never executes: only a
guest that was booted, and said so on its serial console, proves anything.
"""

import asyncio
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from compute.clients import home as homes
from compute.clients import processes, serial
from compute.clients.home import SEED, Homes
from compute.clients.images import Image, Images, make_disk, run
from compute.clients.machine import EMULATOR, Machine, start
from compute.clients.seed import write_seed
from compute.domain.guest import Definition
from compute.domain.host import Probe
from compute.ports.hypervisor import HostTrouble

PATIENCE = 60.0
AGAIN = 60.0  # seconds until what is missing is looked for again
CPU_INFO = Path("/proc/cpuinfo")
KVM = Path("/dev/kvm")
_NOT_SEEN = "a guest is being booted to see whether any does"
_VERSION = re.compile(r"version (\d+(?:\.\d+)+)")


class Trial:
    """The trial guest; what it showed is remembered in `root`. `path` is where programs are looked for, if not PATH."""

    def __init__(
        self, root: Path, images: Images, wanted: str = "auto", path: str | None = None
    ) -> None:
        self._file = root / "trial.json"
        self._images = images
        self._wanted, self._path = wanted, path
        self.found = Probe(trying=True)

    @property
    def accel(self) -> str:
        """What makes guests quick here."""
        return self.found.accel or "tcg"

    async def keep_up(self) -> None:
        """Look, and look again for what is missing, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(AGAIN)

    async def look(self) -> Probe:
        """Look for QEMU and, where this one was not tried yet, boot a guest on it."""
        self.found = await self._installed()
        if self.found.version is None:
            return self.found
        images = [it for it in self._images.all().values() if it.ready_line and it.file("vmlinuz")]
        if not images:
            self.found = replace(
                self.found, ran=False, trying=False, trouble="the built-in template was not made"
            )
        elif (accel := self._remembered(images[0])) is not None:
            self.found = replace(self.found, ran=True, trying=False, accel=accel, trouble="")
        else:
            self.found = await self._tried(images[0])
        return self.found

    async def _installed(self) -> Probe:
        there = {name: shutil.which(name, path=self._path) for name in (EMULATOR, "qemu-img")}
        if missing := [name for name, place in there.items() if place is None]:
            return Probe(trouble=f"not found: {', '.join(missing)}")
        try:
            said = await run(str(there[EMULATOR]), "--version")
        except HostTrouble as trouble:
            return Probe(trouble=str(trouble))
        version = _VERSION.search(said)
        if version is None:
            return Probe(trouble=f"{EMULATOR} is there but does not tell its version")
        # What was wrong the last time stays said until the next guest has shown whether it still is.
        trouble = self.found.trouble if self.found.version else _NOT_SEEN
        return replace(self.found, version=version[1], trouble=trouble, media=True)

    def _remembered(self, image: Image) -> str | None:
        """Return what the same QEMU ran the same template with before; None if that was never tried."""
        before = homes.read(self._file).get(self._wanted, {})
        return before.get("accel") if before.get("of") == self._of(image) else None

    def _remember(self, image: Image, accel: str, seconds: float) -> None:
        """Write down what was seen, beside what others saw who wanted another accelerator."""
        seen = {"of": self._of(image), "accel": accel, "seconds": seconds}
        with suppress(OSError):  # where nothing can be written it is tried again after a restart
            homes.write(self._file, homes.read(self._file) | {self._wanted: seen})

    def _of(self, image: Image) -> list[str]:
        kernel = image.folder / "vmlinuz"
        return [str(self.found.version), str(kernel), str(kernel.stat().st_mtime_ns)]

    async def _tried(self, image: Image) -> Probe:
        troubles: list[str] = []
        for accel in accelerators(self._wanted):
            try:
                seconds = await self._boot(image, accel)
            except HostTrouble as trouble:
                troubles.append(f"{accel}: {trouble}")
                continue
            self._remember(image, accel, seconds)
            return replace(self.found, ran=True, trying=False, accel=accel, trouble="")
        return replace(self.found, ran=False, trying=False, trouble="; ".join(troubles))

    async def _boot(self, image: Image, accel: str) -> float:
        """Boot a small guest, wait for its word, and end it; return how many seconds it took."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="switchyard-trial-") as folder:
            guests = Homes(Path(folder))
            guests.make()
            home = guests.of(vm := uuid4())
            home.mkdir()
            await make_disk(home / homes.DISK, 1, None)
            write_seed(home / SEED, vm, Definition(name="trial", cpu=1, memory_gb=1, disk_gb=1))
            machine = Machine(vm=vm, home=home, cpu=1, memory_mb=128, accel=accel, image=image)
            try:
                await start(machine)
                await _until(lambda: serial.has_said(home, str(image.ready_line), 0), home)
            finally:
                await processes.end(home)
        return round(time.monotonic() - began, 2)


async def _until(said: Callable[[], bool], home: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not said():
        if processes.running(home) is None:
            raise HostTrouble("the trial guest ended by itself")
        if time.monotonic() > end:
            raise HostTrouble(f"the trial guest did not boot within {PATIENCE:.0f} s")
        await asyncio.sleep(0.1)


def accelerators(wanted: str) -> tuple[str, ...]:
    """Return what is worth trying: KVM only where the processor says that it can, and its device is there."""
    if wanted != "auto":
        return (wanted,)
    able = KVM.exists() and re.search(r"\b(vmx|svm)\b", CPU_INFO.read_text()) is not None
    return ("kvm", "tcg") if able else ("tcg",)
