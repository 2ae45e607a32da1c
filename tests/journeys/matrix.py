"""Who may what, tried: every operation as every caller on every state of a thing.

A *caller* is a column of `matrix.md`, an operation a row, a cell what comes of it. A *thing* is what the last `{…}` of
a path names: the caller's `own`, `another`'s of the same tenant, a `foreign` tenant's, a `deleted` one, one that is
`missing`. Things are made as they are needed; one that an operation has changed is not used again.

`RECIPES` says what to send so that an operation succeeds; an operation without one is sent a body that no operation
accepts, which tells as well who gets past its guard (422). `OF` says which kind of thing a `{name}` in a path means.
"""

import asyncio
from base64 import b64decode
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

TABLE = Path(__file__).with_name("matrix.md")
METHODS = ("get", "post", "put", "patch", "delete")
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


# --- the table ------------------------------------------------------------------------------------------------------


def operations(document):
    """Yield (operation, its description) for each; a {kind} is told one by one."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                kinds = GLOBAL if "/{kind}" in path else ("",)
                for kind in kinds:
                    yield f"{method.upper()} {path.replace('{kind}', kind)}", item[method]


def read_table():
    """Return operation → caller → cell."""
    rows = {}
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip()[1:-1].split("|")]
        if len(cells) == len(CALLERS) + 1 and " /" in cells[0]:
            rows[cells[0]] = dict(zip(CALLERS, cells[1:], strict=True))
    return rows


def written(operation, cells):
    """Return a row of the table, ready to be pasted."""
    return f"| `{operation}` | " + " | ".join(cells[caller] for caller in CALLERS) + " |"


def told(codes):
    """Return the cell for what was seen in each state; None where a state cannot be had. Empty: it is open to all.

    `a`: the same in all. `a/b`: own and another's, and all others. `o/a/b`: own, another's, and all others.
    `o/a/f/b`: foreign too. `o/a/f/d/m`: each by itself.
    """
    if codes is None:
        return ""
    for cell in _forms(codes):
        if all(seen in (None, wanted) for seen, wanted in zip(codes, meant(cell), strict=True)):
            return cell
    raise AssertionError(codes)


def _forms(codes):
    own, another, foreign, deleted, missing = codes
    known = [code for code in codes if code is not None]
    first = own if own is not None else another if another is not None else known[0]
    there = another if another is not None else first
    rest = [code for code in (foreign, deleted, missing) if code is not None]
    gone = rest[-1] if rest else there
    abroad = foreign if foreign is not None else gone
    yield f"{known[0]}"
    yield f"{first}/{gone}"
    yield f"{first}/{there}/{gone}"
    yield f"{first}/{there}/{abroad}/{gone}"
    yield f"{first}/{there}/{abroad}/{deleted if deleted is not None else gone}/{gone}"


def meant(cell):
    """Return what a cell says of each state."""
    codes = [int(code) for code in filter(None, cell.split("/"))]
    match len(codes):
        case 0:
            return [None] * 5
        case 1:
            return codes * 5
        case 2:
            return [codes[0], codes[0], *codes[1:] * 3]
        case 3:
            return [*codes[:2], *codes[2:] * 3]
        case 4:
            return [*codes[:3], *codes[3:] * 2]
    return codes


# --- what to send ---------------------------------------------------------------------------------------------------

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


def _agent(_):
    return {"agent_type": unique("a-"), "name": unique("agent ")}


def _user(_):
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


def _metric(_):
    return {**_keyed(None), "kind": "count", "event": "purchase"}


def _holdout(_):
    return {**_keyed(None), "share": 1}


def _keyed(_):
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
    "POST /api/v1/users": _user,
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
    "POST /api/v1/feature-flags": _keyed,
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
    "POST /api/v1/segments": _keyed,
    "PATCH /api/v1/segments/{segment}": _named,
    "POST /api/v1/segments/{segment}/members": _nothing,
    "POST /api/v1/environments": _keyed,
    "PATCH /api/v1/environments/{environment}": _named,
    "POST /api/v1/projects": _keyed,
    "POST /api/v1/experiments": _keyed,
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
    "POST /api/v1/metrics": _metric,
    "PATCH /api/v1/metrics/{metric}": _named,
    "POST /api/v1/layers": _keyed,
    "PATCH /api/v1/layers/{layer}": _named,
    "POST /api/v1/holdouts": _holdout,
    "PATCH /api/v1/holdouts/{holdout}": _named,
    "PATCH /api/v1/reports/{report}": lambda _: {"note": unique("n-")},
    **{
        f"{method} /api{version}/agents{tail}": sends
        for version in ("", "/v1")
        for method, tail, sends in (
            ("POST", "", _agent),
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


# --- things ---------------------------------------------------------------------------------------------------------


@dataclass
class Place:
    """A tenant, a client that may do everything in it, and what lies ready there."""

    id: str
    slug: str
    web: object
    group: str = ""
    project: str = ""
    members: list = field(default_factory=list)
    stock: dict = field(default_factory=lambda: defaultdict(list))
    gone: dict = field(default_factory=dict)
    locks: dict = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def settle(self):
        """Make what things need to be in."""
        self.project, self.group = unique("p-"), unique("g_")
        await self.post("/api/v1/global/projects", {"id": self.project})
        await self.post("/api/v1/global/groups", {"id": self.group})
        for _ in CALLERS:
            self.members.append(unique("sa_"))
            await self.post("/api/v1/global/service_accounts", {"id": self.members[-1]})

    async def post(self, path, body):
        for _ in range(5):
            answer = await self.web.post(path, json=body)
            if answer.status_code != 503:
                break
            await asyncio.sleep(1)
        assert answer.status_code in (200, 201), (path, body, answer.text)
        return answer.json()

    async def token(self, name, password=PASSWORD):
        """Log somebody of this tenant in; return their access token."""
        body = {"username": name, "password": password, "tenant_subdomain": self.slug}
        return (await self.post("/api/v1/auth/login", body))["access_token"]

    async def make(self, kind, owner=None):
        """Make a thing of a kind; return (how a path names it, how other tenants name it)."""
        if kind.startswith("global/"):
            return await self._document(kind.partition("/")[2], owner)
        if kind == "event":
            entries = (await self.web.get("/api/v1/audit-logs?limit=1")).json()["items"]
            return (entries[0]["id"],) * 2
        if kind == "session":
            return (await self._session(),) * 2
        if kind == "report":
            return (await self._report(),) * 2
        path, body, name = {
            "user": ("users", _user(None), "id"),
            "key": ("api-keys", {"name": "k"}, "id"),
            "role": ("roles", {"name": unique("r-"), "permission_ids": ["agent:read"]}, "id"),
            "invitation": (
                "invitations",
                {"email": f"{unique()}@x.example", "role_id": "user"},
                "id",
            ),
            "experiment": ("experiments", _keyed(None), "id"),
            "metric": ("metrics", _metric(None), "id"),
            "layer": ("layers", _keyed(None), "id"),
            "holdout": ("holdouts", _holdout(None), "id"),
            "flag": ("feature-flags", _keyed(None), "id"),
            "segment": ("segments", _keyed(None), "id"),
            "environment": ("environments", _keyed(None), "key"),
            "agent": ("agents", _agent(None), "id"),
        }[kind]
        made = await self.post(f"/api/v1/{path}", body)
        return (made[name],) * 2

    async def _report(self):
        """Save a result that everybody may read; return its id."""
        made, _ = await self.make("experiment")
        body = {"experiment": made, "title": unique("r-"), "access": "tenant"}
        report = await self.post("/api/v1/reports", body)
        await self.web.patch(f"/api/v1/reports/{report['id']}", json={"approved": True})
        return report["id"]

    async def _session(self):
        """Log somebody in; return their session, which is nobody else's."""
        body = _user(None)
        await self.post("/api/v1/users", body)
        headers = {"authorization": f"Bearer {await self.token(body['username'])}"}
        found = await self.web.get("/api/v1/sessions", headers=headers)
        return found.json()["items"][0]["id"]

    async def _document(self, kind, owner):
        acl = {"acl": {"list": [{"permissions": 127, "principals": [owner]}]}} if owner else {}
        if kind == "permissions":
            return "usr_create_groups", None
        if kind != "memberships":
            body = {**self.document(kind), **acl}
        else:
            member = unique("sa_")
            await self.post("/api/v1/global/service_accounts", {"id": member})
            group = self.group
            if owner:
                group = unique("g_")
                await self.post("/api/v1/global/groups", {"id": group, **acl})
            body = {"principal": member, "group": group}
        made = await self.post(f"/api/v1/global/{kind}", body)
        return made["id"], made["uuid"]

    def document(self, kind, *, new=True):
        """Return a body that makes a thing of a kind, or replaces one that is named by the path."""
        called = {"id": unique(PREFIX.get(kind, ""))} if new else {}
        match kind:
            case "users":
                return {**called, "email": f"{unique()}@x.example"}
            case "pipeline_accounts":
                return {**called, "project": self.project}
            case "memberships":
                if not new:
                    return {}
                return {"principal": self.members.pop(), "group": self.group}
            case "permissions":
                return {"id": "adm_more"} if new else {"principals": []}
        return called

    async def take(self, kind):
        """Return a thing that nobody else uses meanwhile."""
        return self.stock[kind].pop() if self.stock[kind] else await self.make(kind)

    async def deleted(self, kind):
        """Return a thing that was deleted; one of each kind is enough."""
        async with self.locks[kind]:
            if kind not in self.gone:
                here, abroad = await self.make(kind)
                where = {
                    "user": "users",
                    "key": "api-keys",
                    "role": "roles",
                    "invitation": "invitations",
                    "experiment": "experiments",
                    "metric": "metrics",
                    "layer": "layers",
                    "holdout": "holdouts",
                    "report": "reports",
                    "flag": "feature-flags",
                    "segment": "segments",
                    "environment": "environments",
                    "agent": "agents",
                }.get(kind, kind)
                answer = await self.web.delete(f"/api/v1/{where}/{here}")
                assert answer.status_code == 204, answer.text
                self.gone[kind] = abroad
        return self.gone[kind]


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


