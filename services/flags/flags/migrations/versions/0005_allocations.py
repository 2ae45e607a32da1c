"""What experiments want of flags."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0005"
down_revision = "0002"
SCHEMA = "flags"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "allocation",
        sa.Column("experiment_id", sa.Uuid(), primary_key=True),
        sa.Column("tenant", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        _perhaps("flag_id", "flag"),
        _perhaps("environment_id", "environment"),
        sa.Column("document", sa.JSON()),
        sa.Column(
            "uses_segments",
            ARRAY(sa.String(200)),
            nullable=False,
            server_default=sa.text("'{}'"),
        ),
        sa.Column("updated_at", TIME, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("allocation_by_environment", "allocation", ["environment_id"], schema=SCHEMA)


def _perhaps(name: str, table: str) -> sa.Column[sa.Uuid]:
    key = sa.ForeignKey(f"{SCHEMA}.{table}.id", ondelete="SET NULL")
    return sa.Column(name, sa.Uuid(), key)
