"""People, keys and a small app to try the chassis on."""

import json
import time
from uuid import UUID, uuid4

import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from chassis.caller import Caller
from chassis.tokens import Verifier

ISSUER, AUDIENCE = "http://issuer.test", "switchyard"


class Signer:
    """Signs tokens as iam would, and in every way it would not."""

    def __init__(self):
        self.key = ECKey.generate_key("P-256", {"kid": "k1"})
        self.now = time.time()

    @property
    def keys(self):
        return {"k1": ECKey.import_key(self.key.as_dict(private=False))}

    @property
    def jwk(self):
        return json.dumps(self.key.as_dict(private=False))

    def claims(self, **changes):
        made = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(UUID(int=1)),
            "tid": str(UUID(int=2)),
            "sid": "s1",
            "scope": "",
            "iat": int(self.now),
            "exp": int(self.now) + 600,
            "jti": uuid4().hex,
        }
        return {k: v for k, v in (made | changes).items() if v is not None}

    def sign(self, header=None, key=None, payload=None, **changes):
        head = {"alg": "ES256", "typ": "at+jwt", "kid": "k1"} | (header or {})
        head = {k: v for k, v in head.items() if v is not None}
        said = payload if payload is not None else json.dumps(self.claims(**changes))
        registry = jws.JWSRegistry(algorithms=[head["alg"]], strict_check_header=False)
        return jws.serialize_compact(head, said, key or self.key, registry=registry)


@pytest.fixture(scope="session")
def signer():
    return Signer()


@pytest.fixture
def verifier():
    return Verifier(ISSUER, AUDIENCE)


@pytest.fixture
def tenant():
    return uuid4()


@pytest.fixture
def ana(tenant):
    return Caller(
        subject=str(uuid4()),
        tenant=tenant,
        permissions=frozenset({"thing:read", "thing:create"}),
        name="ana",
        credential="s-ana",
    )
