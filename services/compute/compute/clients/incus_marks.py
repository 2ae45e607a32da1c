"""What is remembered of each guest beside it, in its own Incus: the fence, and the marks of its runs.

A profile named after the guest holds it, and is used by nothing. It is not in the guest's own configuration, because a
snapshot that is restored brings an old one of that back (with an old fence), and a deletion takes it away; late work of
a worker that lost its lease must find the fence even then. Profiles have an ETag that nobody but us changes.
"""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from compute.clients.incus_wire import Changed, NotThere, Refused, Wire
from compute.domain.guest import Key
from compute.ports.hypervisor import HostTrouble, StaleFence

FENCE, MARKS = "user.switchyard.fence", "user.switchyard.marks"
KEPT = 24 * 3600.0
TRIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What was done to a guest. `ended`: it was switched off. `pressed`, `gone`: when (Unix time), 0 for never.

    `up`: of which run (by the time of its start) it is known that it is up; `ready_line` is what says so.
    """

    fence: int = 0
    generation: int = 0
    reset_at: int = 0
    ended: bool = False
    pressed: float = 0
    gone: float = 0
    up: str = ""
    ready_line: str | None = None


def name_of(vm: UUID) -> str:
    """Return what a guest and its marks are called: nothing that a tenant wrote."""
    return f"vm-{vm}"


def guest_of(name: str) -> UUID | None:
    """Return which guest is called so; None if it is none of ours."""
    with suppress(ValueError):
        vm = UUID(name.removeprefix("vm-"))
        return vm if name == name_of(vm) else None
    return None


class Marks:
    """The marks of all guests."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def read(self, vm: UUID) -> Mark:
        """Return the marks of a guest; none if it was never heard of."""
        return (await self._read(vm))[0]

    async def all(self) -> Mapping[UUID, Mark]:
        """Return the marks of all guests."""
        found = await self._wire.all("/1.0/profiles")
        named = ((guest_of(one["name"]), one["config"]) for one in found)
        return {vm: _mark(config) for vm, config in named if vm is not None}

    async def admit(self, key: Key, **marks: Any) -> Mark:  # noqa: ANN401 - as `replace` takes them
        """Refuse whoever comes with an older fence than one that was heard; remember this one, and these marks.

        Incus compares an ETag and writes in two steps, so what was written is read once more.
        """
        for _ in range(TRIES):
            mark, etag = await self._read(key.vm)
            if key.fence < mark.fence:
                raise StaleFence(f"fence {key.fence} is older than {mark.fence}")
            after = replace(mark, fence=key.fence, **marks)
            if after == mark:
                return mark
            await self._put(key.vm, after, etag)
        raise HostTrouble("the guest's marks are changed by somebody else all the time")

    async def note(self, vm: UUID, before: Mark, **marks: Any) -> None:  # noqa: ANN401
        """Remember something that was seen, unless somebody has changed the marks since."""
        now, etag = await self._read(vm)
        if now == before:
            await self._put(vm, replace(now, **marks), etag)

    async def forget_old(self) -> None:
        """Drop the marks of guests that have been gone for a day."""
        for vm, mark in (await self.all()).items():
            if mark.gone and time.time() - mark.gone > KEPT:
                with suppress(NotThere):
                    await self._wire.send("DELETE", _path(vm))

    async def _read(self, vm: UUID) -> tuple[Mark, str]:
        try:
            found = await self._wire.get(_path(vm))
        except NotThere:
            return Mark(), ""
        return _mark(found.said["config"]), found.etag

    async def _put(self, vm: UUID, mark: Mark, etag: str) -> None:
        """Write the marks unless they were changed: then whoever wants to write looks again."""
        told = {name: it for name, it in asdict(mark).items() if name != "fence"}
        config = {FENCE: str(mark.fence), MARKS: json.dumps(told)}
        if etag:
            with suppress(Changed, NotThere):
                await self._wire.send("PUT", _path(vm), {"config": config}, etag)
            return
        try:
            await self._wire.send("POST", "/1.0/profiles", {"name": name_of(vm), "config": config})
        except Refused:  # Incus has no status of its own for "already there"
            if not (await self._read(vm))[1]:
                raise


def _path(vm: UUID) -> str:
    return f"/1.0/profiles/{name_of(vm)}"


def _mark(config: Mapping[str, str]) -> Mark:
    return Mark(fence=int(config.get(FENCE, "0")), **json.loads(config.get(MARKS, "{}")))
