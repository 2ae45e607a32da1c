"""Units that turned out to be others."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

SCHEMA = "experiments"


def upgrade():
    op.create_table(
        "identity",
        sa.Column("unit", sa.Uuid, primary_key=True),
        sa.Column("same_as", sa.Uuid, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("identity_same_as", "identity", ["same_as"], schema=SCHEMA)
