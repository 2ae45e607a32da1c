import pytest
from pydantic import ValidationError

from audit.settings import Settings

MESH, KEY = "m" * 32, "k" * 32


def test_production_needs_a_secret_for_the_keys_that_is_not_the_mesh_secret():
    with pytest.raises(ValidationError, match="AUDIT_KEY_SECRET must be set in production"):
        Settings(profile="production", mesh_secret=MESH)
    assert Settings(profile="production", mesh_secret=MESH, key_secret=KEY).sealing_secret == KEY


def test_development_needs_none():
    assert Settings(profile="development", mesh_secret=MESH).sealing_secret == MESH


def test_a_short_secret_is_refused_without_being_repeated():
    with pytest.raises(ValidationError, match="32") as refused:
        Settings(key_secret="too-short-for-us")
    assert "too-short-for-us" not in str(refused.value)


def test_networks_for_streams_must_be_networks():
    with pytest.raises(ValueError, match="egress_allowed"):
        Settings(egress_allowed="everywhere")
