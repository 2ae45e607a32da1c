"""Who may what, tried: every operation as every caller on every state of a thing.

A *caller* is a column of `matrix.md`, an operation a row, a cell what comes of it. A *thing* is what the last `{…}` of
a path names: the caller's `own`, `another`'s of the same tenant, a `foreign` tenant's, a `deleted` one, one that is
`missing`. Things are made as they are needed (`places.py`); one that an operation has changed is not used again.

`RECIPES` says what to send so that an operation succeeds; an operation without one is sent a body that no operation
accepts, which tells as well who gets past its guard (422). `OF` says which kind of thing a `{name}` in a path means.
"""

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from uuid import uuid4

PLATFORM = ("super_admin",)  # the administrator of the whole platform
ROLES = ("admin", "org_admin", "developer", "analyst", "viewer", "user", "no_role")
KEYS = ("client_key", "server_key", "reading_key", "full_key")
CALLERS = ("nobody", *PLATFORM, *ROLES, *KEYS)
STATES = ("own", "another", "foreign", "deleted", "missing")
GLOBAL = (
    "users",
    "groups",
    "service_accounts",
    "pipeline_accounts",
    "memberships",
    "projects",
    "permissions",
)
PREFIX = {"users": "u_", "groups": "g_", "service_accounts": "sa_", "pipeline_accounts": "pa_"}
PASSWORD = "correct horse battery staple"
UNKNOWN = {"no-such-field": 1}


def unique(start="x"):
    return f"{start}{uuid4().hex[:12]}"


OF = {
    "organization_id": "organization",
    "tenant_id": "organization",
    "user_id": "user",
    "principal_id": "user",
    "key_id": "key",
    "event_id": "event",
    "role_id": "role",
    "invitation_id": "invitation",
    "session_id": "session",
    "experiment": "experiment",
    "metric": "metric",
    "layer": "layer",
    "holdout": "holdout",
    "report": "report",
    "flag": "flag",
    "segment": "segment",
    "environment": "environment",
    "key": "flag_key",
    "vm": "vm",
    "agent": "agent",
    "template": "template",
    "snapshot": "snapshot",
}
# What stands in a path after the thing that is looked for, or is the same for all.
FIXED = {"token": "x" * 40, "permission_id": "agent:read", "name": "users", "number": "1"}
# The thing is not the last in the path.
THING = {
    "PUT /api/v1/tenants/{tenant_id}/users/{user_id}/roles/{role_id}": ("user_id", "user"),
    "DELETE /api/v1/tenants/{tenant_id}/users/{user_id}/roles/{role_id}": ("user_id", "user"),
    "PUT /api/v1/tenants/{tenant_id}/principals/{principal_id}/roles/{role_id}": (
        "principal_id",
        "user",
    ),
    "DELETE /api/v1/tenants/{tenant_id}/principals/{principal_id}/roles/{role_id}": (
        "principal_id",
        "user",
    ),
}


def _evaluation(asker):
    return {
        "subject": {"type": "user", "id": asker.id or str(uuid4())},
        "action": {"name": "read"},
        "resource": {"type": "flag", "id": "x"},
    }


def _vm(_):
    return {
        "name": unique("vm-"),
        "source_type": "iso",
        "iso_url": "https://127.0.0.1/debian.iso",
        "cpu": 1,
        "memory_gb": 1,
        "disk_gb": 1,
    }


def an_agent(_):
    return {"agent_type": unique("a-"), "name": unique("agent ")}


def a_user(_):
    name = unique()
    return {
        "email": f"{name}@x.example",
        "username": name,
        "password": PASSWORD,
        "roles": ["user"],
    }


def _nothing(_):
    return {}


def _named(_):
    return {"name": unique("n-")}


def a_metric(_):
    return {**keyed(None), "kind": "count", "event": "purchase"}


def a_holdout(_):
    return {**keyed(None), "share": 1}


def keyed(_):
    return {"key": unique("k-"), "name": "K"}


def _schedule(_):
    return {"at": (datetime.now(UTC) + timedelta(days=1)).isoformat(), "change": {"name": "New"}}


def _rollout(_):
    return {"variant": "off", "stages": [{"weight": 1000, "hold_seconds": 9999}, {"weight": 5000}]}


def _reset_role(_):
    return {"permission_ids": ["agent:read"]}


