"""The driver for Incus, one daemon or a cluster: each verb of the port, done so that it can be cut off anywhere.

What is true is in Incus; nothing is remembered here that could not be forgotten. Guests are instances of one project,
named by their uuid. Incus does not tell why a guest ended: one that was neither switched off nor told to shut down
shortly before counts as crashed (docs/adr/0065).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from compute.clients.incus_console import Heard, IncusConsole
from compute.clients.incus_events import happened
from compute.clients.incus_marks import Mark, Marks, guest_of, name_of
from compute.clients.incus_places import Places
from compute.clients.incus_shape import Document, limits, root, seed, seed_device, size_of
from compute.clients.incus_trial import IncusTrial
from compute.clients.incus_wire import STOPPED, NotThere, Refused, Unreachable, Wire
from compute.domain.guest import ABSENT, Definition, Key, Line, Power, Seen, Switch
from compute.domain.host import Probe
from compute.domain.order import Template
from compute.ports.hypervisor import HostTrouble, SnapshotVerb

# Codes of https://linuxcontainers.org/incus/docs/main/rest-api/; whatever else it says is neither on nor off.
_READY = 113
_POWERS = {103: Power.RUNNING, 111: Power.RUNNING, 113: Power.RUNNING, 110: Power.PAUSED}
_OBEYED = 120.0  # a guest that ends so long after its button was pressed has obeyed
_LET_GO = 10.0  # after a guest ended by itself Incus holds its disk for a moment, and says only that it is in use
_OBEY, _WAIT = 2, 30  # seconds that Incus waits until a guest obeys its button, or another order


class Incus:
    """The hypervisor behind an Incus daemon. `pool` is where disks are, `places` which members guests go to."""

    def __init__(self, wire: Wire, trial: IncusTrial, pool: str, places: Places) -> None:
        self._wire, self._trial, self._pool, self._places = wire, trial, pool, places
        self._marks, self._heard = Marks(wire), Heard()
        self._silent: dict[UUID, float] = {}

    @property
    def host(self) -> str:
        """Which engine and project this is: known once it was reached."""
        return self._trial.host

    async def probe(self) -> Probe:
        """Tell what the last trial found."""
        return self._trial.found

    def templates(self) -> Sequence[Template]:
        """Return the templates for all: the images that say that they are, as they were last seen."""
        return [image.template for image in self._trial.images.values() if image.for_all]

    # --- looking ------------------------------------------------------------------------------------------------------

    async def list(self) -> Mapping[UUID, Seen]:
        """Return every guest of the project. HostTrouble where Incus cannot be asked."""
        found = await self._wire.all("/1.0/instances")
        marks = await self._marks.all()
        named = ((guest_of(one["name"]), one) for one in found)
        return {
            vm: await self._look(vm, one, marks.get(vm, Mark()))
            for vm, one in named
            if vm is not None
        }

    async def observe(self, vm: UUID) -> Seen:
        """Look at one guest; it is UNKNOWN where Incus cannot be asked."""
        try:
            if (found := await self._found(vm)) is None:
                self._silent.pop(vm, None)
                return ABSENT
            return await self._look(vm, found, await self._marks.read(vm))
        except Unreachable:
            silence = self._silence(vm, Power.UNKNOWN)
            return Seen(power=Power.UNKNOWN, made=True, silence=silence)

    async def _found(self, vm: UUID) -> Document | None:
        try:
            return (await self._wire.get(_path(vm))).said
        except NotThere:
            return None

    async def _look(self, vm: UUID, found: Document, mark: Mark) -> Seen:
        power = _power(found, mark)
        return Seen(
            power=power,
            up=power is Power.RUNNING and await self._is_up(vm, found, mark),
            generation=mark.generation,
            reset_at=mark.reset_at,
            crashed=power is Power.OFF and mark.generation > 0 and not mark.ended,
            made=True,
            silence=self._silence(vm, power),
        )

    def _silence(self, vm: UUID, power: Power) -> timedelta:
        if power is not Power.UNKNOWN:
            self._silent.pop(vm, None)
            return timedelta(0)
        since = self._silent.setdefault(vm, time.monotonic())
        return timedelta(seconds=time.monotonic() - since)

    async def _is_up(self, vm: UUID, found: Document, mark: Mark) -> bool:
        """Tell whether a guest has said that it is up in this run, or said so by /dev/incus."""
        known = mark.ready_line is None or mark.up == found["last_used_at"]
        if known or found["status_code"] == _READY:
            return True
        return str(mark.ready_line) in await self._listen(vm, found, mark)

    async def _listen(self, vm: UUID, found: Document, mark: Mark) -> str:
        """Return what a guest wrote; remember that it is up if it says so now, since some lines are told only once."""
        run, off = str(found["last_used_at"]), found["status_code"] == STOPPED
        text = self._heard.add(vm, run, await self._console_text(vm), whole=off)
        if not off and mark.up != run and mark.ready_line and mark.ready_line in text:
            await self._marks.note(vm, mark, up=run)
        return text

    async def _console_text(self, vm: UUID) -> str:
        try:
            return await self._wire.text(f"{_path(vm)}/console")
        except Refused:  # it has never run, or is gone
            return ""

    # --- making -------------------------------------------------------------------------------------------------------

    async def ensure_disk(self, key: Key, definition: Definition) -> None:
        """Make the instance, a clone of its template, unless it is there."""
        await self._marks.admit(key)
        if await self._found(key.vm):
            return
        image = await self._trial.image(definition.template)
        mark = Mark(fence=key.fence, ready_line=image.ready_line)
        clean = {name: getattr(mark, name) for name in Mark.__slots__ if name != "fence"}
        await self._marks.admit(key, **clean)
        source = {"type": "image", "fingerprint": image.fingerprint}
        body = {"name": name_of(key.vm), "type": image.type, "source": source}
        said = {**limits(definition), **seed(definition)}
        devices = {"root": root(self._pool, definition.disk_gb), **seed_device(image.type)}
        try:
            query = self._places.query()
            whole = {**body, "config": said, "devices": devices, "profiles": ["default"]}
            await self._wire.done("POST", "/1.0/instances", whole, query=query)
        except Refused:
            if not await self._found(key.vm):
                raise

    async def ensure_defined(self, key: Key, definition: Definition) -> None:
        """Write down what the guest is to be like when it is switched on next, and bring it where it belongs."""
        await self._marks.admit(key)
        found = await self._needed(key.vm)
        if found["status_code"] == STOPPED:
            await self._places.move(_path(key.vm), found)
        gb = max(definition.disk_gb, size_of(found))
        said = {"config": limits(definition), "devices": {"root": root(self._pool, gb)}}
        await self._wire.done("PATCH", _path(key.vm), said)

    async def grow_disk(self, key: Key, gb: int) -> None:
        """Make the disk so big, unless it is."""
        await self._marks.admit(key)
        if size_of(await self._needed(key.vm)) < gb:
            said = {"devices": {"root": root(self._pool, gb)}}
            await self._wire.done("PATCH", _path(key.vm), said)

    async def _needed(self, vm: UUID) -> Document:
        if (found := await self._found(vm)) is None:
            raise HostTrouble("the guest is not in Incus")
        return found

    async def snapshot(self, key: Key, name: str, verb: SnapshotVerb) -> None:
        """Take a snapshot, go back to it, or drop it; done already, it is done."""
        await self._marks.admit(key)
        found = await self._needed(key.vm)
        path = f"{_path(key.vm)}/snapshots"
        there = name in [one["name"] for one in await self._wire.all(path)]
        if verb == "restore":
            await self._restore(key.vm, name, found, there=there)
        elif verb == "take" and not there:
            await self._wire.done("POST", path, {"name": name, "stateful": False})
        elif verb == "drop" and there:
            await self._wire.done("DELETE", f"{path}/{name}")

    async def _restore(self, vm: UUID, name: str, found: Document, *, there: bool) -> None:
        if found["status_code"] != STOPPED:
            raise HostTrouble("a snapshot is restored while the machine is stopped")
        if not there:
            raise HostTrouble("the snapshot is gone from the disk")
        end = time.monotonic() + _LET_GO
        while True:
            try:
                return await self._wire.done("PUT", _path(vm), {"restore": name})
            except Refused:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(0.2)

    # --- switching ----------------------------------------------------------------------------------------------------

    async def ensure_power(self, key: Key, switch: Switch) -> None:
        """Switch a guest; what is as wished already stays."""
        mark = await self._marks.admit(key)
        power = _power(await self._needed(key.vm), mark)
        running = power in (Power.RUNNING, Power.PAUSED)
        if switch is Switch.ON and not running:
            await self._on(key)
        elif switch is Switch.OFF:
            await self._off(key)
        elif switch is Switch.RESET and running:
            await self._reset(key, mark)
        elif switch is Switch.PRESS and power is Power.RUNNING:
            await self._press(key)
        elif switch is Switch.PAUSE and power is Power.RUNNING:
            await self._state(key.vm, "freeze")
        elif switch is Switch.RESUME and power is Power.PAUSED:
            await self._state(key.vm, "unfreeze")

    async def _on(self, key: Key) -> None:
        new = {"generation": key.generation, "reset_at": key.generation}
        await self._marks.admit(key, **new, ended=False, pressed=0)
        await self._state(key.vm, "start")

    async def _off(self, key: Key) -> None:
        """Switch it off. The mark comes first: who finds it off must not take it for a crash."""
        await self._marks.admit(key, ended=True, pressed=0)
        if (await self._needed(key.vm))["status_code"] != STOPPED:
            await self._state(key.vm, "stop", force=True)

    async def _press(self, key: Key) -> None:
        """Tell the guest to shut down, and do not wait for it; not again while Incus waits for it to obey."""
        await self._marks.admit(key, pressed=time.time())
        if not await self._wire.busy(_path(key.vm)):
            body = {"action": "stop", "timeout": _OBEY}
            await self._wire.send("PUT", f"{_path(key.vm)}/state", body)

    async def _reset(self, key: Key, mark: Mark) -> None:
        """Switch it off and on again: Incus does that for a reset. While it is off it must not look crashed."""
        if mark.reset_at < key.generation:
            await self._marks.admit(key, ended=True)
            await self._state(key.vm, "restart", force=True)
            await self._marks.admit(key, ended=False, pressed=0, reset_at=key.generation)

    async def _state(self, vm: UUID, action: str, *, force: bool = False) -> None:
        body = {"action": action, "timeout": _WAIT, "force": force}
        await self._wire.done("PUT", f"{_path(vm)}/state", body)

    async def ensure_absent(self, key: Key) -> None:
        """End the guest and free everything that it has; its fence stays for a day."""
        await self._marks.admit(key, ended=True, gone=time.time())
        self._heard.forget(key.vm)
        with suppress(NotThere):
            if (found := await self._found(key.vm)) is None:
                return
            if found["status_code"] != STOPPED:
                await self._state(key.vm, "stop", force=True)
            await self._wire.done("DELETE", _path(key.vm))

    # --- listening ----------------------------------------------------------------------------------------------------

    async def console(self, vm: UUID) -> IncusConsole:
        """Open the console of a guest that runs."""
        return await IncusConsole.open(self._wire, vm)

    async def read_console(self, vm: UUID, limit: int) -> Sequence[Line]:
        """Return the last lines that the guest wrote to its console, the oldest of them first."""
        if (found := await self._found(vm)) is None:
            return []
        text = await self._listen(vm, found, await self._marks.read(vm))
        return self._heard.lines(vm, text)[-limit:]

    def events(self) -> AsyncIterator[UUID]:
        """Yield guests of which something is to be seen, as it happens."""
        return happened(self._wire)


def _path(vm: UUID) -> str:
    return f"/1.0/instances/{name_of(vm)}"


def _power(found: Document, mark: Mark) -> Power:
    if found["status_code"] != STOPPED:
        return _POWERS.get(found["status_code"], Power.UNKNOWN)
    obeyed = not mark.ended and time.time() - mark.pressed < _OBEYED
    return Power.HALTED if obeyed else Power.OFF
