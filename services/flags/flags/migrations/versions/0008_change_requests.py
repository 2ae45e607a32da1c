"""Change requests."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
SCHEMA = "flags"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "change_request",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("tenant", sa.Uuid(), nullable=False),
        _reference("project"),
        _reference("flag"),
        sa.Column("environment", sa.String(100), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("said", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        schema=SCHEMA,
    )
    op.create_index(
        "change_request_of_project", "change_request", ["project_id", "id"], schema=SCHEMA
    )


def _reference(table: str) -> sa.Column:
    key = sa.ForeignKey(f"{SCHEMA}.{table}.id", ondelete="CASCADE")
    return sa.Column(f"{table}_id", sa.Uuid(), key, nullable=False)
