"""What iam refuses, through the gateway: each a clear problem document, and afterwards everything is as it was."""

import asyncio
from uuid import uuid4

import httpx
import pytest

pytestmark = pytest.mark.journey

PASSWORD = "correct horse battery staple"
G = "/api/v1/global"


async def state(org):
    """Return everything of a tenant that can be read, but for what reading itself changes."""
    paths = ["users", "roles", "api-keys", "invitations", f"organizations/{org.id}"]
    paths += [f"global/{k}" for k in ("users", "groups", "projects", "memberships")]
    paths += [f"global/{k}" for k in ("service_accounts", "pipeline_accounts")]
    answers = await asyncio.gather(*(org.web.get(f"/api/v1/{p}") for p in paths))
    assert {a.status_code for a in answers} == {200}
    return [_kept(a.json()) for a in answers]


def _kept(said):
    """Return a document without when something was last used."""
    if isinstance(said, list):
        return [_kept(part) for part in said]
    if isinstance(said, dict):
        return {k: _kept(v) for k, v in said.items() if k not in ("last_used_at", "last_seen_at")}
    return said


@pytest.fixture
async def refuses(org):
    """Send what must be refused; check the document, and that nothing changed."""

    async def refuse(method, path, body, status, *, web=None, code=None, says=""):
        before = await state(org)
        more = {"json": body} if body is not None else {}
        answer = await (web or org.web).request(method, path, **more)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        said = answer.json()
        assert (said["status"], said["error"]["status"]) == (status, status)
        assert said["request_id"] == answer.headers["x-request-id"]
        assert says in said["detail"], said["detail"]
        assert code is None or said["code"] == code, said
        assert await state(org) == before
        return said

    return refuse


@pytest.mark.parametrize(
    ("kind", "id_"),
    [
        ("users", "ann"),
        ("users", "g_ann"),
        ("groups", "u_ops"),
        ("groups", "g_"),
        ("groups", "g_a b"),
        ("groups", "G_ops"),
        ("groups", "g_ops'; DROP TABLE entity --"),
        ("groups", f"g_{'x' * 64}"),
        ("service_accounts", "pa_x"),
        ("pipeline_accounts", "sa_x"),
        ("projects", "g_-/x"),
        ("groups", "g_\u0430bc"),
        ("groups", "g_a\u202eb"),
        ("groups", ""),
    ],
)
async def test_an_id_with_a_wrong_prefix_or_form(refuses, kind, id_):
    await refuses("POST", f"{G}/{kind}", {"id": id_}, 422)


@pytest.mark.parametrize(
    "acl",
    [
        {"list": [{"permissions": 1, "principals": ["u_x"]}] * 1001},
        {"list": [{"permissions": 128, "principals": ["u_x"]}]},
        {"list": [{"permissions": -1, "principals": ["u_x"]}]},
        {"list": [{"permissions": True, "principals": ["u_x"]}]},
        {"list": [{"permissions": 1, "principals": []}]},
        {"list": [{"permissions": 1, "principals": ["u_nobody"]}]},
        {"list": [{"permissions": 1, "principals": ["projects"]}]},
        {"list": [{"permissions": 1, "principals": ["u_x"], "deny": True}]},
        {"list": "everybody"},
        [],
    ],
    ids=lambda acl: str(acl)[:40],
)
async def test_an_acl_that_cannot_be(refuses, acl):
    said = await refuses("POST", f"{G}/groups", {"id": "g_listed", "acl": acl}, 422)
    assert said["errors"] or said["code"].startswith("iam.gitops_bad_")


async def test_a_thousand_entries_are_taken_and_one_more_is_not(org, refuses):
    boss = (await org.web.get("/api/v1/users/me")).json()["id"]
    entry = {"permissions": 1, "principals": [boss]}
    body = {"id": "g_long", "acl": {"list": [entry] * 999}}  # and one that its maker gets
    assert (await org.web.post(f"{G}/groups", json=body)).status_code == 201
    body = {"acl": {"list": [entry] * 1001}}
    await refuses("POST", f"{G}/groups/g_long", body, 422, says="1000")


async def test_a_group_in_itself_and_a_membership_of_nothing(org, refuses):
    await org.web.post(f"{G}/groups", json={"id": "g_one"})
    for body in (
        {"principal": "g_one", "group": "g_one"},
        {"principal": "g_none", "group": "g_one"},
        {"principal": "u_none", "group": "g_one"},
        {"principal": "g_one"},
        {"principal": "g_one", "group": "sa_one"},
        {"id": "g_one::g_one::g_one"},
    ):
        await refuses("POST", f"{G}/memberships", body, 422)
    absent = {"principal": "g_one", "group": "g_none"}
    await refuses("POST", f"{G}/memberships", absent, 404)


