"""What is done later: scheduled changes and progressive rollouts; and environments that want approvals."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
SCHEMA = "flags"
TIME = sa.DateTime(timezone=True)
UNFINISHED = sa.text("status IN ('waiting', 'running', 'paused')")


def upgrade() -> None:
    op.add_column(
        "environment",
        sa.Column("approvals", sa.SmallInteger(), nullable=False, server_default="0"),
        schema=SCHEMA,
    )
    for name in ("schedule", "rollout"):
        op.create_table(name, *_columns(), schema=SCHEMA)
        op.create_index(f"{name}_of_flag", name, ["flag_id", "environment", "id"], schema=SCHEMA)
    due = {"schedule": "status = 'pending'", "rollout": "next_at IS NOT NULL"}
    for name, which in due.items():
        op.create_index(
            f"{name}_due", name, ["next_at"], schema=SCHEMA, postgresql_where=sa.text(which)
        )
    op.create_index(
        "rollout_unfinished",
        "rollout",
        ["flag_id", "environment"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=UNFINISHED,
    )


def _columns() -> list[sa.Column]:
    flag = sa.ForeignKey(f"{SCHEMA}.flag.id", ondelete="CASCADE")
    return [
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("tenant", sa.Uuid(), nullable=False),
        sa.Column("flag_id", sa.Uuid(), flag, nullable=False),
        sa.Column("environment", sa.String(100), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("next_at", TIME),
        sa.Column("said", sa.JSON(), nullable=False),
        sa.Column("author", sa.JSON(), nullable=False),
        sa.Column("approved", sa.Uuid()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
    ]
