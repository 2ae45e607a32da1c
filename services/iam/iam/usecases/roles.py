"""Roles and the permissions in them."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.caller import Caller
from iam.domain import permissions
from iam.domain.permissions import Permission
from iam.domain.roles import SYSTEM, Role
from iam.ports import OpenWork


@dataclass(frozen=True, slots=True)
class Roles:
    """What can be given to people."""

    work: OpenWork

    async def list(self, caller: Caller) -> Sequence[tuple[Role, int]]:
        """Return every role, with how many users of the caller's tenant have it."""
        caller.must("role:read")
        async with self.work() as work:
            counts = await work.users.counts(caller.tenant)
        return [(role, counts.get(role.id, 0)) for role in SYSTEM.values()]

    def permissions(self, caller: Caller) -> Sequence[Permission]:
        """Return the whole catalogue of permissions."""
        caller.must("role:read")
        return permissions.catalogue()
