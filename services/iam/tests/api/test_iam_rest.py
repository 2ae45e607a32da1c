from uuid import uuid4

import pytest

LOGINS = [f"{base}{path}" for base in ("/api/v1", "/api") for path in ("/login", "/auth/login")]
FOUNDING = {
    "name": "Acme",
    "subdomain": "acme",
    "admin_email": "boss@acme.test",
    "admin_password": "long enough",
}


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", roles=["admin"])


@pytest.fixture
def ann(iam, boss):
    return iam.user(iam.world.tenants[boss.tenant], username="ann")


@pytest.mark.parametrize("path", LOGINS)
@pytest.mark.parametrize("name", [{"user": "ann"}, {"username": "ann"}, {"email": "ann@acme.test"}])
async def test_a_login_answers_every_clients_names_and_a_cookie(web, ann, make, path, name):
    answer = await web.post(path + "/", json={**name, "password": make.password})
    said = answer.json()
    assert answer.status_code == 200
    assert said["token"] == said["access_token"]
    assert (said["token_type"], said["expires_in"]) == ("bearer", 600)
    assert said["organization_subdomain"] == "acme"
    assert answer.headers["cache-control"] == "no-store"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


@pytest.mark.parametrize(
    "body",
    [
        {"password": "x"},
        {"user": "a", "username": "b", "password": "x"},
        {"user": "ann"},
        {"user": 7, "password": "x"},
        {"user": "ann", "password": "x", "role": "admin"},
        {"user": "a" * 255, "password": "x"},
        {"user": "ann", "password": ""},
        [],
        None,
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/login", "/api/v1/auth/token"])
async def test_a_login_that_is_none_is_422(web, ann, path, body):
    answer = await web.post(path, json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_wrong_login_is_401_and_says_nothing_about_the_account(web, ann):
    answers = [
        await web.post("/api/v1/login", json={"user": user, "password": "wrong"})
        for user in ("ann", "nobody")
    ]
    bodies = [{**a.json(), "request_id": ""} for a in answers]
    assert [a.status_code for a in answers] == [401, 401]
    assert bodies[0] == bodies[1]
    assert bodies[0]["error"]["type"] == "authorization_error"


async def test_too_many_wrong_logins_are_429_with_a_time(web, ann):
    for _ in range(5):
        await web.post("/api/v1/login", json={"user": "ann", "password": "wrong"})
    answer = await web.post("/api/v1/login", json={"user": "ann", "password": "wrong"})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_the_token_endpoint_takes_a_form_or_json_and_two_grants(web, ann, make):
    body = {"grant_type": "password", "username": "ann", "password": make.password, "scope": ""}
    form = await web.post("/api/v1/auth/token", data=body)
    assert form.status_code == 200
    body.pop("scope")
    assert (await web.post("/api/v1/auth/token", json=body)).status_code == 200
    token = form.json()["refresh_token"]
    for send in ({"data": None}, {"json": None}):
        grant = {"grant_type": "refresh_token", "refresh_token": token}
        answer = await web.post("/api/v1/auth/token", **dict.fromkeys(send, grant))
        assert answer.status_code == 200
    other = await web.post("/api/v1/auth/token", data={"grant_type": "implicit"})
    assert (other.status_code, other.json()["code"]) == (400, "iam.unsupported_grant_type")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("username=ann&password=%00", 422),
        ("username=%00&password=x", 422),
        ("username=ann&username=bob&password=x", 422),
        ("username=ann&password=%ff", 401),
    ],
)
async def test_a_form_with_tricks_in_it_is_refused(web, ann, sent, status):
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await web.post("/api/v1/auth/token", content=sent, headers=headers)
    assert answer.status_code == status, answer.text


async def test_the_token_endpoint_says_which_kinds_of_body_it_takes(web):
    headers = {"content-type": "text/plain"}
    answer = await web.post("/api/v1/auth/token", content="x", headers=headers)
    assert answer.status_code == 415
    assert "application/x-www-form-urlencoded" in answer.json()["detail"]


@pytest.mark.parametrize("base", ["/api/v1", "/api"])
async def test_refresh_me_and_logout_answer_at_both_bases(web, ann, asking, make, base):
    login = await web.post("/api/login", json={"user": "ann", "password": make.password})
    token = login.json()["refresh_token"]
    refreshed = await web.post(f"{base}/auth/refresh", json={"refresh_token": token})
    assert refreshed.status_code == 200
    me = await web.get(f"{base}/auth/me", headers=asking(ann))
    assert me.json()["organization_subdomain"] == "acme"
    out = await web.post(f"{base}/auth/logout", headers=asking(ann))
    assert out.status_code == 200
    assert 'token=""' in out.headers["set-cookie"]


@pytest.mark.parametrize("base", ["/api/v1", "/api"])
async def test_an_organization_is_registered_once(web, iam, base):
    body = {**FOUNDING, "address": {"city": "Łódź"}, "organization_email": "o@acme.test"}
    made = await web.post(f"{base}/organizations/register", json=body)
    said = made.json()
    assert made.status_code == 201
    assert said["organization"]["subdomain"] == "acme"
    assert said["organization"]["address"] == {"city": "Łódź"}
    assert said["admin"]["role"] == "admin"
    assert said["access_token"]
    again = await web.post(f"{base}/organizations/register", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "iam.tenant_taken")


@pytest.mark.parametrize(
    "wrong",
    [
        {"subdomain": "-a"},
        {"subdomain": "a b"},
        {"admin_email": "no"},
        {"admin_password": "12345"},
        {"admin_username": "a@b"},
        {"is_active": False},
        {"address": {"a": 1}},
        {"name": ""},
    ],
)
async def test_a_registration_with_something_wrong_makes_nothing(web, iam, wrong):
    answer = await web.post("/api/v1/organizations/register", json={**FOUNDING, **wrong})
    assert answer.status_code == 422
    assert iam.world.tenants == {}


async def test_a_user_is_made_read_changed_and_deleted(web, boss, asking):
    web.headers.update(asking(boss))
    body = {"email": "n@acme.test", "password": "long enough", "roles": ["viewer"]}
    made = await web.post("/api/v1/users", json=body)
    assert made.status_code == 201
    path = made.headers["location"]
    assert made.json()["roles"] == ["viewer"]
    assert "password" not in made.text
    read = await web.get(path)
    assert read.json() == made.json()
    seen = await web.get(path, headers={"if-none-match": read.headers["etag"]})
    assert seen.status_code == 304
    stale = await web.patch(path, json={"first_name": "N"}, headers={"if-match": '"9"'})
    assert stale.status_code == 412
    changed = await web.patch(
        path, json={"first_name": "N", "roles": ["user"]}, headers={"if-match": '"1"'}
    )
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert changed.json()["first_name"] == "N"
    assert (await web.delete(path)).status_code == 204
    assert (await web.get(path)).status_code == 404


async def test_users_are_listed_in_pages_and_by_cursor(web, iam, boss, asking):
    for n in range(4):
        iam.user(iam.world.tenants[boss.tenant], f"u{n}@acme.test")
    web.headers.update(asking(boss))
    page = (await web.get("/api/v1/users?page=2&limit=2")).json()
    assert (page["total"], page["page"], len(page["items"])) == (5, 2, 2)
    cursor = (await web.get("/api/v1/users?limit=3&sort=-email")).json()["next_cursor"]
    rest = (await web.get(f"/api/v1/users?limit=3&sort=-email&cursor={cursor}")).json()
    assert (rest["has_more"], len(rest["items"])) == (False, 2)
    assert (await web.get("/api/v1/users?search=u3")).json()["total"] == 1
    assert (await web.get("/api/v1/users?sort=password")).status_code == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"is_superuser": True},
        {"role": "admin"},
        {"tenant_id": str(uuid4())},
        {"is_active": 0},
        {"is_active": None},
        {"roles": []},
        {"roles": ["emperor"]},
        {"email": "no"},
    ],
)
async def test_a_change_of_a_user_takes_nothing_that_it_should_not(web, boss, ann, asking, wrong):
    answer = await web.patch(f"/api/v1/users/{ann.id}", json=wrong, headers=asking(boss))
    assert answer.status_code == 422


