"""A replica of who holds what: subjects with their bindings, memberships, projects with their lists; and their keys.

It is fed one thing at a time, in any order, and answers with a `Standing` for a subject, a tenant and the scope of a
credential. That is kept until the subject, or a membership or project of the tenant, changes, or one of the bindings
begins or ends. Whoever was told of every change answers like one who was told of the final state only.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import inf
from typing import NamedTuple

from authz.decision import Binding, Who, compile_subject
from authz.standing import Project, Standing
from authz.verbs import masks

DEPTH = 10  # steps from somebody to a group that contains them
MOST_KEPT = 20_000
Scope = frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Somebody who can hold permissions; at home in one tenant, and perhaps a member of others.

    `kind` is empty for a user, else `service_account` or `pipeline_account`.
    """

    id: str
    tenant: str
    active: bool
    name: str
    roles: tuple[str, ...]
    permissions: frozenset[str]
    platform: bool
    bindings: tuple[Binding, ...] = ()
    member_of: frozenset[str] = frozenset()
    kind: str = ""

    def acts_in(self, tenant: str) -> bool:
        """Tell whether they may act in a tenant at all."""
        return tenant == self.tenant or tenant in self.member_of

    def roles_in(self, tenant: str, now: float) -> tuple[str, ...]:
        """Return the names of the roles that they hold in all of a tenant at a moment, in seconds."""
        if tenant == self.tenant:
            return self.roles
        wide = (
            b
            for b in self.bindings
            if b.level == "platform" or (b.level, b.where) == ("tenant", tenant)
        )
        return tuple(
            dict.fromkeys(b.role for b in wide if b.live(datetime.fromtimestamp(now, UTC)))
        )

    @property
    def held(self) -> tuple[Binding, ...]:
        """Their bindings; if we are told only what they may do at home, that as one."""
        if self.bindings or not self.permissions:
            return self.bindings
        level, where = ("platform", "") if self.platform else ("tenant", self.tenant)
        return (Binding(role="", masks=masks(self.permissions), level=level, where=where),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One version of an API key; `expires` in seconds since the epoch, None for never."""

    hash: str
    id: str
    tenant: str
    kind: str
    environment: str
    project: str
    scopes: frozenset[str]
    expires: float | None
    subject: str
    name: str


class Tenant(NamedTuple):
    """An organization."""

    id: str
    slug: str
    active: bool


class Membership(NamedTuple):
    """That somebody, or a group, is in a group."""

    id: str
    tenant: str
    principal: str
    group: str


class _Kept(NamedTuple):
    """A standing, and what it was made from: it holds while that is so, and until then (seconds)."""

    subject: Subject
    turn: int
    until: float
    standing: Standing


@dataclass(slots=True)
class Replica:
    """Who holds what. Memberships and projects change only by `put_…` and `drop_…`."""

    subjects: dict[str, Subject] = field(default_factory=dict[str, Subject])
    # API keys by the digest of their text; ended sessions, and until when they matter (seconds)
    keys: dict[str, ApiKey] = field(default_factory=dict[str, ApiKey])
    ended: dict[str, float] = field(default_factory=dict[str, float])
    tenants: dict[str, Tenant] = field(default_factory=dict[str, Tenant])
    _memberships: dict[str, Membership] = field(default_factory=dict[str, Membership])
    _projects: dict[str, Project] = field(default_factory=dict[str, Project])
    # (tenant, principal) → membership → group; (tenant, slug) → its bearers, the newest last; tenant → slug → project
    _groups: dict[tuple[str, str], dict[str, str]] = field(
        default_factory=lambda: defaultdict[tuple[str, str], dict[str, str]](dict)
    )
    _bearers: dict[tuple[str, str], dict[str, Project]] = field(
        default_factory=lambda: defaultdict[tuple[str, str], dict[str, Project]](dict)
    )
    _slugs: dict[str, dict[str, Project]] = field(
        default_factory=lambda: defaultdict[str, dict[str, Project]](dict)
    )
    # How often something of a tenant changed on which standings there depend.
    _turns: dict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    _kept: dict[tuple[str, str, Scope], _Kept] = field(
        default_factory=dict[tuple[str, str, Scope], _Kept]
    )

    # --- fed ----------------------------------------------------------------------------------------------------

    def put_membership(self, membership: Membership) -> None:
        """Take note of a membership; of a known one, that it is another now."""
        self.drop_membership(membership.id)
        self._memberships[membership.id] = membership
        self._groups[membership.tenant, membership.principal][membership.id] = membership.group
        self._turns[membership.tenant] += 1

    def drop_membership(self, id_: str) -> None:
        """Forget a membership."""
        if (gone := self._memberships.pop(id_, None)) is not None:
            place = gone.tenant, gone.principal
            del self._groups[place][id_]
            if not self._groups[place]:
                del self._groups[place]
            self._turns[gone.tenant] += 1

    def put_project(self, project: Project) -> None:
        """Take note of a project, or of its new list."""
        self.drop_project(project.id)
        self._projects[project.id] = project
        self._bearers[project.tenant, project.slug][project.id] = project
        self._slugs[project.tenant][project.slug] = project
        self._turns[project.tenant] += 1

    def drop_project(self, id_: str) -> None:
        """Forget a project. If another one has its slug by now, that one stays."""
        if (gone := self._projects.pop(id_, None)) is not None:
            others = self._bearers[gone.tenant, gone.slug]
            del others[id_], self._slugs[gone.tenant][gone.slug]
            for project in others.values():
                self._slugs[gone.tenant][gone.slug] = project
            if not others:
                del self._bearers[gone.tenant, gone.slug]
            self._turns[gone.tenant] += 1

    # --- asked --------------------------------------------------------------------------------------------------

    def standing(self, subject: Subject, tenant: str, scope: Scope, now: float) -> Standing:
        """Return what a subject may do in a tenant with a credential of that scope; `now` in seconds."""
        name = subject.id, tenant, scope
        kept, turn = self._kept.get(name), self._turns.get(tenant, 0)
        if kept and kept.subject is subject and kept.turn == turn and now < kept.until:
            return kept.standing
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        made = self._made(subject, tenant, scope, now)
        self._kept[name] = _Kept(subject, turn, _turns_at(subject.held, now), made)
        return made

    def groups(self, tenant: str, principal: str) -> frozenset[str]:
        """Return the groups that contain somebody, at most ten steps away; circles do no harm."""
        found, edge = set[str](), {principal}
        for _ in range(DEPTH):
            edge = {
                group
                for inner in edge
                for group in self._groups.get((tenant, inner), {}).values()
                if group not in found
            }
            if not edge:
                break
            found |= edge
        return frozenset(found)

    def about(
        self, subject: Subject, tenant: str
    ) -> tuple[Iterable[Membership], Iterable[Project]]:
        """Return all that a standing in a tenant is made of beside the subject: enough for another replica."""
        names = self.groups(tenant, subject.id) | {subject.id}
        memberships = [
            Membership(id_, tenant, name, group)
            for name in names
            for id_, group in self._groups.get((tenant, name), {}).items()
        ]
        projects = (_narrowed(p, names) for p in self._slugs.get(tenant, {}).values())
        return memberships, [project for project in projects if project.acl]

    def _made(self, subject: Subject, tenant: str, scope: Scope, now: float) -> Standing:
        who = Who(
            id=subject.id,
            tenant=tenant,
            active=subject.active,
            scope=None if scope is None else masks(scope),
        )
        compiled = compile_subject(who, subject.held, datetime.fromtimestamp(now, UTC))
        names = self.groups(tenant, subject.id) | {subject.id}
        return Standing(compiled, names, self._slugs.get(tenant, {}))


def _turns_at(bindings: Iterable[Binding], now: float) -> float:
    """Return when the next binding begins or ends, in seconds."""
    times = (at.timestamp() for b in bindings for at in (b.not_before, b.expires_at) if at)
    return min((at for at in times if at > now), default=inf)


def _narrowed(project: Project, names: frozenset[str]) -> Project:
    """Return a project with what its list says of somebody."""
    mine = (replace(entry, principals=entry.principals & names) for entry in project.acl)
    return replace(project, acl=tuple(entry for entry in mine if entry.principals))