class TestEscalation:
    @pytest.fixture
    async def clerk(self, org):
        """An organization's administrator: who may give roles, but holds no flags."""
        return await org.person("org_admin")

    async def test_nobody_gives_invites_or_mints_more_than_they_hold(self, org, clerk, refuses):
        me = (await clerk.get("/api/v1/users/me")).json()["id"]
        body = {"email": f"{uuid4().hex}@x.example", "password": PASSWORD}
        role = {"name": "mighty", "permission_ids": ["flag:delete"]}
        tries = [
            ("POST", "/api/v1/roles", role),
            ("POST", "/api/v1/users", {**body, "roles": ["admin"]}),
            ("PATCH", f"/api/v1/users/{me}", {"roles": ["admin"]}),
            ("PUT", f"/api/v1/tenants/{org.id}/users/{me}/roles/developer", {}),
            ("POST", f"/api/v1/tenants/{org.id}/users/{me}/roles", {"role_id": "super_admin"}),
            ("PUT", "/api/v1/roles/admin/users", {"user_ids": [me]}),
            ("POST", "/api/v1/invitations", {"email": body["email"], "role_id": "admin"}),
            ("POST", "/api/v1/api-keys", {"name": "k", "scopes": ["flag:delete"]}),
        ]
        for method, path, sent in tries:
            await refuses(method, path, sent, 422 if "api-keys" in path else 403, web=clerk)
        key = {"name": "k", "kind": "management", "scopes": ["flag:delete"]}
        await refuses("POST", "/api/v1/api-keys", key, 403, web=clerk)

    async def test_a_role_does_not_grow_by_who_does_not_hold_what_it_gets(
        self, org, clerk, refuses
    ):
        made = await org.web.post(
            "/api/v1/roles", json={"name": "ours", "permission_ids": ["agent:read"]}
        )
        path = f"/api/v1/roles/{made.json()['id']}"
        more = {"permission_ids": ["agent:read", "flag:delete"]}
        await refuses("PUT", f"{path}/permissions", more, 403, web=clerk)
        await refuses("POST", f"{path}/permissions", more, 403, web=clerk)
        await refuses("PUT", f"{path}/permissions/flag:delete", None, 403, web=clerk)

    async def test_nobody_lowers_or_ends_themselves(self, org, refuses):
        me = (await org.web.get("/api/v1/users/me")).json()["id"]
        second = await org.person("admin")
        assert (await second.get("/api/v1/users/me")).status_code == 200
        path = f"/api/v1/users/{me}"
        await refuses("PATCH", path, {"roles": ["viewer"]}, 400)
        await refuses("PATCH", path, {"is_active": False}, 400)
        await refuses("DELETE", path, None, 400)

    @pytest.mark.parametrize(
        "extra",
        [
            {"is_superuser": True},
            {"role": "super_admin"},
            {"tenant_id": str(uuid4())},
            {"id": str(uuid4())},
            {"owner_id": str(uuid4())},
        ],
        ids=lambda extra: next(iter(extra)),
    )
    async def test_nobody_is_made_mighty_by_a_field(self, refuses, extra):
        body = {"email": f"{uuid4().hex}@x.example", "password": PASSWORD, **extra}
        await refuses("POST", "/api/v1/users", body, 422)

    async def test_an_acl_gives_no_more_than_its_giver_may(self, org, refuses):
        name = f"p{uuid4().hex[:8]}"
        body = {"email": f"{name}@x.example", "username": name, "password": PASSWORD}
        await org.web.post("/api/v1/users", json={**body, "roles": ["user"]})
        login = {"username": name, "password": PASSWORD, "tenant_subdomain": org.slug}
        token = (await org.web.post("/api/v1/auth/login", json=login)).json()["access_token"]
        acl = {"list": [{"permissions": 17, "principals": [f"u_{name}"]}]}
        await org.web.post(f"{G}/groups", json={"id": "g_mine", "acl": acl})
        mine = {"list": [{"permissions": 127, "principals": [f"u_{name}"]}]}
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=org.web.base_url, headers=headers) as web:
            before = (await web.get(f"{G}/groups/g_mine")).json()
            await refuses("POST", f"{G}/groups/g_mine", {"acl": mine}, 403, web=web)
            assert (await web.get(f"{G}/groups/g_mine")).json() == before


