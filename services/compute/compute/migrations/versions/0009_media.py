"""The ISO images that machines are installed from."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

SCHEMA = "compute"


def upgrade():
    for name in ("iso_sha256", "medium"):
        op.add_column("vm", sa.Column(name, sa.String), schema=SCHEMA)
