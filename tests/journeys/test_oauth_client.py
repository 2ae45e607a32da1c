"""An OAuth client that we did not write: finds all by discovery, logs in, goes on, and verifies our tokens itself."""

import pytest
import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from authlib.oidc.discovery import get_well_known_url
from joserfc.jwk import KeySet

PASSWORD = "correct horse battery staple"


class Validator(JWTBearerTokenValidator):
    """Authlib's own verifier of access tokens (RFC 9068), on the keys that discovery leads to."""

    def __init__(self, about):
        super().__init__(about["issuer"], "switchyard")
        self._about = about

    def get_jwks(self):
        return KeySet.import_key_set(requests.get(self._about["jwks_uri"], timeout=10).json())


@pytest.fixture
def about(url):
    return requests.get(get_well_known_url(url, external=True), timeout=10).json()


@pytest.fixture
def session(about):
    with OAuth2Session(
        "cli", token_endpoint=about["token_endpoint"], token_endpoint_auth_method="none"
    ) as made:
        yield made


@pytest.mark.journey
async def test_authlib_logs_in_refreshes_and_verifies(org, url, about, session):
    assert about["issuer"] == url
    token = session.fetch_token(username=org.email, password=PASSWORD, grant_type="password")
    assert token["token_type"] == "bearer"
    me = session.get(f"{url}/api/v1/users/me")
    assert (me.status_code, me.json()["email"]) == (200, org.email)
    validator = Validator(about)
    claims = validator.authenticate_token(token["access_token"])
    validator.validate_token(claims, scopes=None, request=None)
    assert claims["sub"] == me.json()["id"]

    again = session.refresh_token(refresh_token=token["refresh_token"])
    assert again["access_token"] != token["access_token"]
    assert again["refresh_token"] != token["refresh_token"]
    assert session.get(f"{url}/api/v1/users/me").status_code == 200
    assert validator.authenticate_token(again["access_token"])["sid"] == claims["sid"]


@pytest.mark.journey
async def test_authlib_understands_how_we_refuse(org, about, session):
    with pytest.raises(AuthlibBaseError):
        session.fetch_token(username=org.email, password="wrong", grant_type="password")
    head, _, signature = org.token.split(".")
    forged = f"{head}.eyJzdWIiOiJyb290In0.{signature}"
    with pytest.raises(AuthlibBaseError):
        Validator(about).authenticate_token(forged)
