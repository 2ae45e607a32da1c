"""The real app in process, on fakes, with whoever the test says is asking."""

import httpx
import pytest

from chassis.authority import Authority
from chassis.errors import Unauthenticated
from chassis.http import Wiring, rest_app
from iam.api.rest import routers
from iam.api.talk import Lobby, origins
from iam.api.tokens import Cookies
from iam.clients.seal import AesSealer


class FakeIdentity:
    """Believes the header x-test-user; what a real identity verifies is tested with the chassis."""

    def __init__(self):
        self.callers = {}

    async def of(self, headers):
        if (caller := self.callers.get(headers.get("x-test-user", ""))) is None:
            raise Unauthenticated("who is asking?")
        return caller


@pytest.fixture
def identity():
    return FakeIdentity()


@pytest.fixture
def lobby(iam):
    return Lobby(
        live=iam.live,
        hall=iam.hall,
        authority=Authority(),
        sealer=AesSealer("s" * 32, "positions"),
        means=iam.means,
        origins=origins("https://app.test", "http://iam.test"),
        beat=0.3,
        patience=0.5,
    )


@pytest.fixture
def app(iam, identity, lobby):
    uses = (
        *(iam.logins, iam.users, iam.organizations, iam.roles, iam.keys, iam.sessions, iam.changes),
        *(iam.gitops, iam.supers, iam.debug, iam.guests, iam.external, iam.registration),
        *(iam.assignments, iam.invitations, iam.members, iam.decisions),
        *(iam.avatars, iam.statistics, lobby),
        *(iam.signing, iam.opening.issuer, Cookies(secure=False)),
    )
    wiring = Wiring(identity=identity, uses={type(use): use for use in uses})
    return rest_app("iam", routers, wiring)


@pytest.fixture
async def web(app):
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://iam.test") as client:
        yield client


@pytest.fixture
def asking(identity, make):
    """Return the headers with which a user asks."""

    def headers(user, **more):
        identity.callers[str(user.id)] = make.caller(user, **more)
        return {"x-test-user": str(user.id)}

    return headers
