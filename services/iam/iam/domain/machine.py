"""Service and pipeline accounts, as decisions see them. Nobody logs in as one: they act by their API keys."""

from dataclasses import dataclass
from uuid import UUID

from authz.decision import Binding
from iam.domain.grants import Grants
from iam.domain.roles import SYSTEM, together


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """An account of a tenant with what was given to it, its groups' grants with its own.

    `kind` is `service_account` or `pipeline_account`, `name` its key (`sa_ci`). It holds nothing beyond its tenant.
    """

    id: UUID
    tenant: UUID
    kind: str
    name: str
    grants: Grants = ()

    @property
    def active(self) -> bool:
        """Whether it may act: for as long as it is there."""
        return True

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of the roles that it holds in all of the tenant, the system's first."""
        held = {role.label for grant in self.grants if grant.wide for role in grant.held}
        return (*(role for role in SYSTEM if role in held), *sorted(held - set(SYSTEM)))

    @property
    def permissions(self) -> frozenset[str]:
        """What it may do in all of its tenant."""
        return together(role for grant in self.grants if grant.wide for role in grant.held)

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """Its grants as the decision reads them."""
        return tuple(b for grant in self.grants for b in grant.binding(self.tenant))
