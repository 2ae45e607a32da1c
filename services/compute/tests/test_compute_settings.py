"""What the settings of compute refuse."""

import pytest
from pydantic import ValidationError

from compute.settings import Settings

PRODUCTION = {"profile": "production", "mesh_secret": "m" * 40, "database_url": "postgresql://x"}


@pytest.mark.parametrize(
    "bad",
    [
        {"egress_allowed": "127.0.0.0/8"},
        {"egress_allowed": "10.0.0.0/8, ::1"},
        {"egress_allowed": "169.254.0.0/16"},
        {"egress_allowed": "0.0.0.0/0"},
        {"egress_allowed": "::/0"},
        {"egress_plain_http": True},
        {"egress_allowed": "not a network"},
    ],
)
def test_in_production_no_image_comes_from_where_we_are(bad):
    with pytest.raises(ValidationError):
        Settings(**PRODUCTION, **bad)
    assert Settings(**PRODUCTION, egress_allowed="10.1.0.0/16").egress_allowed


def test_incus_is_refused_unless_it_is_said_where_it_is_and_who_we_are(tmp_path):
    whole = {"driver": "incus", "incus_address": "https://10.0.0.1:8443"}
    for name in ("incus_cert", "incus_key"):
        whole[name] = tmp_path / name
        whole[name].touch()
    common = {"profile": "test", "mesh_secret": "m" * 40, "database_url": "postgresql://x"}
    assert Settings(**common, **whole).driver == "incus"
    for name in whole.keys() - {"driver"}:
        without = {key: it for key, it in whole.items() if key != name}
        with pytest.raises(ValidationError, match=r"COMPUTE_INCUS_ADDRESS.*COMPUTE_INCUS_KEY"):
            Settings(**common, **without)
    with pytest.raises(ValidationError, match="COMPUTE_INCUS_CERT: there is no file"):
        Settings(**common, **(whole | {"incus_cert": tmp_path / "none"}))
    for bad in ({"incus_address": "http://10.0.0.1:8443"}, {"incus_project": "a/b"}):
        with pytest.raises(ValidationError):
            Settings(**common, **(whole | bad))
