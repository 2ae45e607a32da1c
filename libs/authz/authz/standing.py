"""Standing: what somebody may do in one tenant with one credential, to whatever they are asked about.

    roles at every scope, and their own things     (`compiled`, see `decision`)
    what the lists of projects give them           by their own name or a group's (`names`)

A project is named by its slug here, as its things know it; only those of the tenant count.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from authz.decision import (
    AclEntry,
    Binding,
    Compiled,
    Resource,
    Who,
    acl_mask,
    compile_subject,
    decide,
    possible,
)
from authz.permissions import ALIASES, ALL
from authz.verbs import masks, need_of

Need = tuple[str, int]
# Every permission and alias as a kind and bits: looked up for each decision.
NEEDS: Mapping[str, Need] = {p: need for p in (*ALL, *ALIASES) if (need := need_of(p))}
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Thing(NamedTuple):
    """One thing as its service knows it: who owns it, in which project it is (its slug), its id."""

    owner: str = ""
    project: str = ""
    id: str = ""


ANYTHING = Thing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A namespace of a tenant. What its list gives holds for all that is in it."""

    id: str
    tenant: str
    slug: str
    acl: tuple[AclEntry, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """Somebody in a tenant, ready to be decided about. `projects` are the tenant's, by slug.

    `others` are permissions outside the catalogue that a service gives another one: held as they are spelled.
    """

    compiled: Compiled
    names: Collection[str]
    projects: Mapping[str, Project] = field(default_factory=dict[str, Project], repr=False)
    others: frozenset[str] = frozenset()
    _lent: dict[tuple[str, str], int] = field(
        default_factory=dict[tuple[str, str], int], repr=False
    )
    _possible: dict[str, int] = field(default_factory=dict[str, int], repr=False)
    _all: list[frozenset[str]] = field(default_factory=list[frozenset[str]], repr=False)

    def may(self, permission: str, thing: Thing = ANYTHING) -> bool:
        """Tell whether a permission is held over a thing of the tenant; without one, over all of its kind."""
        if (need := NEEDS.get(permission)) is None:
            return permission in self.others
        return decide(self.compiled, need[1], self.on(need[0], thing))

    def may_some(self, permission: str) -> bool:
        """Tell whether a permission may be held over some thing of the tenant. No means: over none."""
        if (need := NEEDS.get(permission)) is None:
            return permission in self.others
        kind, bits = need
        return not (bits & ~possible(self.compiled, kind) and bits & ~self._anyhow(kind))

    def may_everywhere(self, permission: str) -> bool:
        """Tell whether a permission is held in every tenant."""
        need = NEEDS.get(permission)
        return need is not None and decide(self.compiled, need[1], Resource(need[0], ""))

    def on(self, kind: str, thing: Thing, tenant: str = "") -> Resource:
        """Return a thing as the decision sees it. Of another tenant's projects nothing is known."""
        owner, slug, id_ = thing
        if tenant and tenant != self.compiled.tenant:
            return Resource(kind, tenant, owner, "", id_, 0)
        acl = self._acl(slug, kind) if slug in self.projects else 0
        return Resource(kind, self.compiled.tenant, owner, slug, id_, acl)

    @property
    def permissions(self) -> frozenset[str]:
        """Everything that is held over all of a kind."""
        if not self._all:
            self._all.append(frozenset(permission for permission in ALL if self.may(permission)))
        return self._all[0]

    def _anyhow(self, kind: str) -> int:
        """Return all bits that may be held over some thing of a kind, the lists of all projects counted."""
        if (held := self._possible.get(kind)) is None:
            lent = 0
            for slug in self.projects:
                lent |= self._acl(slug, kind)
            held = self._possible[kind] = possible(self.compiled, kind, lent)
        return held

    def _acl(self, slug: str, kind: str) -> int:
        mask = self._lent.get((slug, kind))
        if mask is None:
            mask = acl_mask(None, self.projects[slug].acl, self.names, kind)
            self._lent[slug, kind] = mask
        return mask


@lru_cache(maxsize=4096)
def plain(
    id_: str,
    tenant: str,
    permissions: frozenset[str],
    scope: frozenset[str] | None = None,
    *,
    platform: bool = False,
) -> Standing:
    """Return the standing of somebody of whom only permissions are known: a key without an account, say."""
    who = Who(id=id_, tenant=tenant, scope=None if scope is None else masks(scope))
    level, where = ("platform", "") if platform else ("tenant", tenant)
    held = Binding(role="", masks=masks(permissions), level=level, where=where)
    others = frozenset(p for p in permissions if p not in NEEDS)
    return Standing(compile_subject(who, (held,), _LONG_AGO), (id_,), others=others)
