"""Machines, templates and quotas, and the tables that every schema has."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

SCHEMA = "compute"
INSTANT = sa.DateTime(timezone=True)
NONE = sa.text("0")


def upgrade():
    op.create_table(
        "vm",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("owner_id", sa.String, nullable=False),
        sa.Column("source_type", sa.String, nullable=False),
        sa.Column("template_id", sa.Uuid),
        sa.Column("template_name", sa.String),
        sa.Column("iso_url", sa.String),
        sa.Column("user_data", sa.String),
        sa.Column("ssh_keys", JSONB, nullable=False),
        sa.Column("labels", JSONB, nullable=False),
        sa.Column("cpu", sa.Integer, nullable=False),
        sa.Column("memory_gb", sa.Integer, nullable=False),
        sa.Column("disk_gb", sa.Integer, nullable=False),
        sa.Column("ip_address", sa.String),
        sa.Column("wish", sa.String, nullable=False),
        sa.Column("step", sa.String, nullable=False),
        sa.Column("trouble", sa.String),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.UniqueConstraint("tenant", "number", name="vm_number"),
        schema=SCHEMA,
    )
    op.create_index("vm_created", "vm", ["tenant", "created_at", "id"], schema=SCHEMA)
    op.create_table(
        "template",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Uuid),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("architecture", sa.String, nullable=False),
        sa.Column("min_memory_gb", sa.Integer, nullable=False),
        sa.Column("min_disk_gb", sa.Integer, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("template_created", "template", ["tenant", "created_at", "id"], schema=SCHEMA)
    op.create_table(
        "quota_used",
        sa.Column("tenant", sa.Uuid, primary_key=True),
        *(
            sa.Column(name, sa.Integer, nullable=False, server_default=NONE)
            for name in ("vms", "cpu", "memory_gb", "disk_gb", "last_number")
        ),
        schema=SCHEMA,
    )
    _frame()


def _frame():
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("event_id", sa.Uuid, nullable=False, unique=True),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("written_at", INSTANT, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("parked_at", INSTANT),
        sa.Column("trouble", sa.String),
        schema=SCHEMA,
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("until", INSTANT, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "idempotency",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("made_at", INSTANT, nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )
    op.create_index("ix_compute_idempotency_made_at", "idempotency", ["made_at"], schema=SCHEMA)
