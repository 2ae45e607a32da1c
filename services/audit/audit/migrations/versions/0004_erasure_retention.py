"""Who was erased, and how long each log is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade():
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "erasure",
        sa.Column("tenant", sa.Uuid(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "person"),
        schema="audit",
    )
    op.create_table(
        "retention",
        sa.Column("tenant", sa.Uuid(), nullable=False),
        sa.Column("days", sa.Integer()),
        sa.Column("legal_hold", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
        schema="audit",
    )
