"""People and what was granted to them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from authz.decision import Binding
from chassis.caller import Caller
from iam.domain.errors import LastAdmin, MoreThanYouHold, SelfDeactivation, SelfDemotion
from iam.domain.grants import Grant, Where, Window, held_at, without_grant
from iam.domain.reach_errors import GuestAccount
from iam.domain.roles import ADMINISTRATORS, SYSTEM, Role, together

# What proves who somebody is: whoever writes it can be them.
_PROOF = ("email", "username", "password")
# Kinds of things by which one decides over people.
_PEOPLE = frozenset(
    {
        *("user", "group", "service_account", "pipeline_account", "role", "invitation"),
        *("api_key", "session", "tenant", "platform"),
    }
)
_ACCOUNT = ("email", "username", "first_name", "last_name", "password", "active", "deleted_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who logs in, as they are in one tenant. `password` is its hash.

    `home` is None in the tenant that their account belongs to; where they are a guest it names that one, and `grants`
    are those of the guest. `grants` hold what groups give them too. `elsewhere`, known at home only, are their grants
    in the tenants that they are a guest of, which are `tenants`.
    """

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
    home: UUID | None = None
    tenants: tuple[UUID, ...] = ()
    elsewhere: tuple[Grant, ...] = ()

    @property
    def guest(self) -> bool:
        """Whether their account belongs to another tenant than the one that they are looked at in."""
        return self.home is not None

    @property
    def name(self) -> str:
        """What a person calls them."""
        return self.username or self.email

    @property
    def wide(self) -> tuple[Grant, ...]:
        """What holds in all of their tenant."""
        return tuple(grant for grant in self.grants if grant.wide)

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of their roles in all of the tenant, the mightiest first, the tenant's own last."""
        held = {role.label: role for grant in self.wide for role in grant.held}
        own = (name for name, role in held.items() if not role.system)
        return (*(role for role in SYSTEM if role in held), *sorted(own))

    @property
    def permissions(self) -> frozenset[str]:
        """What they may do in all of their tenant."""
        return together(role for grant in self.wide for role in grant.held)

    @property
    def entitled(self) -> frozenset[str]:
        """What they may do anywhere in the tenant, now or later: who decides over them must hold it now."""
        return together(role for grant in self.grants for role in grant.given)

    @property
    def beyond(self) -> "User":
        """Them with nothing but what holds in every tenant: who decides over that must hold it in every tenant."""
        everywhere = tuple(grant for grant in self.grants if grant.scope == "platform")
        return replace(self, grants=everywhere)

    @property
    def platform(self) -> bool:
        """Whether what they may do in their tenant they may do in every tenant."""
        wide = together(r for grant in self.grants if grant.scope == "platform" for r in grant.held)
        return bool(wide) and self.permissions <= wide

    @property
    def administers(self) -> bool:
        """Whether they can put their tenant in order, and for good."""
        lasting = (g for g in self.wide if g.expires_at is None)
        return self.active and any(r.id in ADMINISTRATORS for g in lasting for r in g.held)

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """Their grants in this tenant as the decision reads them."""
        return tuple(b for grant in self.grants for b in grant.binding(self.tenant))

    @property
    def everywhere(self) -> tuple[Binding, ...]:
        """The same in all of their tenants, as replicas hear of it."""
        away = (b for grant in self.elsewhere for b in grant.binding(self.tenant))
        return (*self.bindings, *away)

    @property
    def reaches_all(self) -> bool:
        """Whether in none of their tenants they may do more than in every tenant of all."""
        return self.platform and all(self.within(tenant).platform for tenant in self.tenants)

    def within(self, tenant: UUID) -> "User":
        """Return them as they are in a tenant that they are a guest of: nothing of their own one shows there."""
        if tenant == self.tenant:
            return self
        everywhere = (g for g in self.grants if g.scope == "platform")
        there = (replace(g, tenant=None) for g in self.elsewhere if g.tenant == tenant)
        grants = tuple(sorted((*everywhere, *there)))
        return replace(
            self, tenant=tenant, home=self.tenant, grants=grants, tenants=(), elsewhere=()
        )

    def has(self, role: Role) -> bool:
        """Tell whether a role was given to them in all of the tenant, in force or not."""
        return bool(held_at(self.grants, role, None))

    def granted(self, roles: Iterable[Role], window: Window, now: datetime) -> "User":
        """Return the user with exactly these roles in all of the tenant; one that they had stays as it was given.

        Super-permissions are no roles of this list, so they stay; so does what holds at one place only, what a group
        gives, and what came from an identity provider.
        """
        listed = {g.role: g for g in self.grants if g.wide and g.own and not g.source}
        given = {role.id: listed.get(role.id) or window.grant(role, now) for role in roles}
        others = (g for g in self.grants if g.super or listed.get(g.role) is not g)
        return replace(self, grants=tuple(sorted((*given.values(), *others))))

    def empowered(self, permission: str, *, held: bool) -> "User":
        """Return the user with or without a super-permission."""
        others = (grant for grant in self.grants if grant.role != permission)
        mine = (Grant(permission, "platform"),) if held else ()
        return replace(self, grants=tuple(sorted((*others, *mine))))

    def given(
        self, role: Role, window: Window, now: datetime, where: Where | None = None
    ) -> "User":
        """Return the user with one more role, or with that role given anew; without a scope its reach stays."""
        return replace(self, grants=window.anew(self.grants, role, now, where))

    def without(self, role: Role, where: Where | None = None) -> "User":
        """Return the user without a role that was given to them, in all of the tenant if no scope is named."""
        return replace(self, grants=without_grant(self.grants, role, where))

    def changed(self, now: datetime) -> "User":
        """Return the next version of the user."""
        return replace(self, updated_at=now, version=self.version + 1)


