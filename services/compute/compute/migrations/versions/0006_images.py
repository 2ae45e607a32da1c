"""What templates are made of."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

SCHEMA = "compute"
INSTANT = sa.DateTime(timezone=True)


def upgrade():
    op.create_table(
        "image",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Uuid),
        sa.Column("url", sa.String),
        sa.Column("wanted_sha256", sa.String),
        sa.Column("source_vm_id", sa.Uuid),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("sha256", sa.String),
        sa.Column("received_bytes", sa.BigInteger, nullable=False),
        sa.Column("total_bytes", sa.BigInteger),
        sa.Column("validator", sa.String),
        sa.Column("trouble", sa.String),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("lease_until", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        schema=SCHEMA,
    )
    due = sa.text("state IN ('waiting', 'fetching')")
    op.create_index("image_due", "image", ["due_at"], schema=SCHEMA, postgresql_where=due)
