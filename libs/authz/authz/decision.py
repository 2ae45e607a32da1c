"""The decision: may this subject do that to this thing? Pure, and the only place where it is answered.

    grants  = role masks over the scope chain  |  own mask if you own it  |  ACL mask (its own list, else the project's)
    caps    = credential scope & tenant wall & account state & whatever the caller adds (guardrail, assurance)
    allowed = need ⊆ grants & caps

There are no deny entries, so the order of grants does not matter. What is put in: bindings, ACL entries, a subject, a
resource, and needs as bits (see `verbs`). `compile_subject` makes one integer per kind of it, `decide` looks at that
integer, and `explain` asks the same code about each part alone.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal, NamedTuple

from authz.verbs import ALL, CREATE, DELETE, MODIFY, READ, spelled

# --- what is put in -------------------------------------------------------------------------------------------------

GODMODE = "adm_godmode"
Level = Literal["platform", "tenant", "project", "object"]

# What everybody may do to what is their own, without any role; `user`: oneself.
_OWN = {"session": READ | DELETE, "api_key": READ | CREATE | MODIFY, "user": READ}
# Whoever may create one of these may do everything to those that they own.
_MADE = frozenset(
    ("flag", "segment", "environment", "experiment", "metric", "report", "vm", "agent", "project")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A role, as masks per kind, and where it holds. `where` is a tenant's id, a project's slug or an object's id.

    `tenant` is whose project or object that is; empty: of whichever tenant is acted in.
    """

    role: str
    masks: Mapping[str, int]
    level: Level = "tenant"
    where: str = ""
    tenant: str = ""
    not_before: datetime | None = None
    expires_at: datetime | None = None

    def live(self, now: datetime) -> bool:
        """Tell whether the binding is in force."""
        begun = self.not_before is None or self.not_before <= now
        return begun and (self.expires_at is None or now < self.expires_at)

    @property
    def name(self) -> str:
        """How an explanation calls it."""
        return f"role:{self.role}@{self.level}{':' if self.where else ''}{self.where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AclEntry:
    """What some principals may do. In a project's list `kind` narrows the entry to one kind; empty for all."""

    mask: int
    principals: frozenset[str]
    kind: str = ""


def acl_mask(
    own: Sequence[AclEntry] | None,
    inherited: Sequence[AclEntry],
    principals: Collection[str],
    kind: str,
) -> int:
    """Return what the ACL in force gives to any of these principals: its own list, else (None) the project's."""
    mask = 0
    for entry in inherited if own is None else own:
        if entry.kind in ("", kind) and not entry.principals.isdisjoint(principals):
            mask |= entry.mask
    return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """A subject acting in one tenant with one credential. `scope` caps it per kind; None: no cap."""

    id: str
    tenant: str
    active: bool = True
    scope: Mapping[str, int] | None = None


class Resource(NamedTuple):
    """What it is about. `acl` is what its ACL gives to the subject (see `acl_mask`).

    A tuple, since one is made for each decision and a frozen dataclass takes three times as long to make.
    """

    kind: str
    tenant: str
    owner: str = ""
    project: str = ""
    id: str = ""
    acl: int = 0


# --- compiled -------------------------------------------------------------------------------------------------------