def must_hold(caller: Caller, permissions: frozenset[str]) -> None:
    """Refuse unless the caller holds all of these: nobody gives what they do not have."""
    if lacking := sorted(permissions - caller.permissions):
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise MoreThanYouHold(f"you do not hold {lacking[0]}{more} yourself")


def must_hold_everywhere(caller: Caller, permissions: frozenset[str]) -> None:
    """Refuse unless the caller holds all of these in every tenant, as whom they decide about does."""
    if lacking := sorted(p for p in permissions if not caller.may_everywhere(p)):
        raise MoreThanYouHold(f"the user holds {lacking[0]} in every tenant, and you do not")


def over_people(permissions: frozenset[str]) -> frozenset[str]:
    """Return those of the permissions with which one decides over people."""
    return frozenset(p for p in permissions if p.partition(":")[0] in _PEOPLE)


def _decided(before: User, after: User) -> frozenset[str]:
    """Return what a change decides about: the grants that come and go, and who can do what to people.

    Of somebody who is given another name or password: everything, as whoever gives it could log in as them.
    """
    if any(getattr(before, name) != getattr(after, name) for name in _PROOF):
        return before.entitled | after.entitled
    turned = {*before.grants} ^ {*after.grants}
    given = together(role for grant in turned for role in grant.given)
    return given | over_people(before.entitled | after.entitled)


def check_change(caller: Caller, before: User, after: User, others: int) -> None:
    """Refuse a change of a user that must not be. `others` counts the tenant's other active administrators."""
    must_hold(caller, _decided(before, after))
    must_hold_everywhere(caller, _decided(before.beyond, after.beyond))
    if before.guest and any(getattr(before, n) != getattr(after, n) for n in _ACCOUNT):
        raise GuestAccount("the account belongs to another organization; you can remove the guest")
    if caller.subject == str(before.id):
        _check_self(before, after)
    if before.administers and not after.administers and not others:
        raise LastAdmin("the tenant would have no administrator; name another one first")


def _check_self(before: User, after: User) -> None:
    if after.deleted_at or not after.active:
        raise SelfDeactivation("you cannot disable or delete yourself; ask another administrator")
    if not before.permissions <= after.permissions:
        raise SelfDemotion("you cannot take a role from yourself; ask another administrator")