async def test_one_cannot_disable_oneself(web, boss, asking):
    for wrong in ({"is_active": False}, {"roles": ["user"]}):
        answer = await web.patch(f"/api/v1/users/{boss.id}", json=wrong, headers=asking(boss))
        assert answer.status_code == 400


PROTECTED = [
    ("POST", "/api/v1/users"),
    ("PATCH", "/api/v1/users/no-uuid"),
    ("DELETE", "/api/v1/users/no-uuid"),
    ("POST", "/api/v1/users/no-uuid/password-reset"),
    ("GET", "/api/v1/roles"),
    ("GET", "/api/v1/permissions"),
]
FOR_ANYBODY = [
    ("GET", "/api/v1/users"),
    ("GET", "/api/v1/users/no-uuid"),
    ("GET", "/api/v1/users/me"),
    ("PATCH", "/api/v1/users/me"),
    ("POST", "/api/v1/users/me/password"),
    ("GET", "/api/v1/tenants"),
    ("GET", "/api/v1/sessions"),
    ("DELETE", "/api/v1/sessions"),
    ("GET", "/api/v1/api-keys"),
    ("POST", "/api/v1/api-keys"),
    ("GET", "/api/auth/me"),
    ("POST", "/api/v1/auth/logout"),
]


@pytest.mark.parametrize(("method", "path"), [*PROTECTED, *FOR_ANYBODY])
async def test_nobody_gets_in_without_a_credential(web, method, path):
    assert (await web.request(method, path)).status_code == 401


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_without_the_permission_it_is_403_before_anything_is_looked_at(
    web, ann, asking, method, path
):
    answer = await web.request(method, path, headers=asking(ann))
    assert answer.status_code == 403
    assert answer.json()["detail"].startswith("Insufficient permissions: ")


