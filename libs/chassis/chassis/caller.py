"""The caller: who is asking, in which tenant, with which permissions."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from chassis.errors import Forbidden

CallerKind = Literal["user", "service_account", "api_key", "service", "anonymous"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever stands behind the request, as vouched for by their credential.

    `subject` is the id of the user, account or key; `credential` the session or key that was shown.
    `environment` and `project` are set for an API key that is bound to one.
    """

    subject: str
    tenant: UUID
    permissions: frozenset[str] = frozenset()
    kind: CallerKind = "user"
    name: str = ""
    roles: tuple[str, ...] = ()
    credential: str = ""
    key_kind: str = ""
    environment: str = ""
    project: str = ""
    platform: bool = False

    def may(self, permission: str) -> bool:
        """Tell whether the caller holds `permission` (spelled kind:verb)."""
        return permission in self.permissions

    def must(self, permission: str) -> None:
        """Refuse the request unless the caller holds `permission`."""
        if permission not in self.permissions:
            raise Forbidden(f"Insufficient permissions: {permission} required")
