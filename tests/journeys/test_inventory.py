"""Routes, OpenAPI and the gateway agree: what is documented is there, and nothing else. Who may: test_matrix.py."""

from uuid import uuid4

import httpx
import pytest

pytestmark = pytest.mark.journey

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
async def document(url):
    async with httpx.AsyncClient(base_url=url) as web:
        return (await web.get("/openapi.json")).raise_for_status().json()


def operations(document):
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def filled(path):
    """Return a path with ids that do not exist."""
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


async def test_the_reference_page_is_served_without_outside_help(url):
    async with httpx.AsyncClient(base_url=url, follow_redirects=True) as web:
        page = await web.get("/docs")
        assert page.status_code == 200
        assert "default-src" in page.headers["content-security-policy"]
        assert "//cdn" not in page.text
        assert (await web.get("/health")).json()["status"] == "healthy"
