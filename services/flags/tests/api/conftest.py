"""The evaluation doors in process: keys that an authority knows, and flags of every type."""

import time
from dataclasses import replace

import httpx
import pytest

from authz import apikeys
from authz.limits import Limiter
from authz.replica import ApiKey
from chassis.authority import Authority
from chassis.http import Wiring, rest_app
from chassis.identity import Identity
from flags.api.desks import Desks
from flags.api.ofrep import Ofrep
from flags.api.rest import routers
from flags.api.tickets import Tickets
from flags.api.unleash import Unleash
from flags.domain.flag import Draft
from flags.domain.values import FlagType
from flags.usecases.flags import Aim


class NoIam:
    """iam, which must not be asked."""

    async def ResolveKey(self, request, timeout):
        raise AssertionError("iam was asked during a warm request")


class Keys:
    """API keys that an authority knows."""

    def __init__(self, tenant):
        self.authority, self._tenant = Authority(), tenant
        self.authority._heard = time.monotonic()

    def mint(self, kind="server", **said):
        key_id, key = apikeys.mint(kind)
        known = ApiKey(
            hash=apikeys.digest(key),
            id=key_id,
            tenant=str(self._tenant),
            kind=kind,
            environment="production",
            project="default",
            scopes=frozenset({"flag:evaluate"}),
            expires=None,
            subject="",
            name="a key",
        )
        self.authority.state.keys[known.hash] = replace(known, **said)
        return key

    def revoke(self, key):
        del self.authority.state.keys[apikeys.digest(key)]
        self.authority.generation += 1


@pytest.fixture
def keys(ana):
    return Keys(ana.tenant)


@pytest.fixture
def ofrep(rulesets, keys):
    desks = Desks(rulesets, Identity(keys.authority, None, NoIam()), Limiter(100_000))
    return Ofrep(desks, Tickets(b"secret"))


@pytest.fixture
def documented(ofrep, flags, projects):
    """The app without the raw door before it."""
    uses = {type(use): use for use in (flags, projects, ofrep.desks, ofrep, Unleash(ofrep.desks))}
    return rest_app("flags", routers, Wiring(identity=ofrep.desks.identity, uses=uses))


def client_of(app, key=None):
    headers = {"x-api-key": key} if key else {}
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://flags.test", headers=headers)


@pytest.fixture
async def sdk(ofrep, documented, keys):
    async with client_of(ofrep.before(documented), keys.mint()) as client:
        yield client


@pytest.fixture
async def shop(flags, ana, here):
    """Flags of every type; the boolean one is marked for clients."""
    drafts = [
        Draft(key="shop/checkout.v2", name="x", client_side=True),
        Draft(key="rate", name="x", type=FlagType.FLOAT, variants={"one": 1, "half": 0.5}),
        Draft(key="limit", name="x", type=FlagType.INTEGER, variants={"few": 3, "many": 9}),
        Draft(key="hello", name="x", type=FlagType.STRING, variants={"de": "Grüezi", "en": "Hi"}),
        Draft(key="theme", name="x", type=FlagType.JSON, variants={"dark": {"b": 1, "a": []}}),
    ]
    for draft in drafts:
        await flags.create(ana, here, draft)
        await flags.enable(ana, Aim(flag=draft.key, place=here))
