"""Roles: named sets of permissions, the system's and a tenant's own. How far one reaches is said by the grant."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from authz.confusable import skeleton
from authz.permissions import ALL, named, of
from iam.domain.errors import BadName
from iam.domain.grant_errors import RoleNameTaken, SystemRole, UnknownPermission
from iam.domain.names import hides

_READS = frozenset(p for p in ALL if p.endswith(":read")) - {"debug:read", "platform:read"}
_USER = frozenset({"agent:read", "agent:execute", "agent:create", "template:read", "usage:read"})
_ORG_ADMIN = (
    _USER
    | of("user", "group", "service_account", "pipeline_account", "project")
    | of("role", "invitation", "api_key", "session", "agent", "audit")
    | {"tenant:read", "tenant:update", "quota:read", "flag:evaluate", "usage:create"}
) - {"user:impersonate"}
_DEVELOPER = (
    of("flag", "segment", "environment", "experiment", "metric", "exposure", "event")
    | {"report:read", "user:read", "role:read", "template:read", "quota:read"}
    | {"usage:read", "usage:create"}
    | {"vm:read", "vm:create", "vm:update", "vm:delete", "vm:power_manage", "vm:read_logs"}
    | {"agent:read", "agent:create", "agent:execute", "project:read", "audit:read"}
)
_VIEWER = frozenset(
    f"{kind}:read"
    for kind in ("flag", "segment", "environment", "experiment", "metric", "report", "template")
)


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions: a system role, known by its slug, or a tenant's own, known by a UUID."""

    id: str
    name: str
    description: str
    permissions: frozenset[str]
    tenant: UUID | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    version: int = 1

    @property
    def system(self) -> bool:
        """Whether the role comes with the system and cannot be changed."""
        return self.tenant is None

    @property
    def label(self) -> str:
        """The name under which it is given and shown."""
        return self.id if self.system else self.name

    def changed(self, now: datetime, **fields: Any) -> "Role":  # noqa: ANN401 - its own fields
        """Return the next version of a tenant's own role; SystemRole if it is none."""
        if self.system:
            raise SystemRole(f"{self.id!r} is a system role; make a role of your own instead")
        return replace(self, updated_at=now, version=self.version + 1, **fields)


_SYSTEM = (
    Role("super_admin", "Super administrator", "Everything", ALL),
    Role(
        "admin",
        "Administrator",
        "Everything but debugging and the platform's configuration",
        ALL - of("debug") - {"platform:configure"},
    ),
    Role("org_admin", "Organization administrator", "People, keys and roles", _ORG_ADMIN),
    Role("developer", "Developer", "Flags, experiments, segments and machines", _DEVELOPER),
    Role("analyst", "Analyst", "Reads everything, writes reports", _READS | of("report")),
    Role("viewer", "Viewer", "Reads flags, experiments and reports", _VIEWER),
    Role("user", "User", "Self-service", _USER),
)
SYSTEM: Mapping[str, Role] = MappingProxyType({role.id: role for role in _SYSTEM})
# Each gives one power over the whole platform. They are granted as `permissions` under /global, not as roles of a user.
_SUPER = (
    Role("adm_godmode", "Godmode", "Everything, everywhere", ALL),
    Role(
        "adm_user_manager",
        "User manager",
        "Users, groups and accounts",
        of("user", "group", "service_account", "pipeline_account") - {"user:impersonate"},
    ),
    Role(
        "adm_config_editor",
        "Configuration editor",
        "The platform's configuration",
        of("platform"),
    ),
    Role("usr_create_groups", "Group creator", "New groups", frozenset({"group:create"})),
    Role("usr_create_projects", "Project creator", "New projects", frozenset({"project:create"})),
)
SUPER: Mapping[str, Role] = MappingProxyType({role.id: role for role in _SUPER})
BUILT_IN: Mapping[str, Role] = MappingProxyType({**SYSTEM, **SUPER})
DEFAULT = "user"
# Somebody with one of these can put a tenant in order again; a tenant keeps at least one of them.
ADMINISTRATORS = frozenset({"super_admin", "admin", "org_admin"})


def permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """Return what these built-in roles hold together; a role that is no more holds nothing."""
    return together(BUILT_IN[role] for role in roles if role in BUILT_IN)


def together(roles: Iterable[Role]) -> frozenset[str]:
    """Return what roles hold together."""
    return frozenset[str]().union(*(role.permissions for role in roles))


def known_permissions(names: Iterable[str]) -> frozenset[str]:
    """Return the permissions that these names or aliases stand for; UnknownPermission if one stands for none."""
    found = {name: named(name) for name in names}
    for name, permission in found.items():
        if permission is None:
            raise UnknownPermission(f"there is no permission {name!r}: see GET /api/v1/permissions")
    return frozenset(filter(None, found.values()))


def check_name(name: str) -> str:
    """Return the name of a tenant's own role; BadName, or RoleNameTaken if a system role goes by it."""
    taken = {skeleton(n) for role in BUILT_IN.values() for n in (role.id, role.name)}
    if skeleton(name) in taken:
        raise RoleNameTaken(f"a system role is called {name!r}")
    if hides(name):
        raise BadName("a role's name holds letters that nobody sees; type it anew")
    return name