@dataclass
class Asker:
    """A column of the table: a client, and what is their own."""

    name: str
    web: object
    home: Place
    abroad: Place
    id: str = ""
    handle: str = ""
    spare: object = None  # makes a client of somebody like them, whose sessions may end
    login: object = None  # logs them in once more; returns the session

    async def thing(self, kind, state):
        """Return (how a path names a thing in this state, what gives it back); None if it cannot be had."""
        if state == "missing":
            return missing(kind), None
        if kind == "organization":
            places = {"another": self.home.id, "foreign": self.abroad.id}
            return (places[state], None) if state in places else None
        if kind in ("vm", "flag_key", "template", "snapshot"):
            return None
        if state == "deleted":
            if kind in ("event", "session", "global/permissions"):
                return None
            return await self.home.deleted(kind), None
        if state == "own":
            return await self._own(kind)
        place = self.home if state == "another" else self.abroad
        if kind == "global/permissions" and state == "foreign":
            return None
        found = await place.take(kind)
        return found[state == "foreign"], lambda: place.stock[kind].append(found)

    async def _own(self, kind):
        if not self.handle:
            return None
        if kind in ("user", "global/users"):
            return (self.id if kind == "user" else self.handle), None
        if kind == "session":
            return await self.login(), None
        if kind == "key":
            made = await self.web.post("/api/v1/api-keys", json={"name": "k", "kind": "management"})
            return (made.json()["id"], None) if made.status_code == 201 else None
        if kind == "agent":
            made = await self.web.post("/api/v1/agents", json=_agent(None))
            return (made.json()["id"], None) if made.status_code == 201 else None
        if kind.startswith("global/") and kind != "global/permissions":
            return (await self.home.make(kind, self.handle))[0], None
        return None

    async def try_all(self, operation, description):
        """Return what comes of an operation, in each state of its thing."""
        if description["security"] == []:
            return [await self._ask(operation, description)] * 5 if self.name == "nobody" else None
        if operation in ENDING and self.spare:
            return [await self._ask(operation, description, web=await self.spare())] * 5
        if (kind := kind_of(operation)) is None or self.name == "nobody":
            return [await self._ask(operation, description)] * 5
        return [await self._state(operation, description, kind, state) for state in STATES]

    async def _state(self, operation, description, kind, state):
        if state == "own" and (operation in NOT_OWN or self._would_change_root(operation, kind)):
            return None
        if (found := await self.thing(kind, state)) is None:
            return None
        name, give_back = found
        status = await self._ask(operation, description, name)
        changed = status < 400 and not operation.startswith("GET ")
        if give_back and not changed:
            give_back()
        return status

    def _would_change_root(self, operation, kind):
        """Tell whether the one administrator whom all tests share would change themselves."""
        return self.name in PLATFORM and "user" in kind and not operation.startswith("GET ")

    async def _ask(self, operation, description, thing="", web=None):
        method, path = operation.split(" ")
        path = self._filled(operation, path, thing)
        sends = RECIPES.get(operation)
        more = {"json": sends(self) if sends else UNKNOWN}
        if method == "GET" or (method == "DELETE" and "requestBody" not in description):
            more = {}
        if operation in FILES:
            more = {"files": {"file": ("me.png", PICTURE, "image/png")}}
        if operation in STALE:
            more["headers"] = {"if-match": '"99999"'}
        return await status_of(web or self.web, method, path, **more)

    def _filled(self, operation, path, thing):
        special = THING.get(operation)
        parts = path.split("/")
        holes = [n for n, part in enumerate(parts) if part.startswith("{")]
        for n in holes:
            name = parts[n].strip("{}")
            is_thing = name == special[0] if special else n == thing_at(parts)
            if is_thing and thing:
                parts[n] = thing
            elif special and n == holes[-1]:
                parts[n] = special[1]
            elif OF.get(name) == "organization":
                parts[n] = self.home.id
            else:
                parts[n] = FIXED.get(name) or missing(OF.get(name, ""))
        return "/".join(parts)


async def status_of(web, method, path, **more):
    """Ask until the answer is not that one asks too much; return its status. Streams are not waited for."""
    for _ in range(40):
        async with web.stream(method, path, **more) as answer:
            status = answer.status_code
            busy = status == 503 and b"database_unavailable" in await answer.aread()
        if status != 429 and not busy:
            break
        await asyncio.sleep(0.25)
    return status


def thing_at(parts):
    """Return which part of a path names its thing: the last that is one."""
    names = [n for n, part in enumerate(parts) if part.startswith("{")]
    own = [n for n in names if parts[n].strip("{}") in OF or parts[n] == "{id}"]
    return own[-1] if own else None


def kind_of(operation):
    """Return which kind of thing an operation is about; None if about none."""
    if operation in THING:
        return OF[THING[operation][0]]
    parts = operation.split(" ")[1].split("/")
    if (at := thing_at(parts)) is None:
        return None
    name = parts[at].strip("{}")
    return f"global/{parts[at - 1]}" if name == "id" and "global" in parts else OF.get(name)
