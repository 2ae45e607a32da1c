"""How often flags are used."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
SCHEMA = "flags"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("environment_id", sa.Uuid(), primary_key=True),
        sa.Column("flag_id", sa.Uuid(), primary_key=True),
        sa.Column("hour", TIME, primary_key=True),
        sa.Column("variant", sa.String(100), primary_key=True),
        sa.Column("reason", sa.String(30), primary_key=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        schema=SCHEMA,
    )
    op.create_index("usage_by_age", "usage", ["hour"], schema=SCHEMA)
    op.create_table(
        "variant_use",
        sa.Column("environment_id", sa.Uuid(), primary_key=True),
        sa.Column("flag_id", sa.Uuid(), primary_key=True),
        sa.Column("variant", sa.String(100), primary_key=True),
        sa.Column("first", TIME, nullable=False),
        sa.Column("last", TIME, nullable=False),
        schema=SCHEMA,
    )
