import pytest

NEW = "another good sentence"


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", roles=["admin"])


@pytest.fixture
def ann(iam, boss):
    return iam.user(iam.world.tenants[boss.tenant], username="ann", first_name="Ann")


async def test_one_changes_ones_password(web, iam, ann, asking, make):
    body = {"current_password": make.password, "new_password": NEW}
    answer = await web.post("/api/v1/users/me/password", json=body, headers=asking(ann))
    assert (answer.status_code, answer.content) == (204, b"")
    said = await web.post("/api/v1/login", json={"user": "ann", "password": NEW})
    assert said.status_code == 200


async def test_a_wrong_present_password_is_422_at_its_field(web, ann, asking):
    body = {"current_password": "wrong", "new_password": NEW}
    answer = await web.post("/api/v1/users/me/password", json=body, headers=asking(ann))
    assert (answer.status_code, answer.json()["code"]) == (422, "iam.wrong_password")
    assert answer.json()["errors"][0]["pointer"] == "/current_password"


async def test_an_administrator_hands_out_a_token_that_works_once(web, ann, boss, asking):
    path = f"/api/v1/users/{ann.id}/password-reset"
    assert (await web.post(path)).status_code == 401
    assert (await web.post(path, headers=asking(ann))).status_code == 403
    made = await web.post(path, headers=asking(boss))
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    body = {"token": made.json()["token"], "password": NEW}
    answers = [await web.post("/api/v1/auth/password-reset", json=body) for _ in range(2)]
    assert [a.status_code for a in answers] == [204, 400]
    invented = await web.post("/api/v1/auth/password-reset", json={**body, "token": "invented"})
    first, second = answers[1].json(), invented.json()
    assert {**first, "request_id": ""} == {**second, "request_id": ""}


async def test_one_changes_ones_own_names_but_not_ones_place(web, ann, asking):
    web.headers.update(asking(ann))
    changed = await web.patch("/api/v1/users/me", json={"first_name": "Añá", "username": None})
    assert changed.status_code == 200
    assert (changed.json()["first_name"], changed.json()["username"]) == ("Añá", None)
    assert changed.headers["etag"] == '"2"'
    for more in ("role", "roles", "tenant_id", "is_superuser", "email", "is_active", "password"):
        answer = await web.patch("/api/v1/users/me", json={more: "x"})
        assert answer.status_code == 422, more
    assert (await web.patch("/api/v1/users/me", json={"first_name": None})).status_code == 422
    stale = await web.patch("/api/v1/users/me", json={}, headers={"if-match": '"1"'})
    assert stale.status_code == 412


async def test_colleagues_are_seen_by_their_names_only(web, iam, ann, boss, asking):
    iam.user(iam.world.tenants[ann.tenant], "idle@acme.test", active=False, username="idle")
    web.headers.update(asking(ann))
    listed = (await web.get("/api/v1/users")).json()
    assert listed["total"] == 2
    assert {tuple(sorted(user)) for user in listed["items"]} == {
        ("first_name", "id", "last_name", "username")
    }
    assert "@" not in str(listed)
    one = await web.get(f"/api/v1/users/{boss.id}")
    assert set(one.json()) == {"id", "username", "first_name", "last_name"}
    again = await web.get(
        f"/api/v1/users/{boss.id}", headers={"if-none-match": one.headers["etag"]}
    )
    assert again.status_code == 304


async def test_an_address_that_is_not_shown_cannot_be_searched_or_sorted_by(web, ann, boss, asking):
    web.headers.update(asking(ann))
    assert (await web.get("/api/v1/users?search=boss%40")).json()["items"] == []
    assert (await web.get("/api/v1/users?search=ANN")).json()["total"] == 1
    for sort in ("email", "-email"):
        answer = await web.get(f"/api/v1/users?sort={sort}")
        assert answer.status_code == 403


async def test_colleagues_end_at_the_tenants_wall_and_at_the_disabled(web, iam, ann, asking):
    stranger = iam.user(iam.tenant("other"), "x@y.z")
    idle = iam.user(iam.world.tenants[ann.tenant], "idle@acme.test", active=False)
    for user in (stranger, idle):
        answer = await web.get(f"/api/v1/users/{user.id}", headers=asking(ann))
        assert (answer.status_code, answer.json()["code"]) == (404, "iam.user_not_found")


async def test_a_key_without_the_permission_sees_no_colleagues(web, ann, asking):
    web.headers.update(asking(ann, kind="api_key", permissions=frozenset()))
    for path in ("/api/v1/users", f"/api/v1/users/{ann.id}"):
        answer = await web.get(path)
        assert answer.status_code == 403
        assert answer.json()["detail"] == "Insufficient permissions: user:read required"
