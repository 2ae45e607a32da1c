"""The caller: who is asking, in which tenant, with which permissions."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from chassis.errors import Forbidden

CallerKind = Literal["user", "service_account", "api_key", "service", "anonymous"]


class NotAPerson(Forbidden):
    """Only somebody who logged in can do this, not an API key."""

    code = "not_a_person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever stands behind the request, as vouched for by their credential.

    `subject` is the id of the user, account or key; `credential` the session or key that was shown.
    `environment` and `project` are set for an API key that is bound to one. `account` is whose authority stands behind
    it, empty where that is nobody's; `scope` what the credential narrows that authority to, None: to nothing less.
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
    account: str = ""
    scope: frozenset[str] | None = None

    def may(self, permission: str) -> bool:
        """Tell whether the caller holds `permission` (spelled kind:verb)."""
        return permission in self.permissions

    def must(self, permission: str) -> None:
        """Refuse the request unless the caller holds `permission`."""
        if permission not in self.permissions:
            said = f"Insufficient permissions: {permission} required"
            raise Forbidden(said, needed=permission)

    def must_be_known(self) -> None:
        """Refuse whoever is nobody or a service: what all others may do is decided thing by thing."""
        if self.kind in ("anonymous", "service"):
            raise Forbidden("this is for people and their keys")

    def must_be_person(self) -> UUID:
        """Return who logged in; refuse an API key."""
        if self.kind != "user":
            raise NotAPerson("this is for people: log in instead of using an API key")
        return UUID(self.subject)

    def must_be_person_or(self, permission: str) -> None:
        """Refuse an API key without `permission`; people may at least do this to what is their own."""
        if self.kind != "user":
            self.must(permission)
