"""An organization that nobody has seen before: what the tests under `tests/` register, each its own."""

import asyncio
from uuid import uuid4

import httpx

PASSWORD = "correct horse battery staple"  # of organizations that live as long as a test
REGISTER = "/api/v1/organizations/register"


def registration(prefix="t"):
    """Return the body that registers a new organization with its first administrator."""
    slug = f"{prefix}{uuid4().hex[:12]}"
    return {
        "name": slug,
        "subdomain": slug,
        "admin_email": f"boss@{slug}.example",
        "admin_password": PASSWORD,
        "admin_first_name": "Bo",
        "admin_last_name": "Śś",
    }


async def registered(web, body=None):
    """Register one through a client, which carries the administrator's token from then on; return what was answered."""
    while (made := await web.post(REGISTER, json=body or registration())).status_code in (503, 504):
        await asyncio.sleep(float(made.headers.get("retry-after", 1)))  # a client tries again
    assert made.status_code == 201, made.text
    web.headers["authorization"] = f"Bearer {made.json()['access_token']}"
    return made.json()


class Patience:
    """Before a transport, what a client does who cannot be served: wait as it is told, and ask again, some times.

    On a machine that tests keep busy a service can miss its health checks, or have each of its connections to the
    database in use for two seconds: nothing was done then.
    """

    TIMES = 15
    NOTHING_DONE = (b"gateway.unavailable", b"the database has no free connection")

    async def handle_async_request(self, request):
        for _ in range(self.TIMES):
            answer = await super().handle_async_request(request)
            if answer.status_code != 503:
                break
            said = await answer.aread()
            if not any(why in said for why in self.NOTHING_DONE):
                break
            await asyncio.sleep(float(answer.headers.get("retry-after", 1)))
        return answer


class Patient(Patience, httpx.AsyncHTTPTransport):
    """The transport of httpx, with patience."""