# The lanes of the one integer per kind: held in the own tenant, held in every tenant, held over what is one's own, and
# what credential and account leave of it.
_WIDE, _OWNED, _CAP = 8, 16, 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A subject, ready to be decided about. `rest` stands for every kind that `lanes` does not name."""

    who: Who
    id: str
    tenant: str
    lanes: Mapping[str, int]
    rest: int
    narrow: Mapping[tuple[str, Level, str], int]
    bindings: tuple[Binding, ...] = field(repr=False)


def compile_subject(who: Who, bindings: Iterable[Binding], now: datetime) -> Compiled:
    """Return a subject with those bindings that are in force now; recompile when one begins or ends."""
    return _compiled(who, tuple(b for b in bindings if b.live(now) and _reaches(b, who)))


def _compiled(who: Who, live: tuple[Binding, ...]) -> Compiled:
    wide = _sum(b for b in live if b.level == "platform")
    home = _sum(b for b in live if b.level in ("platform", "tenant"))
    god = ALL if any(b.role == GODMODE and b.level == "platform" for b in live) else 0
    kinds = {*home, *_OWN, *(who.scope or {})}
    return Compiled(
        who=who,
        id=who.id,
        tenant=who.tenant,
        lanes={
            k: _packed(k, home.get(k, 0) | god, wide.get(k, 0) | god, _cap(who, k)) for k in kinds
        },
        rest=_packed("", god, god, _cap(who, "")),
        narrow=_narrow(live),
        bindings=live,
    )


def _reaches(binding: Binding, who: Who) -> bool:
    if binding.level == "tenant":
        return binding.where == who.tenant
    return binding.level == "platform" or binding.tenant in ("", who.tenant)


def _sum(bindings: Iterable[Binding]) -> dict[str, int]:
    made: dict[str, int] = defaultdict(int)
    for binding in bindings:
        for kind, mask in binding.masks.items():
            made[kind] |= mask & ALL
    return made


def _narrow(bindings: Iterable[Binding]) -> dict[tuple[str, Level, str], int]:
    made: dict[tuple[str, Level, str], int] = defaultdict(int)
    for binding in bindings:
        if binding.level in ("project", "object"):
            for kind, mask in binding.masks.items():
                made[kind, binding.level, binding.where] |= mask & ALL
    return dict(made)


def _packed(kind: str, home: int, wide: int, cap: int) -> int:
    owned = ALL if kind in _MADE and home & CREATE else _OWN.get(kind, 0)
    return home | wide << _WIDE | owned << _OWNED | cap << _CAP


def _cap(who: Who, kind: str) -> int:
    return _account(who) & _scope(who, kind)


def _account(who: Who) -> int:
    return ALL if who.active else 0


def _scope(who: Who, kind: str) -> int:
    return ALL if who.scope is None else who.scope.get(kind, 0)


# --- decided --------------------------------------------------------------------------------------------------------


def decide(compiled: Compiled, need: int, on: Resource, caps: int = ALL) -> bool:
    """Tell whether the subject may do all of `need` to a thing. Who needs nothing has not said what they want: no."""
    return need > 0 and not need & ~(_granted(compiled, on) & _capped(compiled, on) & caps)


def _granted(compiled: Compiled, on: Resource) -> int:
    kind, tenant, owner, project, id_, acl = on
    lanes = compiled.lanes.get(kind, compiled.rest)
    held = (lanes if tenant == compiled.tenant else lanes >> _WIDE) | acl
    if owner and owner == compiled.id:
        held |= lanes >> _OWNED
    if narrow := compiled.narrow:
        held |= narrow.get((kind, "project", project), 0) | narrow.get((kind, "object", id_), 0)
    return held & ALL


def _capped(compiled: Compiled, on: Resource) -> int:
    lanes = compiled.lanes.get(on[0], compiled.rest)
    return lanes >> _CAP if on[1] == compiled.tenant else lanes >> _CAP & lanes >> _WIDE


def possible(compiled: Compiled, kind: str, acl: int = 0) -> int:
    """Return all bits that could be allowed over some thing of a kind at home: over one's own, say, or in one project.

    What is not in it `decide` allows over nothing, so it can be refused before anything is looked up.
    """
    lanes = compiled.lanes.get(kind, compiled.rest)
    held = lanes | lanes >> _OWNED | acl
    for (of, _, _), mask in compiled.narrow.items():
        held |= mask if of == kind else 0
    return held & lanes >> _CAP & ALL


# --- explained ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why. `contributed_by` and `removed_by` say which needed bits a grant gave and a cap took."""

    allowed: bool
    need: int
    contributed_by: Mapping[str, int]
    removed_by: Mapping[str, int]
    would_need: tuple[str, ...]


def explain(
    compiled: Compiled, need: int, on: Resource, caps: Mapping[str, int] = MappingProxyType({})
) -> Explanation:
    """Return the decision with its reasons: `decide` with the conjunction of `caps` says the same."""
    grants, together = _granted(compiled, on), ALL
    for cap in caps.values():
        together &= cap
    walls = {
        "account_state": _account(compiled.who),
        "credential_scope": _scope(compiled.who, on.kind),
        "tenant_wall": _wall(compiled, on),
        **caps,
    }
    return Explanation(
        allowed=decide(compiled, need, on, together),
        need=need,
        contributed_by=_needed(_sources(compiled, on), need),
        removed_by=_needed({name: ~cap & grants for name, cap in walls.items()}, need),
        would_need=spelled(on.kind, need & ~grants),
    )


def _needed(parts: Mapping[str, int], need: int) -> dict[str, int]:
    return {name: mask & need for name, mask in parts.items() if mask & need}


def _wall(compiled: Compiled, on: Resource) -> int:
    lanes = compiled.lanes.get(on.kind, compiled.rest)
    return ALL if on.tenant == compiled.tenant else lanes >> _WIDE & ALL


def _sources(compiled: Compiled, on: Resource) -> dict[str, int]:
    """Return what each grant gives: the subject is decided about once with each binding as the only one."""
    bare = on._replace(owner="", acl=0)
    nobody = _compiled(compiled.who, ())
    made: dict[str, int] = defaultdict(int)
    for binding in compiled.bindings:  # of one role there may be several, for different times
        made[binding.name] |= _granted(_compiled(compiled.who, (binding,)), bare)
    if on.owner and on.owner == compiled.id:
        made["owner"] = compiled.lanes.get(on.kind, compiled.rest) >> _OWNED & ALL
    made["acl"] = _granted(nobody, bare._replace(acl=on.acl))
    return made
