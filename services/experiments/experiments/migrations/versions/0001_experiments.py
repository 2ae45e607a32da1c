"""Experiments and their schedules, and the tables that every schema has."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

SCHEMA = "experiments"
INSTANT = sa.DateTime(timezone=True)
WALL_CLOCK = sa.DateTime(timezone=False)


def upgrade():
    op.create_table(
        "experiment",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Uuid, nullable=False),
        *(
            sa.Column(name, sa.String, nullable=False)
            for name in (
                "key",
                "name",
                "description",
                "hypothesis",
                "owner_id",
                "unit",
                "flag_key",
            )
        ),
        sa.Column("variants", JSONB, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("start_at", INSTANT),
        sa.Column("start_wall", WALL_CLOCK),
        sa.Column("end_at", INSTANT),
        sa.Column("end_wall", WALL_CLOCK),
        sa.Column("time_zone", sa.String),
        sa.Column("schedule_set_at", INSTANT),
        sa.Column("schedule_begun", sa.Boolean, nullable=False),
        sa.Column("due_at", INSTANT),
        sa.Column("started_at", INSTANT),
        sa.Column("completed_at", INSTANT),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.UniqueConstraint("tenant", "key", name="experiment_key"),
        schema=SCHEMA,
    )
    op.create_index(
        "experiment_due",
        "experiment",
        ["due_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "experiment_created", "experiment", ["tenant", "created_at", "id"], schema=SCHEMA
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
    op.create_index("ix_experiments_idempotency_made_at", "idempotency", ["made_at"], schema=SCHEMA)