class TestTheLastAdministrator:
    async def test_stays_whatever_way_is_tried(self, org, root, refuses):
        me = (await org.web.get("/api/v1/users/me")).json()["id"]
        key = await org.key(kind="management")
        headers = {"x-api-key": key}
        async with httpx.AsyncClient(base_url=org.web.base_url, headers=headers) as web:
            while (await web.get("/api/v1/users")).status_code == 401:
                await asyncio.sleep(0.02)
            tries = [
                ("DELETE", f"/api/v1/users/{me}", None),
                ("PATCH", f"/api/v1/users/{me}", {"is_active": False}),
                ("PATCH", f"/api/v1/users/{me}", {"roles": ["viewer"]}),
                ("DELETE", f"/api/v1/organizations/{org.id}/users/{me}", None),
                ("DELETE", f"{G}/users/{me}", None),
            ]
            for method, path, body in tries:
                for who in (web, root):
                    await refuses(method, path, body, 409, web=who, code="iam.last_admin")
            path = f"/api/v1/tenants/{org.id}/users/{me}/roles"
            last, *others = (await org.web.get("/api/v1/users/me")).json()["roles"]
            for role in others:
                assert (await root.delete(f"{path}/{role}")).status_code == 204
            await refuses("DELETE", f"{path}/{last}", None, 409, web=root, code="iam.last_admin")


class TestTwins:
    """One name in two spellings: composed, decomposed, wide, with another case."""

    @pytest.mark.parametrize(
        ("first", "twin"),
        [("Caf\u00e9", "Cafe\u0301"), ("Ops", "OPS"), ("\u00c5ngstr", "\u212bngstr")],
    )
    async def test_a_role_that_reads_like_another_is_taken(self, org, refuses, first, twin):
        body = {"permission_ids": ["flag:read"]}
        made = await org.web.post("/api/v1/roles", json={**body, "name": first})
        assert made.status_code == 201, made.text
        await refuses("POST", "/api/v1/roles", {**body, "name": twin}, 409)

    async def test_nobody_makes_a_role_that_reads_like_a_system_role(self, refuses):
        for name in ("admin", "ADMIN", "Administrator", "\uff21dmin", "super_admin"):
            body = {"name": name, "permission_ids": ["flag:read"]}
            await refuses("POST", "/api/v1/roles", body, 409)

    @pytest.mark.parametrize("twin", ["ANN@X.example", "ann@x.EXAMPLE"])
    async def test_an_address_in_another_case_is_the_same(self, org, refuses, twin):
        body = {"email": "ann@x.example", "password": PASSWORD}
        assert (await org.web.post("/api/v1/users", json=body)).status_code == 201
        await refuses("POST", "/api/v1/users", {**body, "email": twin}, 409)

    async def test_a_key_in_another_case_is_the_same(self, org, refuses):
        assert (await org.web.post(f"{G}/groups", json={"id": "g_Ops"})).status_code == 201
        await refuses("POST", f"{G}/groups", {"id": "g_oPS"}, 409)

    @pytest.mark.parametrize("name", ["a\u202eb", "a\u200bb", "\u0000", "a\nb", "\ud800"])
    async def test_a_name_that_hides_something_is_refused(self, refuses, name):
        body = {"name": name, "permission_ids": ["flag:read"]}
        try:
            await refuses("POST", "/api/v1/roles", body, 422)
        except UnicodeEncodeError:
            pytest.skip("this client cannot even send half of a surrogate pair")


class TestTokens:
    async def test_a_hundred_refreshes_of_one_token_have_one_successor(self, org, url):
        body = {"refresh_token": org.refresh_token}
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as web:

            async def refreshed():
                for _ in range(200):
                    answer = await web.post("/api/v1/auth/refresh", json=body)
                    if answer.status_code != 429:
                        return answer
                    await asyncio.sleep(0.1)
                raise AssertionError("still asked to wait")

            answers = await asyncio.gather(*(refreshed() for _ in range(100)))
            assert {a.status_code for a in answers} == {200}, [a.text for a in answers][:1]
            [successor] = {a.json()["refresh_token"] for a in answers}
            assert successor != org.refresh_token
            on = await web.post("/api/v1/auth/refresh", json={"refresh_token": successor})
            assert on.status_code == 200

    @pytest.mark.parametrize("token", ["", "x", "x" * 43, "x" * 600, "\u00e9" * 43, None, 1])
    async def test_a_refresh_token_that_is_none(self, org, url, token):
        async with httpx.AsyncClient(base_url=url) as web:
            answer = await web.post("/api/v1/auth/refresh", json={"refresh_token": token})
        assert answer.status_code in (401, 422)
        assert answer.headers["content-type"] == "application/problem+json"
        assert (await org.web.get("/api/v1/users/me")).status_code == 200

    async def test_what_was_logged_out_does_not_come_back(self, org, url, eventually):
        assert (await org.web.post("/api/v1/auth/logout")).status_code == 200

        async def out():
            return (await org.web.get("/api/v1/users/me")).status_code == 401

        await eventually(out, 2)
        async with httpx.AsyncClient(base_url=url) as web:
            body = {"refresh_token": org.refresh_token}
            for path in ("/api/v1/auth/refresh", "/api/auth/refresh"):
                assert (await web.post(path, json=body)).status_code == 401
