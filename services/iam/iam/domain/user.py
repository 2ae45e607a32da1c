"""People and what was granted to them."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from chassis.caller import Caller
from iam.domain.errors import (
    BadWindow,
    LastAdmin,
    MoreThanYouHold,
    SelfDeactivation,
    SelfDemotion,
)
from iam.domain.roles import ADMINISTRATORS, BUILT_IN, SUPER, SYSTEM, Role, together

Scope = Literal["platform", "tenant"]


@dataclass(frozen=True, slots=True)
class Grant:
    """A role and how far it reaches: the user's own tenant, or every tenant; perhaps only for a time.

    `role` is the role's id, `custom` the role itself where it is a tenant's own. `in_force` is how it stood when the
    user was read.
    """

    role: str
    scope: Scope = "tenant"
    not_before: datetime | None = None
    expires_at: datetime | None = None
    granted_by: str = ""
    reason: str = ""
    custom: Role | None = None
    in_force: bool = field(default=True, compare=False)

    def __lt__(self, other: "Grant") -> bool:
        return (self.role, self.scope) < (other.role, other.scope)

    @property
    def given(self) -> tuple[Role, ...]:
        """The role that it gives at some time: none if the role is no more."""
        role = self.custom or BUILT_IN.get(self.role)
        return (role,) if role else ()

    @property
    def held(self) -> tuple[Role, ...]:
        """The role that it gives now."""
        return self.given if self.in_force else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From when until when a role is given, by whom and why."""

    not_before: datetime | None = None
    expires_at: datetime | None = None
    granted_by: str = ""
    reason: str = ""

    def grant(self, role: Role, now: datetime) -> Grant:
        """Return the grant of a role within this window; BadWindow if it would never be in force."""
        begins = max(self.not_before or now, now)
        if self.expires_at is not None and self.expires_at <= begins:
            raise BadWindow("the role would end before it begins; choose a later expires_at")
        return Grant(
            role.id,
            not_before=self.not_before,
            expires_at=self.expires_at,
            granted_by=self.granted_by,
            reason=self.reason,
            custom=None if role.system else role,
            in_force=begins <= now,
        )


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
        """The names of their roles, the mightiest first, their tenant's own last."""
        held = {role.label: role for grant in self.grants for role in grant.held}
        own = (name for name, role in held.items() if not role.system)
        return (*(role for role in SYSTEM if role in held), *sorted(own))

    @property
    def permissions(self) -> frozenset[str]:
        """What they may do in their tenant."""
        return together(role for grant in self.grants for role in grant.held)

    @property
    def entitled(self) -> frozenset[str]:
        """What they may do now or will be allowed to: who gives roles for later must hold them now."""
        return together(role for grant in self.grants for role in grant.given)

    @property
    def platform(self) -> bool:
        """Whether what they may do in their tenant they may do in every tenant."""
        wide = together(r for grant in self.grants if grant.scope == "platform" for r in grant.held)
        return bool(wide) and self.permissions <= wide

    @property
    def administers(self) -> bool:
        """Whether they can put their tenant in order, and for good."""
        lasting = (g for g in self.grants if g.expires_at is None)
        return self.active and any(r.id in ADMINISTRATORS for g in lasting for r in g.held)

    def holds(self, role: Role) -> bool:
        """Tell whether a role was given to them, whether or not it is in force."""
        return any(grant.role == role.id for grant in self.grants)

    def granted(self, roles: Iterable[Role], window: Window, now: datetime) -> "User":
        """Return the user with exactly these roles; one that they had stays as it was given.

        Super-permissions are no roles of this list, so they stay.
        """
        had = {grant.role: grant for grant in self.grants}
        given = {role.id: had.get(role.id) or window.grant(role, now) for role in roles}
        supers = (grant for grant in self.grants if grant.role in SUPER)
        return replace(self, grants=tuple(sorted((*given.values(), *supers))))

    def empowered(self, permission: str, *, held: bool) -> "User":
        """Return the user with or without a super-permission."""
        others = (grant for grant in self.grants if grant.role != permission)
        mine = (Grant(permission, "platform"),) if held else ()
        return replace(self, grants=tuple(sorted((*others, *mine))))

    def given(self, role: Role, window: Window, now: datetime) -> "User":
        """Return the user with one more role, or with that role given anew; its reach stays."""
        had = next((g.scope for g in self.grants if g.role == role.id), "tenant")
        grant = replace(window.grant(role, now), scope=had)
        others = (g for g in self.grants if g.role != role.id)
        return replace(self, grants=tuple(sorted((*others, grant))))

    def without(self, role: Role) -> "User":
        """Return the user without a role."""
        return replace(self, grants=tuple(g for g in self.grants if g.role != role.id))

    def changed(self, now: datetime) -> "User":
        """Return the next version of the user."""
        return replace(self, updated_at=now, version=self.version + 1)


def must_hold(caller: Caller, permissions: frozenset[str]) -> None:
    """Refuse unless the caller holds all of these: nobody gives what they do not have."""
    if lacking := sorted(permissions - caller.permissions):
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise MoreThanYouHold(f"you do not hold {lacking[0]}{more} yourself")


def check_change(caller: Caller, before: User, after: User, others: int) -> None:
    """Refuse a change of a user that must not be. `others` counts the tenant's other active administrators."""
    must_hold(caller, before.entitled | after.entitled)
    if caller.subject == str(before.id):
        _check_self(before, after)
    if before.administers and not after.administers and not others:
        raise LastAdmin("the tenant would have no administrator; name another one first")


def _check_self(before: User, after: User) -> None:
    if after.deleted_at or not after.active:
        raise SelfDeactivation("you cannot disable or delete yourself; ask another administrator")
    if not before.permissions <= after.permissions:
        raise SelfDemotion("you cannot take a role from yourself; ask another administrator")
