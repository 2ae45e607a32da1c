"""The catalogue of permissions, spelled `kind:verb`. The catalogue is code: a deployment cannot invent one."""

from dataclasses import dataclass

_CRUD = ("read", "create", "update", "delete")

CATALOGUE: dict[str, tuple[str, ...]] = {
    "flag": (*_CRUD, "toggle", "evaluate"),
    "segment": _CRUD,
    "environment": _CRUD,
    "experiment": (*_CRUD, "schedule", "process"),
    "metric": _CRUD,
    "exposure": ("create",),
    "event": ("create",),
    "report": _CRUD,
    "vm": (*_CRUD, "power_manage", "read_logs"),
    "template": _CRUD,
    "agent": (*_CRUD, "execute"),
    "quota": ("read", "update"),
    "usage": ("read", "create"),
    "audit": ("read", "export", "admin"),
    "user": (*_CRUD, "impersonate", "reset_credentials"),
    "group": _CRUD,
    "service_account": _CRUD,
    "pipeline_account": _CRUD,
    "role": (*_CRUD, "assign_users"),
    "tenant": _CRUD,
    "invitation": _CRUD,
    "api_key": _CRUD,
    "session": ("read", "delete"),
    "project": (*_CRUD, "share"),
    "platform": ("read", "configure"),
    "debug": ("read",),
}

# What the systems that Switchyard replaces call them.
ALIASES: dict[str, str] = {
    "toggle_feature_flags": "flag:toggle",
    "create_feature_flags": "flag:create",
    "view_feature_flags": "flag:read",
    "view_audit_logs": "audit:read",
    "vm:power": "vm:power_manage",
    "vm:logs": "vm:read_logs",
    "experiment:start": "experiment:schedule",
    "user:impersonation": "user:impersonate",
}


@dataclass(frozen=True, slots=True)
class Permission:
    """One entry of the catalogue."""

    id: str

    @property
    def module(self) -> str:
        """The kind of thing that it is about."""
        return self.id.partition(":")[0]


ALL = frozenset(f"{kind}:{verb}" for kind, verbs in CATALOGUE.items() for verb in verbs)


def catalogue() -> list[Permission]:
    """Return every permission, in the order of the catalogue."""
    return [Permission(f"{kind}:{verb}") for kind, verbs in CATALOGUE.items() for verb in verbs]


def of(*kinds: str) -> frozenset[str]:
    """Return every permission about these kinds."""
    return frozenset(p for p in ALL if p.partition(":")[0] in kinds)


def named(name: str) -> str | None:
    """Return the permission that a name or an alias stands for; None if there is none."""
    found = ALIASES.get(name, name)
    return found if found in ALL else None