async def test_another_tenants_user_looks_exactly_like_none(web, iam, boss, asking):
    stranger = iam.user(iam.tenant("other"), "s@x.y")
    answers = [
        (await web.get(f"/api/v1/users/{id_}", headers=asking(boss)))
        for id_ in (stranger.id, uuid4())
    ]
    bodies = [{**a.json(), "request_id": "", "instance": ""} for a in answers]
    assert [a.status_code for a in answers] == [404, 404]
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("id_", ["1%20OR%201=1", "x", "'--"])
async def test_an_id_that_is_none_is_422(web, boss, asking, id_):
    for kind in ("users", "api-keys", "sessions"):
        answer = await web.get(f"/api/v1/{kind}/{id_}", headers=asking(boss))
        assert answer.status_code == 422


async def test_a_key_is_shown_once_rotated_and_revoked(web, boss, asking):
    web.headers.update(asking(boss))
    made = await web.post("/api/v1/api-keys", json={"name": "ci"})
    said = made.json()
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.headers["cache-control"] == "no-store"
    assert said["scopes"] == ["flag:evaluate"]
    path = made.headers["location"]
    read = await web.get(path)
    assert "key" not in read.json()
    assert said["key"] not in (await web.get("/api/v1/api-keys")).text
    rotated = (await web.post(f"{path}/rotate")).json()
    assert rotated["key"] != said["key"]
    assert len(rotated["versions"]) == 2
    assert rotated["versions"][0]["expires_at"]
    assert (await web.delete(path, headers={"if-match": '"1"'})).status_code == 412
    assert (await web.delete(path)).status_code == 204
    assert (await web.get(path)).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"kind": "root"},
        {"scopes": ["flag:explode"]},
        {"scopes": []},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": 1},
        {"environment": "Prod uction"},
        {"owner_id": str(uuid4())},
    ],
)
async def test_a_key_with_something_wrong_is_not_made(web, iam, boss, asking, wrong):
    body = {"name": "k", **wrong}
    assert (await web.post("/api/v1/api-keys", json=body, headers=asking(boss))).status_code == 422
    assert iam.world.keys == {}


