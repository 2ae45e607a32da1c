"""What groups at an identity provider mean here: which roles come with which values of which claims."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from iam.domain.grants import Grant, Grants, Where
from iam.domain.roles import SYSTEM

Rule = Literal["highest", "union"]
Claims = Mapping[str, Collection[str]]
_RANK = {role: rank for rank, role in enumerate(SYSTEM)}  # the mightiest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: whoever comes from `idp` with this value in this claim holds a role at a scope.

    With `union` all that match are held; of those with `highest` only the mightiest at each scope.
    """

    id: UUID
    tenant: UUID
    idp: str
    claim: str
    value: str
    role: str
    where: Where
    rule: Rule
    created_by: str
    created_at: datetime

    def matches(self, idp: str, claims: Claims) -> bool:
        """Tell whether it is about somebody who comes with these claims. Values are compared as they are."""
        return self.idp == idp and self.value in claims.get(self.claim, ())


def meant(table: Iterable[Line], idp: str, claims: Claims) -> frozenset[tuple[str, Where]]:
    """Return the roles and scopes that claims of an identity provider stand for; the order of the table is nothing."""
    found = [line for line in table if line.matches(idp, claims)]
    given = {(line.role, line.where) for line in found if line.rule == "union"}
    for where in {line.where for line in found}:
        ranked = [x.role for x in found if x.rule == "highest" and x.where == where]
        if ranked:
            given.add((min(ranked, key=_rank), where))
    return frozenset(given)


def _rank(role: str) -> tuple[int, str]:
    """Return how mighty a role is, the mightiest least; a tenant's own come after the system's."""
    return _RANK.get(role, len(_RANK)), role


def synced(grants: Grants, idp: str, given: Iterable[Grant]) -> Grants:
    """Return grants with those that came with an identity provider replaced; all others stay.

    What is given again stays as it was given first.
    """
    had = {(g.role, g.at): g for g in grants if g.source == idp and g.own}
    others = (g for g in grants if g.source != idp or not g.own)
    return tuple(sorted((*others, *(had.get((g.role, g.at), g) for g in given))))
