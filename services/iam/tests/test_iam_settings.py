import pytest
from pydantic import ValidationError

from iam.settings import Settings

PRODUCTION = {"profile": "production", "mesh_secret": "m" * 32}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**PRODUCTION, "bootstrap_admin_password": "changeme"}, "first passwords"),
        ({**PRODUCTION, "bootstrap_admin_password": "PassWord"}, "first passwords"),
        ({**PRODUCTION, "bootstrap_api_key": "sy_srv_x"}, "IAM_BOOTSTRAP_API_KEY"),
        ({**PRODUCTION, "password_profile": "test"}, "IAM_PASSWORD_PROFILE"),
        ({"issuer": "https://iam.example", "password_profile": "compat"}, "https"),
        ({"key_secret": "short"}, "32"),
        ({"registration_tenant": "platform"}, "IAM_REGISTRATION_TENANT"),
    ],
)
def test_unsafe_settings_are_refused_without_repeating_them(given, said):
    with pytest.raises(ValidationError, match=said) as refused:
        Settings(**given)
    for secret in ("changeme", "PassWord", "sy_srv_x"):
        assert secret not in str(refused.value)


def test_production_asks_for_good_passwords_unless_told_otherwise():
    assert Settings(**PRODUCTION).passwords == "standard"
    assert Settings(profile="development").passwords == "compat"


def test_development_may_have_a_password_that_everybody_knows():
    assert Settings(bootstrap_admin_password="changeme").bootstrap_admin_password
