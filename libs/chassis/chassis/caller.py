"""The caller: who is asking, in which tenant, and what they may do there.

Collections are asked about with `must`, things in two steps: `must_for_some` before anything is looked up, `must_over`
when it is known whose thing it is.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from authz.standing import ANYTHING, Standing, Thing, plain
from chassis.errors import Forbidden, NotFound

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
    `standing` decides; without one (a key that is nobody's), `permissions` are all there is. `confirm` is there when
    what we know of them is old: await it before anything is changed.
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
    standing: Standing | None = field(default=None, compare=False, repr=False)
    confirm: "Callable[[], Awaitable[Caller]] | None" = field(
        default=None, compare=False, repr=False
    )

    @property
    def owner(self) -> str:
        """Who owns what the caller makes: the account, also where one of its keys is used."""
        return self.account or self.subject

    @property
    def held(self) -> Standing:
        """What decides about the caller."""
        return self.standing or plain(
            self.owner, str(self.tenant), self.permissions, self.scope, platform=self.platform
        )

    def may(self, permission: str, thing: Thing = ANYTHING) -> bool:
        """Tell whether the caller holds `permission` (spelled kind:verb) over a thing, or over all in their tenant."""
        return self.held.may(permission, thing)

    def may_everywhere(self, permission: str) -> bool:
        """Tell whether the caller holds `permission` in every tenant."""
        return self.held.may_everywhere(permission)

    def must(self, permission: str, *, project: str = "") -> None:
        """Refuse unless the caller holds `permission` in their tenant, or in the project with this slug."""
        if not self.held.may(permission, Thing(project=project)):
            raise lacking(permission)

    def must_or_own(self, permission: str, *, project: str = "") -> str | None:
        """Return whose things the caller may do it to: everybody's (None) or their own; refuse if to no one's."""
        if self.held.may(permission, Thing(project=project)):
            return None
        if not self.held.may(permission, Thing(self.owner, project)):
            raise lacking(permission)
        return self.owner

    def must_for_some(self, permission: str) -> None:
        """Refuse whoever could not do it to anything: not to their own, in no project. What is left: `must_over`."""
        if not self.held.may_some(permission):
            raise lacking(permission)

    def must_over(self, permission: str, thing: Thing, missing: NotFound) -> None:
        """Refuse unless the caller may do it to this thing; as `missing` if they may not even read it."""
        if not self.held.may(permission, thing):
            may_read = self.held.may(f"{permission.partition(':')[0]}:read", thing)
            missing.needed = permission
            raise lacking(permission) if may_read else missing

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


def lacking(permission: str) -> Forbidden:
    """Return the refusal of whoever lacks a permission."""
    return Forbidden(f"Insufficient permissions: {permission} required", needed=permission)
