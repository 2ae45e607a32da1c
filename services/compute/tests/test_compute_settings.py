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
