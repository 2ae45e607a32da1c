"""On which member of a cluster guests are: Incus chooses, or what the deployment says: a member, or a group of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compute.clients.incus_wire import Wire

_MOVE = 1800  # seconds: a disk is copied


@dataclass(frozen=True, slots=True)
class Places:
    """Where guests are to be. `target`: the name of a member, `@` and the name of a group, or nothing."""

    wire: Wire
    target: str = ""

    def query(self) -> Mapping[str, str]:
        """Return what is said about the place when a guest is made."""
        return {"target": self.target} if self.target else {}

    async def move(self, path: str, found: Mapping[str, Any]) -> None:
        """Bring an instance that is off to where it belongs, unless it is there; its disk goes with it. HostTrouble."""
        if self.target and found["location"] not in await self._members():
            body = {"name": found["name"], "migration": True}
            await self.wire.done("POST", path, body, patience=_MOVE, query=self.query())

    async def _members(self) -> list[str]:
        if not self.target.startswith("@"):
            return [self.target]
        group = await self.wire.get(f"/1.0/cluster/groups/{self.target[1:]}")
        return group.said["members"]
