"""What the compute service asks of a host that runs guests."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, Protocol
from uuid import UUID

from compute.domain.guest import Definition, Key, Line, Seen, Switch
from compute.domain.host import Probe
from compute.domain.order import Template

SnapshotVerb = Literal["take", "restore", "drop"]


class StaleFence(Exception):
    """A host has heard a higher fence for this machine: whoever spoke has lost its lease, and nothing was done."""


class HostTrouble(Exception):
    """A host could not do what it was told; the text says why, in words for the machine's owner."""


class Console(Protocol):
    """The serial console of a guest, both ways. One at a time has it."""

    async def read(self) -> bytes:
        """Return what the guest wrote; nothing once it ended."""
        ...

    async def write(self, data: bytes) -> None:
        """Type something."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class Hypervisor(Protocol):
    """What runs machines. Every verb is "ensure": done twice it is done once, and cut off it can be done again.

    What changes something is keyed by machine, generation and fence. StaleFence: somebody newer spoke. HostTrouble says
    why something could not be done.
    """

    @property
    def host(self) -> str:
        """Which host this is: the same after a restart, another on another machine."""
        ...

    async def probe(self) -> Probe:
        """Tell whether machines can be run here, as far as it is known; what was found may be a few seconds old."""
        ...

    def templates(self) -> Sequence[Template]:
        """Return the templates for all that lie on this host; `created_at` is when they came there."""
        ...

    async def list(self) -> Mapping[UUID, Seen]:
        """Return every guest of this host, also those that nobody knows of."""
        ...

    async def observe(self, vm: UUID) -> Seen:
        """Look at one guest."""
        ...

    async def ensure_disk(self, key: Key, definition: Definition) -> None:
        """Make the disk, a linked clone of its template, unless it is there."""
        ...

    async def ensure_defined(self, key: Key, definition: Definition) -> None:
        """Write down what the guest is to be like when it is switched on next."""
        ...

    async def ensure_power(self, key: Key, switch: Switch) -> None:
        """Switch a guest; what is as wished already stays. ON starts it with its definition."""
        ...

    async def ensure_absent(self, key: Key) -> None:
        """End the guest and free everything that it has."""
        ...

    async def snapshot(self, key: Key, name: str, verb: SnapshotVerb) -> None:
        """Take a snapshot of the disk, go back to it (of a guest that is off), or drop it."""
        ...

    async def grow_disk(self, key: Key, gb: int) -> None:
        """Make the disk so big, unless it is."""
        ...

    async def console(self, vm: UUID) -> Console:
        """Open the serial console of a guest that runs."""
        ...

    async def read_console(self, vm: UUID, limit: int) -> Sequence[Line]:
        """Return the last lines that the guest wrote to its console, the oldest of them first."""
        ...

    def events(self) -> AsyncIterator[UUID]:
        """Yield guests of which something is to be seen, as it happens."""
        ...
