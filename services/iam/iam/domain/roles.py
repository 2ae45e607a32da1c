"""The system roles: named sets of permissions. How far a role reaches is said by the grant, not by the role."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from iam.domain.permissions import ALL, of

_READS = frozenset(p for p in ALL if p.endswith(":read")) - {"debug:read", "platform:read"}
_USER = frozenset({"agent:read", "agent:execute", "agent:create", "template:read", "usage:read"})
_ORG_ADMIN = (
    _USER
    | of("user", "group", "service_account", "pipeline_account", "project")
    | of("role", "invitation", "api_key", "session", "agent")
    | {"tenant:read", "tenant:update", "audit:read", "quota:read", "flag:evaluate"}
) - {"user:impersonate"}
_DEVELOPER = (
    of("flag", "segment", "environment", "experiment", "metric", "exposure", "event")
    | {"report:read", "user:read", "role:read", "template:read", "usage:read", "quota:read"}
    | {"vm:read", "vm:create", "vm:update", "vm:delete", "vm:power_manage", "vm:read_logs"}
    | {"agent:read", "agent:create", "agent:execute", "project:read", "audit:read"}
)
_VIEWER = frozenset(
    f"{kind}:read"
    for kind in ("flag", "segment", "environment", "experiment", "metric", "report", "template")
)


@dataclass(frozen=True, slots=True)
class Role:
    """A named set of permissions."""

    id: str
    name: str
    description: str
    permissions: frozenset[str]


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
DEFAULT = "user"
# Somebody with one of these can put a tenant in order again; a tenant keeps at least one of them.
ADMINISTRATORS = frozenset({"super_admin", "admin", "org_admin"})


def permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """Return what these roles hold together; a role that is no more holds nothing."""
    known = {**SYSTEM, **SUPER}
    held = (known[role].permissions for role in roles if role in known)
    return frozenset[str]().union(*held)
