"""The driver for QEMU on this machine: each verb of the port, done so that it can be cut off anywhere.

What is true is on the disk and in the processes; what this object remembers (who is silent since when) it could forget.
A guest's process is its own and outlives this one; whoever comes next finds it by its uuid.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from compute.clients import home as homes
from compute.clients import processes, serial
from compute.clients.exits import Exits
from compute.clients.home import BOOT, DEFINITION, DISK, ENDED, SEED, Homes
from compute.clients.images import Images, make_disk, qemu_img
from compute.clients.machine import Machine, start
from compute.clients.monitor import Silent, ask
from compute.clients.seed import write_seed
from compute.clients.trial import Trial
from compute.domain.guest import ABSENT, Definition, Key, Line, Power, Seen, Switch
from compute.domain.host import Probe
from compute.domain.order import Template
from compute.ports.hypervisor import HostTrouble, SnapshotVerb

_POWERS = {
    "running": Power.RUNNING,
    "paused": Power.PAUSED,
    "shutdown": Power.HALTED,
    "prelaunch": Power.PAUSED,
}
_COMMANDS = {Switch.PAUSE: "stop", Switch.RESUME: "cont", Switch.PRESS: "system_powerdown"}
_SNAPSHOTS = {"take": "-c", "restore": "-a", "drop": "-d"}


class Qemu:
    """The hypervisor of this machine. `images` are the templates, `root` is where guests live."""

    def __init__(self, root: Path, images: Images, trial: Trial) -> None:
        self.homes = Homes(root)
        self.images = images
        self._trial = trial
        self._exits = Exits()
        self._silent: dict[UUID, float] = {}
        self._lines: dict[UUID, asyncio.Lock] = {}
        self._host = ""

    @property
    def host(self) -> str:
        """Which host this is: named once, in its own folder."""
        if not self._host:
            self.homes.make()
            file = self.homes.root / "host"
            if not file.exists():
                homes.write(file, {"host": uuid4().hex})
            self._host = str(homes.read(file)["host"])
        return self._host

    async def probe(self) -> Probe:
        """Tell what the last trial found."""
        return self._trial.found

    def templates(self) -> Sequence[Template]:
        """Return the templates for all that lie on this host."""
        return [
            Template(
                id=image.id,
                tenant=None,
                name=image.name,
                description=image.description,
                architecture=image.architecture,
                min_memory_gb=image.min_memory_gb,
                min_disk_gb=image.min_disk_gb,
                created_at=datetime.fromtimestamp(image.folder.stat().st_mtime, UTC),
            )
            for image in self.images.all().values()
            if image.for_all
        ]

    # --- looking ------------------------------------------------------------------------------------------------------

    @homes.in_words
    async def list(self) -> Mapping[UUID, Seen]:
        """Return every guest of this host."""
        self.homes.make()
        alive = processes.guests(self.homes.guests)
        self._exits.watch(alive)
        there = {UUID(home.name) for home in self.homes.all()} | set(alive)
        running = [vm for vm in there if vm in alive]
        looked = await asyncio.gather(*(self._look(vm, alive[vm]) for vm in running))
        off = {vm: self._off(vm) for vm in there if vm not in alive}
        return off | dict(zip(running, looked, strict=True))

    @homes.in_words
    async def observe(self, vm: UUID) -> Seen:
        """Look at one guest."""
        pid = processes.running(self.homes.of(vm))
        return await self._look(vm, pid) if pid else self._off(vm)

    def _off(self, vm: UUID) -> Seen:
        home = self.homes.of(vm)
        self._silent.pop(vm, None)
        if not home.exists():
            return ABSENT
        booted = homes.read(home / BOOT)
        return Seen(
            power=Power.OFF,
            generation=booted.get("generation", 0),
            reset_at=booted.get("reset_at", 0),
            crashed=bool(booted) and not (home / ENDED).exists(),
            made=(home / DISK).exists(),
        )

    async def _look(self, vm: UUID, pid: int) -> Seen:
        home = self.homes.of(vm)
        try:
            power = _POWERS.get((await self._ask(vm, "query-status"))["status"], Power.UNKNOWN)
        except (Silent, HostTrouble):
            if processes.running(home) is None:  # it ended while it was asked
                return self._off(vm)
            power = Power.UNKNOWN
        booted = homes.read(home / BOOT)
        up = self._is_up(home, booted)
        serial.note_growth(home)  # which may cut the log: after what it says was read
        return Seen(
            power=power,
            up=up,
            generation=booted.get("generation", 0),
            reset_at=booted.get("reset_at", 0),
            made=(home / DISK).exists(),
            silence=self._silence(vm, power),
        )

    def _silence(self, vm: UUID, power: Power) -> timedelta:
        if power is not Power.UNKNOWN:
            self._silent.pop(vm, None)
            return timedelta(0)
        since = self._silent.setdefault(vm, time.monotonic())
        return timedelta(seconds=time.monotonic() - since)

    def _is_up(self, home: Path, booted: dict[str, object]) -> bool:
        """Tell whether a guest has said that it is up since it was switched on or reset; remember that it has."""
        if booted.get("up"):
            return True
        line = booted.get("ready_line")
        up = line is None or serial.has_said(home, str(line), int(str(booted.get("offset", 0))))
        if up and booted:
            homes.write(home / BOOT, {**booted, "up": True})
        return up

    async def _ask(self, vm: UUID, word: str, **said: object) -> Any:  # noqa: ANN401
        """Ask a guest's monitor, one question at a time: QEMU has one client at a time."""
        async with self._lines.setdefault(vm, asyncio.Lock()):
            return await ask(self.homes.of(vm), word, **said)

    # --- making -------------------------------------------------------------------------------------------------------

    @homes.in_words
    async def ensure_disk(self, key: Key, definition: Definition) -> None:
        """Make the disk, a linked clone of its template, unless it is there."""
        self.homes.make()
        self.homes.admit(key)
        base: Path | None = None
        if definition.template and not (self.homes.of(key.vm) / DISK).exists():
            base = self.images.find(definition.template).file(DISK)
        home = self.homes.furnish(key.vm, definition.medium)
        if not (home / DISK).exists():
            await make_disk(home / DISK, definition.disk_gb, base)

    @homes.in_words
    async def ensure_defined(self, key: Key, definition: Definition) -> None:
        """Write down what the guest is to be like when it is switched on next."""
        self.homes.admit(key)
        home = self.homes.of(key.vm)
        write_seed(home / SEED, key.vm, definition)
        template = str(definition.template) if definition.template else None
        said = {"cpu": definition.cpu, "memory_mb": definition.memory_gb * 1024}
        homes.write(home / DEFINITION, {**said, "template": template})

    @homes.in_words
    async def grow_disk(self, key: Key, gb: int) -> None:
        """Make the disk so big, unless it is; of a guest that runs, through its QEMU."""
        self.homes.admit(key)
        home = self.homes.of(key.vm)
        if processes.running(home):
            await self._say(key.vm, "block_resize", node_name="disk", size=gb << 30)
        else:
            await qemu_img("resize", "-q", str(home / DISK), f"{gb}G")

    @homes.in_words
    async def snapshot(self, key: Key, name: str, verb: SnapshotVerb) -> None:
        """Take a snapshot inside the disk, go back to it, or drop it; done already, it is done."""
        self.homes.admit(key)
        home = self.homes.of(key.vm)
        if processes.running(home):
            await self._snapshot_running(key.vm, name, verb)
            return
        there = name in (await qemu_img("snapshot", "-l", str(home / DISK))).split()
        if there is not (verb == "take"):
            if verb == "restore" and not there:
                raise HostTrouble("the snapshot is gone from the disk")
            await qemu_img("snapshot", "-q", _SNAPSHOTS[verb], name, str(home / DISK))

    async def _snapshot_running(self, vm: UUID, name: str, verb: SnapshotVerb) -> None:
        if verb == "restore":
            raise HostTrouble("a snapshot is restored while the machine is stopped")
        found = await self._say(vm, "query-named-block-nodes", flat=True)
        nodes = [node for node in found if node["node-name"] == "disk"]
        there = any(
            it["name"] == name for node in nodes for it in node["image"].get("snapshots", ())
        )
        word = {
            "take": "blockdev-snapshot-internal-sync",
            "drop": "blockdev-snapshot-delete-internal-sync",
        }
        if there is not (verb == "take"):
            await self._say(vm, word[verb], device="disk", name=name)

    # --- switching ----------------------------------------------------------------------------------------------------

    @homes.in_words
    async def ensure_power(self, key: Key, switch: Switch) -> None:
        """Switch a guest; what is as wished already stays."""
        self.homes.admit(key)
        home = self.homes.of(key.vm)
        if switch is Switch.ON:
            await self._on(key, home)
        elif switch is Switch.OFF:
            await self._off_for_certain(home)
        elif switch is Switch.RESET:
            await self._reset(key, home)
        else:
            await self._say(key.vm, _COMMANDS[switch])

    async def _on(self, key: Key, home: Path) -> None:
        """Start the guest unless it runs. QEMU itself refuses a second one: pid file and disk are locked."""
        if processes.running(home):
            return
        homes.clear_run(home)
        said = homes.read(home / DEFINITION)
        template = UUID(said["template"]) if said["template"] else None
        image = self.images.find(template) if template else None
        boot = {
            "generation": key.generation,
            "reset_at": key.generation,
            "offset": serial.size(home),
        }
        homes.write(home / BOOT, {**boot, "ready_line": image.ready_line if image else None})
        (home / ENDED).unlink(missing_ok=True)
        size = {"cpu": said["cpu"], "memory_mb": said["memory_mb"]}
        machine = Machine(vm=key.vm, home=home, accel=self._trial.accel, image=image, **size)
        await start(machine)

    async def _off_for_certain(self, home: Path) -> None:
        """End the guest's process. The mark comes first: who finds it dead must not take it for a crash."""
        homes.write(home / ENDED, {"at": time.time()})
        await processes.end(home)
        homes.clear_run(home)

    async def _reset(self, key: Key, home: Path) -> None:
        booted = homes.read(home / BOOT)
        if booted.get("reset_at", 0) >= key.generation:
            return
        offset = serial.size(home)
        await self._say(key.vm, "system_reset")
        offset = offset if offset <= serial.size(home) else 0  # the log was cut meanwhile
        new = {"reset_at": key.generation, "offset": offset, "up": False}
        homes.write(home / BOOT, {**booted, **new})

    async def _say(self, vm: UUID, word: str, **said: object) -> Any:  # noqa: ANN401 - QMP is JSON
        """Tell a guest's monitor to do something; HostTrouble if it does not answer."""
        try:
            return await self._ask(
                vm, word, **{name.replace("_", "-"): it for name, it in said.items()}
            )
        except Silent as silent:
            raise HostTrouble("the guest's monitor does not answer") from silent

    @homes.in_words
    async def ensure_absent(self, key: Key) -> None:
        """End the guest and free everything that it has."""
        self.homes.make()
        self.homes.admit(key)
        home = self.homes.of(key.vm)
        await processes.end(home)
        homes.demolish(home)
        self._silent.pop(key.vm, None)
        self._lines.pop(key.vm, None)
        self.homes.forget_old_fences()

    # --- listening ----------------------------------------------------------------------------------------------------

    async def console(self, vm: UUID) -> serial.SerialConsole:
        """Open the serial console of a guest that runs."""
        return await serial.SerialConsole.open(self.homes.of(vm))

    async def read_console(self, vm: UUID, limit: int) -> Sequence[Line]:
        """Return the last lines that the guest wrote to its console, the oldest of them first."""
        return serial.last_lines(self.homes.of(vm), limit)

    def events(self) -> AsyncIterator[UUID]:
        """Yield guests whose process has ended, as it happens."""
        return self._exits.told()

    def close(self) -> None:
        """Stop watching; the guests run on."""
        self._exits.close()
