"""Where the things of the matrix are made: a tenant, and what lies ready in it."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from tests.journeys import matrix


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
        self.project, self.group = matrix.unique("p-"), matrix.unique("g_")
        await self.post("/api/v1/global/projects", {"id": self.project})
        await self.post("/api/v1/global/groups", {"id": self.group})
        for _ in matrix.CALLERS:
            self.members.append(matrix.unique("sa_"))
            await self.post("/api/v1/global/service_accounts", {"id": self.members[-1]})

    async def post(self, path, body):
        for _ in range(5):
            answer = await self.web.post(path, json=body)
            if answer.status_code != 503:
                break
            await asyncio.sleep(1)
        assert answer.status_code in (200, 201), (path, body, answer.text)
        return answer.json()

    async def token(self, name, password=matrix.PASSWORD):
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
            "user": ("users", matrix.a_user(None), "id"),
            "key": ("api-keys", {"name": "k"}, "id"),
            "role": (
                "roles",
                {"name": matrix.unique("r-"), "permission_ids": ["agent:read"]},
                "id",
            ),
            "invitation": (
                "invitations",
                {"email": f"{matrix.unique()}@x.example", "role_id": "user"},
                "id",
            ),
            "experiment": ("experiments", matrix.keyed(None), "id"),
            "metric": ("metrics", matrix.a_metric(None), "id"),
            "layer": ("layers", matrix.keyed(None), "id"),
            "holdout": ("holdouts", matrix.a_holdout(None), "id"),
            "flag": ("feature-flags", matrix.keyed(None), "id"),
            "segment": ("segments", matrix.keyed(None), "id"),
            "environment": ("environments", matrix.keyed(None), "key"),
            "agent": ("agents", matrix.an_agent(None), "id"),
        }[kind]
        made = await self.post(f"/api/v1/{path}", body)
        return (made[name],) * 2

    async def _report(self):
        """Save a result that everybody may read; return its id."""
        made, _ = await self.make("experiment")
        body = {"experiment": made, "title": matrix.unique("r-"), "access": "tenant"}
        report = await self.post("/api/v1/reports", body)
        await self.web.patch(f"/api/v1/reports/{report['id']}", json={"approved": True})
        return report["id"]

    async def _session(self):
        """Log somebody in; return their session, which is nobody else's."""
        body = matrix.a_user(None)
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
            member = matrix.unique("sa_")
            await self.post("/api/v1/global/service_accounts", {"id": member})
            group = self.group
            if owner:
                group = matrix.unique("g_")
                await self.post("/api/v1/global/groups", {"id": group, **acl})
            body = {"principal": member, "group": group}
        made = await self.post(f"/api/v1/global/{kind}", body)
        return made["id"], made["uuid"]

    def document(self, kind, *, new=True):
        """Return a body that makes a thing of a kind, or replaces one that is named by the path."""
        called = {"id": matrix.unique(matrix.PREFIX.get(kind, ""))} if new else {}
        match kind:
            case "users":
                return {**called, "email": f"{matrix.unique()}@x.example"}
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
