"""Snapshots of machines' disks, and which of them an operation is about."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

SCHEMA = "compute"
INSTANT = sa.DateTime(timezone=True)


def upgrade():
    op.create_table(
        "snapshot",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Uuid, nullable=False),
        sa.Column("vm_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("created_by", sa.String, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("operation_id", sa.Uuid, nullable=False),
        sa.Column("task", sa.String),
        sa.Column("taken", sa.Boolean, nullable=False),
        sa.Column("trouble", sa.String),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", INSTANT),
        sa.Column("version", sa.Integer, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("snapshot_of", "snapshot", ["vm_id", "created_at", "id"], schema=SCHEMA)
    open_ = sa.text("task IS NOT NULL")
    op.create_index("snapshot_open", "snapshot", ["vm_id"], schema=SCHEMA, postgresql_where=open_)
    op.add_column("operation", sa.Column("snapshot_id", sa.Uuid), schema=SCHEMA)
