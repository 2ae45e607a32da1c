"""A hypervisor that is a dictionary."""

import asyncio
from dataclasses import replace

from compute.domain.guest import ABSENT, Power, Seen, Switch
from compute.domain.host import Probe
from compute.ports.hypervisor import HostTrouble, StaleFence


class Echo:
    """A console at which everything that is typed is shown; `end` is the end of the guest."""

    def __init__(self):
        self._typed = asyncio.Queue()

    async def read(self):
        said = await self._typed.get()
        return b"" if said == b"end" else said

    async def write(self, data):
        self._typed.put_nowait(data)

    async def close(self):
        pass


class Host:
    """A host in memory that keeps the driver contract. A test says what the look at it finds, and what breaks."""

    def __init__(self):
        self.found = Probe(trouble="not found: qemu-system-x86_64, qemu-img")
        self.host, self.guests, self.fences, self.said = "here", {}, {}, {}
        self.disks, self.shots, self.media, self.done = {}, {}, {}, []
        self.breaks, self.offered, self.boots = None, [], True
        self.slow = {}  # machine: the event until which whatever is done to it takes

    async def probe(self):
        return self.found

    def templates(self):
        return self.offered

    async def list(self):
        return dict(self.guests)

    async def observe(self, vm):
        return self.guests.get(vm, ABSENT)

    async def _admit(self, key, what):
        if key.fence < self.fences.get(key.vm, 0):
            raise StaleFence(str(key))
        self.fences[key.vm] = key.fence
        if key.vm in self.slow:
            await self.slow[key.vm].wait()
        if self.breaks:
            raise HostTrouble(self.breaks)
        self.done.append(what)

    async def ensure_disk(self, key, definition):
        await self._admit(key, "disk")
        self.disks.setdefault(key.vm, definition.disk_gb)
        self.media |= {key.vm: definition.medium} if definition.medium else {}
        self.guests.setdefault(key.vm, Seen(power=Power.OFF, made=True))

    async def ensure_defined(self, key, definition):
        await self._admit(key, "define")

    async def ensure_power(self, key, switch):
        await self._admit(key, switch.value)
        seen = self.guests[key.vm]
        if switch is Switch.ON and seen.power is Power.OFF:
            booted = {"generation": key.generation, "reset_at": key.generation}
            seen = Seen(power=Power.RUNNING, up=self.boots, made=True, **booted)
        elif switch is Switch.OFF:
            seen = replace(seen, power=Power.OFF, up=False, crashed=False)
        elif switch is Switch.RESET:
            seen = replace(seen, up=self.boots, reset_at=key.generation)
        elif switch is not Switch.ON:
            if seen.power is Power.OFF:
                raise HostTrouble("the guest does not run")
            after = {Switch.PRESS: Power.HALTED, Switch.PAUSE: Power.PAUSED}
            seen = replace(seen, power=after.get(switch, Power.RUNNING))
        self.guests[key.vm] = seen

    async def ensure_absent(self, key):
        await self._admit(key, "absent")
        self.guests.pop(key.vm, None)

    async def snapshot(self, key, name, verb):
        await self._admit(key, verb)
        shots = self.shots.setdefault(key.vm, set())
        running = self.guests[key.vm].power is not Power.OFF
        if verb == "restore" and (running or name not in shots):
            raise HostTrouble("a snapshot is restored while the machine is stopped")
        (shots.add if verb == "take" else shots.discard)(name)

    async def grow_disk(self, key, gb):
        await self._admit(key, "grow")
        self.disks[key.vm] = max(gb, self.disks[key.vm])

    async def read_console(self, vm, limit):
        return self.said.get(vm, [])[-limit:]

    async def console(self, vm):
        if (await self.observe(vm)).power is not Power.RUNNING:
            raise HostTrouble("the guest has no console now: it does not run")
        return Echo()

    def die(self, vm):
        """Let a guest's process end as kill -9 would end it."""
        self.guests[vm] = replace(self.guests[vm], power=Power.OFF, up=False, crashed=True)
