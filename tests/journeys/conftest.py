"""A real platform behind a real gateway, and a fresh organization for each test."""

import os
from dataclasses import dataclass, field
from uuid import uuid4

import httpx
import pytest

from tests.newcomer import PASSWORD, Patient, registered, registration
from tests.waiting import until


@pytest.fixture(scope="session")
def url():
    if not (found := os.environ.get("SWITCHYARD_URL")):
        pytest.skip("SWITCHYARD_URL is not set: `make test` starts a platform and sets it")
    return found


@pytest.fixture(scope="session")
def admin_password():
    return os.environ["SWITCHYARD_ADMIN_PASSWORD"]


@dataclass
class Org:
    """An organization that was registered for one test, and its first administrator."""

    slug: str
    id: str
    email: str
    web: httpx.AsyncClient
    token: str
    refresh_token: str
    opened: list[httpx.AsyncClient] = field(default_factory=list)

    async def person(self, *roles, email=None):
        """Make a user with these roles; return a client that is logged in as them."""
        email = email or f"{uuid4().hex[:10]}@{self.slug}.example"
        body = {
            "email": email,
            "password": PASSWORD,
            "first_name": "Ana",
            "last_name": "Ñandú",
            "roles": list(roles),
        }
        made = await self.web.post("/api/v1/users", json=body)
        assert made.status_code == 201, made.text
        self.opened.append(await logged_in(self.web.base_url, email, PASSWORD, self.slug))
        return self.opened[-1]

    async def close(self):
        for web in (self.web, *self.opened):
            await web.aclose()

    async def key(self, **body):
        """Make an API key; return its text."""
        made = await self.web.post("/api/v1/api-keys", json={"name": "test", **body})
        assert made.status_code == 201, made.text
        return made.json()["key"]

    async def flag(self, key=None, **body):
        """Make a flag; return it."""
        key = key or f"flag-{uuid4().hex[:8]}"
        made = await self.web.post("/api/v1/feature-flags", json={"key": key, "name": key, **body})
        assert made.status_code == 201, made.text
        return made.json()


def client(url, **headers):
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=10, transport=Patient())


async def logged_in(url, user, password, tenant):
    """Log in through the gateway; return a client that carries the token."""
    body = {"username": user, "password": password, "tenant_subdomain": tenant}
    async with client(url) as nobody:
        answer = await nobody.post("/api/v1/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    return client(url, authorization=f"Bearer {answer.json()['access_token']}")


@pytest.fixture
async def root(url, admin_password):
    web = await logged_in(url, "root", admin_password, "platform")
    async with web:
        yield web


async def register(url):
    body = registration()
    async with client(url) as nobody:
        said = await registered(nobody, body)
    web = client(url, authorization=f"Bearer {said['access_token']}")
    tenant, tokens = said["organization"]["id"], (said["access_token"], said["refresh_token"])
    return Org(body["subdomain"], tenant, body["admin_email"], web, *tokens)


@pytest.fixture
async def org(url):
    made = await register(url)
    yield made
    await made.close()


@pytest.fixture
async def other(url):
    made = await register(url)
    yield made
    await made.close()


@pytest.fixture
def eventually():
    return until
