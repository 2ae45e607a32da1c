"""The ledger of usage, and the machines that run."""

import sqlalchemy as sa
from alembic import op

revision = "0004"  # not the number of the file: databases remember it
down_revision = "0003"

SCHEMA = "compute"
INSTANT = sa.DateTime(timezone=True)


def upgrade():
    op.create_table(
        "usage",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Uuid, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("event_id", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("agent_id", sa.Uuid),
        sa.Column("vm_id", sa.Uuid),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("token_count", sa.BigInteger),
        sa.Column("seconds", sa.BigInteger, nullable=False),
        sa.Column("cost_micros", sa.BigInteger),
        sa.Column("occurred_at", INSTANT, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.Column("recorded_by", sa.String, nullable=False),
        sa.Column("corrects", sa.Uuid),
        sa.UniqueConstraint("tenant", "source", "event_id", name="usage_event"),
        schema=SCHEMA,
    )
    op.create_index("usage_occurred", "usage", ["tenant", "occurred_at", "id"], schema=SCHEMA)
    corrections = sa.text("corrects IS NOT NULL")
    op.create_index(
        "usage_corrects", "usage", ["corrects"], schema=SCHEMA, postgresql_where=corrections
    )
    op.create_table(
        "vm_interval",
        sa.Column("vm_id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Uuid, nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        schema=SCHEMA,
    )