RECIPES = {
    "POST /access/v1/evaluation": _evaluation,
    "POST /access/v1/evaluations": lambda a: {**_evaluation(a), "evaluations": [{}]},
    "POST /api/v1/auth/logout": _nothing,
    "POST /api/auth/logout": _nothing,
    "POST /api/v1/authz/check": lambda _: {"permission": "flag:read"},
    "POST /api/v1/authz/explain": lambda _: {"permission": "flag:read"},
    "POST /api/v1/authz/who-can": lambda _: {"permission": "flag:read"},
    "POST /api/v1/api-keys": lambda _: {"name": "k", "kind": "management"},
    "POST /api/v1/api-keys/{key_id}/rotate": _nothing,
    "POST /api/v1/users": a_user,
    "PATCH /api/v1/users/{user_id}": lambda _: {"first_name": "New"},
    "PATCH /api/v1/organizations/{organization_id}": lambda _: {"phone": "+49 30 1"},
    "PATCH /api/organizations/{organization_id}": lambda _: {"phone": "+49 30 1"},
    "PATCH /api/v1/organizations/{organization_id}/users/{user_id}": lambda _: {"first_name": "N"},
    "PATCH /api/organizations/{organization_id}/users/{user_id}": lambda _: {"first_name": "N"},
    "PATCH /api/v1/tenants/{tenant_id}": lambda _: {"phone": "+49 30 1"},
    "POST /api/v1/tenants/{tenant_id}/guests": lambda _: {"user_id": str(uuid4())},
    "POST /api/v1/invitations/join": lambda _: {"token": unique("opens-nothing-")},
    "POST /api/v1/external-roles": lambda _: {"idp": "i", "value": unique(), "role_id": "user"},
    "POST /api/v1/roles": lambda _: {"name": unique("r-"), "permission_ids": ["agent:read"]},
    "PATCH /api/v1/roles/{role_id}": _named,
    "POST /api/v1/roles/{role_id}/permissions": _reset_role,
    "PUT /api/v1/roles/{role_id}/permissions": _reset_role,
    "PUT /api/v1/roles/{role_id}/users": lambda _: {"user_ids": []},
    "POST /api/v1/tenants/{tenant_id}/users/{user_id}/roles": lambda _: {"role_id": "user"},
    "PUT /api/v1/tenants/{tenant_id}/users/{user_id}/roles/{role_id}": _nothing,
    "POST /api/v1/tenants/{tenant_id}/principals/{principal_id}/roles": lambda _: {
        "role_id": "user"
    },
    "PUT /api/v1/tenants/{tenant_id}/principals/{principal_id}/roles/{role_id}": _nothing,
    "POST /api/v1/invitations": lambda _: {"email": f"{unique()}@x.example", "role_id": "user"},
    "POST /api/v1/feature-flags": keyed,
    "PATCH /api/v1/feature-flags/{flag}": _named,
    "POST /api/v1/feature-flags/{flag}/enable": _nothing,
    "POST /api/v1/feature-flags/{flag}/disable": _nothing,
    "POST /api/v1/feature-flags/{flag}/toggle": _nothing,
    "POST /api/v1/feature-flags/{flag}/explain": _nothing,
    "POST /api/v1/feature-flags/{flag}/preview": _nothing,
    "POST /api/v1/feature-flags/{flag}/revert": lambda _: {"revision": 1},
    **{
        f"POST /api/v1/change-requests/{{change_request}}/{verb}": _nothing
        for verb in ("apply", "cancel", "reject")
    },
    "POST /api/v1/import": lambda _: {"format": "switchyard.flags/1"},
    "POST /api/v1/feature-flags/{flag}/kill": lambda _: {"reason": "it burns"},
    "POST /api/v1/feature-flags/{flag}/rollouts": _rollout,
    "POST /api/v1/feature-flags/{flag}/rollouts/{rollout}/abort": _nothing,
    "POST /api/v1/feature-flags/{flag}/rollouts/{rollout}/pause": _nothing,
    "POST /api/v1/feature-flags/{flag}/rollouts/{rollout}/resume": _nothing,
    "POST /api/v1/feature-flags/{flag}/schedules": _schedule,
    "POST /api/v1/feature-flags/{flag}/schedules/{schedule}/cancel": _nothing,
    "POST /api/v1/segments": keyed,
    "PATCH /api/v1/segments/{segment}": _named,
    "POST /api/v1/segments/{segment}/members": _nothing,
    "POST /api/v1/environments": keyed,
    "PATCH /api/v1/environments/{environment}": _named,
    "POST /api/v1/projects": keyed,
    "POST /api/v1/experiments": keyed,
    "POST /api/v1/experiments/schedules/process": _nothing,
    "PATCH /api/v1/experiments/{experiment}": _named,
    "PUT /api/v1/experiments/{experiment}/schedule": lambda _: {"start_date": "2040-01-01T00:00"},
    **{
        f"POST /api/v1/experiments/{{experiment}}/{verb}": _nothing
        for verb in ("archive", "complete", "pause", "resume", "start")
    },
    "POST /api/v1/experiments/plan": lambda _: {"baseline": 0.1, "effect": 0.1},
    "POST /api/v1/events": lambda _: {"events": []},
    "POST /api/v1/identities": lambda _: {"identities": []},
    "POST /api/v1/exposures": lambda _: {"exposures": []},
    "POST /api/v1/metrics": a_metric,
    "PATCH /api/v1/metrics/{metric}": _named,
    "POST /api/v1/layers": keyed,
    "PATCH /api/v1/layers/{layer}": _named,
    "POST /api/v1/holdouts": a_holdout,
    "PATCH /api/v1/holdouts/{holdout}": _named,
    "PATCH /api/v1/reports/{report}": lambda _: {"note": unique("n-")},
    **{
        f"{method} /api{version}/agents{tail}": sends
        for version in ("", "/v1")
        for method, tail, sends in (
            ("POST", "", an_agent),
            ("POST", "/resolve", lambda _: {"agent_types": ["writer"]}),
            ("PATCH", "/{agent}", _named),
        )
    },
    "PUT /api/v1/quotas": lambda _: dict.fromkeys(("vms", "cpu", "memory_gb", "disk_gb")),
    "POST /api/v1/vms": _vm,
    "PATCH /api/v1/vms/{vm}": _named,
    "POST /api/v1/vms/{vm}/actions": lambda _: {"action": "stop"},
    "POST /api/v1/vms/{vm}/snapshots": _named,
    "POST /api/client/metrics": lambda _: {},
    "POST /api/client/register": lambda _: {"appName": "a"},
    "POST /api/frontend": lambda _: {},
    "POST /api/frontend/client/metrics": lambda _: {},
    "POST /api/frontend/client/register": lambda _: {"appName": "a"},
    "POST /api/v1/feature-flags/evaluate": lambda _: {"key": "no-such-flag"},
    "POST /api/v1/feature-flags/evaluate/bulk": lambda _: {},
    "POST /ofrep/v1/evaluate/flags": lambda _: {"context": {"targetingKey": "u"}},
    "POST /ofrep/v1/evaluate/flags/{key}": lambda _: {"context": {"targetingKey": "u"}},
    **{
        f"POST /api/v1/global/{kind}": lambda a, kind=kind: a.home.document(kind) for kind in GLOBAL
    },
    **{
        f"POST /api/v1/global/{kind}/{{id}}": lambda _, kind=kind: (
            {} if kind == "permissions" else {"labels": {"a": "b"}}
        )
        for kind in GLOBAL
    },
    **{
        f"PUT /api/v1/global/{kind}/{{id}}": lambda a, kind=kind: a.home.document(kind, new=False)
        for kind in GLOBAL
    },
}
# What is sent as a file: the smallest picture there is.
PICTURE = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
FILES = {f"POST /api/v1/global/{kind}/{{id}}/upload/avatar" for kind in ("users", "groups")}
# The session that asks ends with these, so they are asked by somebody who is there for that alone.
ENDING = {"POST /api/v1/auth/logout", "POST /api/auth/logout", "DELETE /api/v1/sessions"}
# What would change the asker themselves, and so what comes of everything after it.
NOT_OWN = {
    "DELETE /api/v1/global/users/{id}",
    "PUT /api/v1/tenants/{tenant_id}/users/{user_id}/roles/{role_id}",
    "DELETE /api/v1/tenants/{tenant_id}/users/{user_id}/roles/{role_id}",
    "PUT /api/v1/tenants/{tenant_id}/principals/{principal_id}/roles/{role_id}",
    "DELETE /api/v1/tenants/{tenant_id}/principals/{principal_id}/roles/{role_id}",
}
# What super-permissions say is the whole platform's, where other tests live too: a stale tag keeps them as they are.
STALE = {"PUT /api/v1/global/permissions/{id}", "DELETE /api/v1/global/permissions/{id}"}


def missing(kind):
    """Return the name of a thing that never was."""
    name = kind.partition("/")[2]
    if name == "memberships":
        return f"{unique('u_')}::{unique('g_')}"
    if name == "permissions":
        return "adm_nothing"
    if name:
        return unique(PREFIX.get(name, ""))
    return unique("none-") if kind == "flag_key" else str(uuid4())
