"""People and what was granted to them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from chassis.caller import Caller
from iam.domain.errors import (
    LastAdmin,
    MoreThanYouHold,
    SelfDeactivation,
    SelfDemotion,
    UnknownRole,
)
from iam.domain.roles import ADMINISTRATORS, SUPER, SYSTEM, permissions_of

Scope = Literal["platform", "tenant"]


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A role and how far it reaches: the user's own tenant, or every tenant."""

    role: str
    scope: Scope = "tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who logs in. `password` is its hash."""

    id: UUID
    tenant: UUID
    email: str
    username: str | None = None
    first_name: str = ""
    last_name: str = ""
    password: str
    active: bool = True
    grants: tuple[Grant, ...] = ()
    created_at: datetime
    updated_at: datetime
    last_login_at: datetime | None = None
    deleted_at: datetime | None = None
    version: int = 1

    @property
    def name(self) -> str:
        """What a person calls them."""
        return self.username or self.email

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of their roles, the mightiest first."""
        held = {grant.role for grant in self.grants}
        return tuple(role for role in SYSTEM if role in held)

    @property
    def permissions(self) -> frozenset[str]:
        """What they may do in their tenant."""
        return permissions_of(grant.role for grant in self.grants)

    @property
    def platform(self) -> bool:
        """Whether what they may do in their tenant they may do in every tenant."""
        wide = permissions_of(grant.role for grant in self.grants if grant.scope == "platform")
        return bool(wide) and self.permissions <= wide

    @property
    def administers(self) -> bool:
        """Whether they can put their tenant in order."""
        return self.active and any(grant.role in ADMINISTRATORS for grant in self.grants)

    def granted(self, roles: Iterable[str]) -> "User":
        """Return the user with exactly these roles; a role that reached the whole platform still does.

        Super-permissions are no roles of this list, so they stay.
        """
        had = {grant.role: grant for grant in self.grants}
        supers = {grant for grant in self.grants if grant.role in SUPER}
        return replace(self, grants=tuple(sorted({had.get(r, Grant(r)) for r in roles} | supers)))

    def empowered(self, permission: str, *, held: bool) -> "User":
        """Return the user with or without a super-permission."""
        others = {grant for grant in self.grants if grant.role != permission}
        mine = {Grant(permission, "platform")} if held else set[Grant]()
        return replace(self, grants=tuple(sorted(others | mine)))

    def changed(self, now: datetime) -> "User":
        """Return the next version of the user."""
        return replace(self, updated_at=now, version=self.version + 1)


def known_roles(roles: Sequence[str]) -> Sequence[str]:
    """Return these roles; UnknownRole if one of them is none."""
    for role in roles:
        if role not in SYSTEM:
            raise UnknownRole(f"there is no role {role!r}; GET /api/v1/roles lists them")
    return roles


def must_hold(caller: Caller, permissions: frozenset[str]) -> None:
    """Refuse unless the caller holds all of these: nobody gives what they do not have."""
    if lacking := sorted(permissions - caller.permissions):
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise MoreThanYouHold(f"you do not hold {lacking[0]}{more} yourself")


def check_change(caller: Caller, before: User, after: User, others: int) -> None:
    """Refuse a change of a user that must not be. `others` counts the tenant's other active administrators."""
    must_hold(caller, before.permissions | after.permissions)
    if caller.subject == str(before.id):
        _check_self(before, after)
    if before.administers and not after.administers and not others:
        raise LastAdmin("the tenant would have no administrator; name another one first")


def _check_self(before: User, after: User) -> None:
    if after.deleted_at or not after.active:
        raise SelfDeactivation("you cannot disable or delete yourself; ask another administrator")
    if not before.permissions <= after.permissions:
        raise SelfDemotion("you cannot take a role from yourself; ask another administrator")
