"""Routes, OpenAPI and the gateway agree; and what each operation says of its permission is what happens.

Generated from the merged OpenAPI document as the gateway serves it: every operation, as {nobody, a role without the
permission, a role with it}, on ids that do not exist. One table, read from the document; nothing is listed by hand but
what cannot be known from it.
"""

from uuid import uuid4

import httpx
import pytest

pytestmark = pytest.mark.journey

METHODS = ("get", "post", "put", "patch", "delete")
ROLES = ("viewer", "analyst", "developer", "admin", "user")


@pytest.fixture
async def document(url):
    async with httpx.AsyncClient(base_url=url) as web:
        return (await web.get("/openapi.json")).raise_for_status().json()


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def filled(path, organization=None):
    """Return a path with ids that do not exist, but for the organization: an outsider is 403 before any look-up."""
    if organization:
        path = path.replace("{organization_id}", organization)
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + str(uuid4()) + rest.partition("}")[2]
    return path


async def test_every_documented_path_exists_and_nobody_gets_past_the_gate_without_a_credential(
    document, url
):
    wrong = []
    async with httpx.AsyncClient(base_url=url, timeout=10) as web:
        for method, path, operation in operations(document):
            if operation["security"] == []:
                continue
            answer = await web.request(method, filled(path))
            if answer.status_code != 401 or answer.json()["status"] != 401:
                wrong.append((method, path, answer.status_code))
    assert wrong == []


async def test_every_operation_says_which_permission_it_needs(document):
    silent = [
        (method, path)
        for method, path, operation in operations(document)
        if operation["security"] and "x-permission" not in operation
    ]
    assert silent == []


async def test_a_path_that_is_not_documented_does_not_exist(org):
    for path in ("/api/v1", "/api/v1/nothing", "/metrics", "/healthz", "/readyz", "/openapi", "/x"):
        answer = await org.web.get(path)
        assert answer.status_code == 404, path
        assert answer.json()["code"] == "gateway.not_found"


@pytest.mark.parametrize("role", ROLES)
async def test_what_a_role_may_is_what_the_catalogue_says(document, org, role):
    """A missing permission is 403 before anything else; one that is there is never 401 or 403."""
    person = await org.person(role)
    me = (await person.get("/api/v1/users/me")).json()
    held = set(me["permissions"])
    wrong = []
    for method, path, operation in operations(document):
        permission = operation.get("x-permission")
        if not permission or operation["security"] == [{"apiKey": []}]:
            continue
        answer = await person.request(method, filled(path, org.id), json={"no-such-field": 1})
        refused = permission not in held or operation.get("x-reach") == "platform"
        expected = {403} if refused else set(range(200, 600)) - {401, 403}
        if answer.status_code not in expected or answer.status_code >= 500:
            if permission in held and answer.status_code == 503:
                continue  # honest: no hypervisor
            wrong.append((method, path, permission, permission in held, answer.status_code))
    assert wrong == []


async def test_the_reference_page_is_served_without_outside_help(url):
    async with httpx.AsyncClient(base_url=url, follow_redirects=True) as web:
        page = await web.get("/docs")
        assert page.status_code == 200
        assert "default-src" in page.headers["content-security-policy"]
        assert "//cdn" not in page.text
        assert (await web.get("/health")).json()["status"] == "healthy"