async def test_roles_permissions_and_tenants_are_bare_lists(web, boss, asking):
    web.headers.update(asking(boss))
    roles = (await web.get("/api/v1/roles")).json()
    assert {"admin", "viewer"} <= {role["name"] for role in roles}
    assert all(role["is_system_role"] for role in roles)
    assert next(r for r in roles if r["id"] == "admin")["user_count"] == 1
    permissions = (await web.get("/api/v1/permissions")).json()
    assert {"id": "flag:toggle", "name": "flag:toggle", "module": "flag"} in permissions
    (tenant,) = (await web.get("/api/v1/tenants")).json()
    assert tenant["slug"] == "acme"


async def test_one_sees_and_ends_ones_sessions(web, iam, ann, asking, make):
    await web.post("/api/login", json={"user": "ann", "password": make.password})
    (session,) = iam.world.sessions
    web.headers.update(asking(ann, credential=str(session)))
    listed = (await web.get("/api/v1/sessions")).json()
    assert [(s["id"], s["current"]) for s in listed["items"]] == [(str(session), True)]
    (shown,) = listed["items"]
    assert (shown["user_id"], shown["device"], shown["amr"]) == (str(ann.id), "Python", ["pwd"])
    assert shown["auth_time"] == shown["created_at"]
    assert (await web.delete("/api/v1/sessions?keep_current=true")).status_code == 204
    assert (await web.get("/api/v1/sessions?user_id=no-uuid")).status_code == 422
    got = await web.get(f"/api/v1/sessions/{session}")
    known, old = got.headers["etag"], {"if-match": '"1"'}
    again = await web.get(f"/api/v1/sessions/{session}", headers={"if-none-match": known})
    late = await web.delete(f"/api/v1/sessions/{session}", headers=old)
    assert (got.status_code, again.status_code, late.status_code) == (200, 304, 412)
    ended = await web.delete(f"/api/v1/sessions/{session}", headers={"if-match": known})
    assert ended.status_code == 204
    assert (await web.get(f"/api/v1/sessions/{session}")).status_code == 404
    assert (await web.delete("/api/v1/sessions")).status_code == 204


async def test_the_public_keys_are_public_and_may_be_cached(web):
    answer = await web.get("/.well-known/jwks.json")
    (key,) = answer.json()["keys"]
    assert (key["alg"], key["use"], "d" in key) == ("ES256", "sig", False)
    assert "max-age" in answer.headers["cache-control"]
    about = (await web.get("/.well-known/openid-configuration")).json()
    assert about["jwks_uri"] == "http://iam.test/.well-known/jwks.json"


async def test_what_is_said_to_be_there_is_there(web, app):
    """Every address in the two documents of discovery is one of ours, and the document of keys is what it says."""
    known = set(app.openapi()["paths"])
    for name in ("openid-configuration", "authzen-configuration"):
        said = (await web.get(f"/.well-known/{name}")).json()
        links = [v for k, v in said.items() if k.endswith(("_endpoint", "_uri"))]
        assert links
        assert {link.removeprefix("http://iam.test") for link in links} <= known
        assert (said.get("issuer") or said["policy_decision_point"]) == "http://iam.test"


def test_every_operation_says_who_may_use_it(app):
    document = app.openapi()
    public = {
        path
        for path, item in document["paths"].items()
        for operation in item.values()
        if operation["security"] == []
    }
    assert public == {
        *LOGINS,
        *(path.replace("login", "register") for path in LOGINS),
        "/api/v1/auth/token",
        *("/api/v1/auth/refresh", "/api/auth/refresh"),
        *("/api/v1/organizations/register", "/api/organizations/register"),
        *("/api/v1/invitations/accept", "/api/v1/invitations/verify"),
        "/api/v1/auth/password-reset",
        *("/.well-known/jwks.json", "/.well-known/openid-configuration"),
        "/.well-known/authzen-configuration",
        "/static/avatars/{name}",
    }
    login = document["paths"]["/api/v1/login"]["post"]
    assert login["x-limit"] == "strict"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/api/v1/invitations/join"),
        ("post", "/api/v1/invitations/accept"),
        ("get", "/api/v1/invitations/verify"),
        ("post", "/api/v1/users/me/password"),
        ("get", "/api/v1/sessions"),
        ("delete", "/api/v1/sessions"),
    ],
)
def test_what_may_name_nothing_says_so_in_the_document(app, method, path):
    assert "404" in app.openapi()["paths"][path][method]["responses"]
