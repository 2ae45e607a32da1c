"""What somebody was given: a role, where it holds, and for how long.

Where    a scope: the platform, all of a tenant, one project of it, or one thing
Grant    a role at a scope, given by hand, by a sync of outside groups (`source`) or to a group (`through`)
Window   from when until when, by whom and why
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Literal
from uuid import UUID

from authz.decision import Binding
from authz.permissions import CATALOGUE
from authz.verbs import masks
from iam.domain.grant_errors import BadWindow
from iam.domain.reach_errors import BadPlace
from iam.domain.roles import BUILT_IN, SUPER, Role

Scope = Literal["platform", "tenant", "project", "object"]

_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_THING = re.compile(r"([a-z_]{1,40}):([A-Za-z0-9][A-Za-z0-9._-]{0,127})")


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """A scope. `place` is a project's slug, or a thing's `kind:id`; empty for a tenant and for the platform."""

    scope: Scope = "tenant"
    place: str = ""

    @classmethod
    def of(cls, text: str) -> "Where":
        """Read `platform`, `tenant`, `project:<slug>` or `object:<kind>:<id>`; BadPlace if it is none of these."""
        scope, _, place = text.partition(":")
        if text == "platform":
            return cls("platform")
        if text == "tenant":
            return cls("tenant")
        if scope == "project" and _PROJECT.fullmatch(place):
            return cls("project", place)
        thing = _THING.fullmatch(place)
        if scope == "object" and thing and thing[1] in CATALOGUE:
            return cls("object", place)
        raise BadPlace("a scope is tenant, platform, project:<slug> or object:<kind>:<id>")

    def __str__(self) -> str:
        return f"{self.scope}:{self.place}" if self.place else self.scope

    @property
    def wide(self) -> bool:
        """Whether it is all of a tenant, or more."""
        return not self.place

    @property
    def kind(self) -> str:
        """The kind of the one thing that it is; empty for others."""
        return self.place.partition(":")[0] if self.scope == "object" else ""

    @property
    def id(self) -> str:
        """The project's slug or the thing's id."""
        return self.place.partition(":")[2] if self.scope == "object" else self.place


TENANT = Where("tenant")
PLATFORM = Where("platform")


@dataclass(frozen=True, slots=True)
class Grant:
    """A role and how far it reaches: every tenant, one tenant, or a place in it; perhaps only for a time.

    `role` is the role's id, `custom` the role itself where it is a tenant's own. `tenant` is None for the one in which
    its holder is looked at. `source` names the identity provider that it came with, `through` the group that holds it
    (such a grant is changed there, not here). `in_force` is how it stood when the holder was read.
    """

    role: str
    scope: Scope = "tenant"
    not_before: datetime | None = None
    expires_at: datetime | None = None
    granted_by: str = ""
    reason: str = ""
    custom: Role | None = None
    in_force: bool = field(default=True, compare=False)
    place: str = ""
    tenant: UUID | None = None
    source: str = ""
    through: UUID | None = None

    def __lt__(self, other: "Grant") -> bool:
        return self._order < other._order

    @property
    def _order(self) -> tuple[str, ...]:
        return (self.role, self.scope, self.place, self.source, str(self.through or ""))

    @property
    def at(self) -> Where:
        """The scope at which it holds."""
        return Where(self.scope, self.place)

    @property
    def wide(self) -> bool:
        """Whether it holds in all of the tenant in which its holder is looked at."""
        return not self.place and self.tenant is None

    @property
    def own(self) -> bool:
        """Whether it was given to its holder and not to a group."""
        return self.through is None

    @property
    def super(self) -> bool:
        """Whether it is a super-permission, which is no role of a list."""
        return self.role in SUPER

    @property
    def given(self) -> tuple[Role, ...]:
        """The role that it gives at some time: none if the role is no more."""
        role = self.custom or BUILT_IN.get(self.role)
        return (role,) if role else ()

    @property
    def held(self) -> tuple[Role, ...]:
        """The role that it gives now."""
        return self.given if self.in_force else ()

    def binding(self, tenant: UUID) -> tuple[Binding, ...]:
        """Return it as the decision reads it, for a holder who is looked at in this tenant."""
        where = {"platform": "", "tenant": str(self.tenant or tenant)}
        return tuple(
            Binding(
                role=role.label,
                masks=_masks(self.gives(role)),
                level=self.scope,
                where=where.get(self.scope, self.at.id),
                tenant="" if self.at.wide else str(self.tenant or tenant),
                not_before=self.not_before,
                expires_at=self.expires_at,
            )
            for role in self.given
        )

    def gives(self, role: Role) -> frozenset[str]:
        """Return what a role gives here: at one thing only what is about things of its kind."""
        if not (kind := self.at.kind):
            return role.permissions
        return frozenset(p for p in role.permissions if p.partition(":")[0] == kind)


@lru_cache(maxsize=1024)
def _masks(permissions: frozenset[str]) -> Mapping[str, int]:
    """Return permissions as masks; thousands of people hold the same few roles."""
    return MappingProxyType(masks(permissions))


Grants = tuple[Grant, ...]


def held_at(grants: Grants, role: Role, where: Where | None) -> Grants:
    """Return the grants of a role to their holder itself: in all of the tenant, or at one scope if it is named."""
    own = (grant for grant in grants if grant.own and grant.role == role.id)
    return tuple(g for g in own if (g.wide if where is None else g.at == where))


def with_grant(grants: Grants, role: Role, new: Grant, where: Where | None) -> Grants:
    """Return the grants with a role given (anew); what an identity provider said stays beside it."""
    old = {id(grant) for grant in held_at(grants, role, where) if not grant.source}
    return tuple(sorted((*(g for g in grants if id(g) not in old), new)))


def without_grant(grants: Grants, role: Role, where: Where | None) -> Grants:
    """Return the grants without a role that was given to their holder itself."""
    old = {id(grant) for grant in held_at(grants, role, where)}
    return tuple(grant for grant in grants if id(grant) not in old)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From when until when a role is given, by whom and why."""

    not_before: datetime | None = None
    expires_at: datetime | None = None
    granted_by: str = ""
    reason: str = ""

    def anew(self, grants: Grants, role: Role, now: datetime, where: Where | None = None) -> Grants:
        """Return grants with a role given within this window; where no scope is named, it reaches as far as before."""
        had = next((grant.at for grant in held_at(grants, role, where)), TENANT)
        return with_grant(grants, role, self.grant(role, now, where or had), where)

    def grant(self, role: Role, now: datetime, where: Where = TENANT) -> Grant:
        """Return the grant of a role within this window; BadWindow if it would never be in force."""
        begins = max(self.not_before or now, now)
        if self.expires_at is not None and self.expires_at <= begins:
            raise BadWindow("the role would end before it begins; choose a later expires_at")
        return Grant(
            role.id,
            where.scope,
            not_before=self.not_before,
            expires_at=self.expires_at,
            granted_by=self.granted_by,
            reason=self.reason,
            custom=None if role.system else role,
            in_force=begins <= now,
            place=where.place,
        )
