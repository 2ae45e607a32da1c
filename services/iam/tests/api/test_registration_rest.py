"""Who registers alone: where a tenant is open for it, with what, and what a lost answer costs."""

import pytest

PATHS = ["/api/v1/register", "/api/v1/auth/register", "/api/register", "/api/auth/register"]
LOGIN = "/api/v1/auth/login"


@pytest.fixture
def tenant(iam):
    """The tenant that takes registrations (see fakes/service.py)."""
    return iam.tenant("open")


@pytest.mark.parametrize("path", PATHS)
async def test_whoever_registers_is_a_user_and_logged_in(web, iam, tenant, make, path):
    answer = await web.post(path, json={"user": "Zoë", "password": make.password})
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    said = answer.json()
    assert said["access_token"] == said["token"]
    assert (said["token_type"], said["organization_subdomain"]) == ("bearer", "open")
    assert "HttpOnly" in answer.headers["set-cookie"]
    (user,) = iam.world.users.values()
    assert (user.tenant, user.username, user.roles) == (tenant.id, "Zoë", ("user",))
    assert iam.world.actions() == ["user.created", "session.created"]
    assert {change.id for change in iam.world.changes} == {str(user.id)}
    again = {"user": "Zoë", "password": make.password, "tenant_subdomain": "open"}
    assert (await web.post(LOGIN, json=again)).status_code == 200


async def test_a_name_that_is_taken_is_a_conflict_and_whoever_lost_the_answer_logs_in(
    web, tenant, make
):
    body = {"username": "ann", "password": make.password, "tenant_subdomain": "OPEN"}
    assert (await web.post(PATHS[0], json=body)).status_code == 201
    again = await web.post(PATHS[0], json=body | {"username": "ANN"})
    assert (again.status_code, again.json()["code"]) == (409, "iam.username_taken")
    assert (await web.post(LOGIN, json=body | {"tenant_subdomain": "open"})).status_code == 200


@pytest.mark.parametrize("why", ["none", "off", "another"])
async def test_where_no_tenant_takes_registrations_nobody_registers(web, iam, make, why):
    body = {"user": "ann", "password": make.password}
    if why != "none":
        iam.tenant("open", active=why != "off")
    if why == "another":
        iam.tenant("acme")
        body["tenant_subdomain"] = "acme"
    answer = await web.post(PATHS[0], json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "iam.registration_closed")
    assert "administrator" in answer.json()["detail"]
    assert not iam.world.users


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user": "ann"},
        {"user": "ann", "username": "bob", "password": "p" * 20},
        {"user": "ann@acme.test", "password": "p" * 20},
        {"user": "a b", "password": "p" * 20},
        {"user": "ann", "password": "p"},
        {"user": "ann", "password": "p" * 20, "roles": ["admin"]},
        {"user": "ann", "password": "p" * 20, "email": "ann@acme.test"},
    ],
)
async def test_a_bad_registration_changes_nothing(web, iam, tenant, body):
    answer = await web.post(PATHS[0], json=body)
    assert answer.status_code == 422
    assert not iam.world.users


async def test_nobody_gets_in_again_by_repeating_what_is_done_once(web, iam, make):
    """Public doors know no Idempotency-Key (docs/adr/0090): who lost the answer logs in."""
    body = {
        "name": "Acme",
        "subdomain": "acme",
        "admin_email": "boss@acme.test",
        "admin_password": make.password,
    }
    key = {"idempotency-key": "guessed"}
    first = await web.post("/api/v1/organizations/register", json=body, headers=key)
    again = await web.post("/api/v1/organizations/register", json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 409)
    assert "idempotent-replayed" not in again.headers
    login = {"email": "boss@acme.test", "password": make.password}
    assert (await web.post(LOGIN, json=login)).status_code == 200
