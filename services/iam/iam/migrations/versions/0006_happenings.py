"""What happened under /global, for those who listen; and avatars.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

IAM = "iam"


def upgrade() -> None:
    op.create_table(
        "happening",
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("tenant", sa.Uuid, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("thing", sa.String, nullable=False),
        sa.Column("verb", sa.String, nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.clock_timestamp(),
        ),
        schema=IAM,
    )
    op.create_index("happening_by_time", "happening", ["at"], schema=IAM)
    op.add_column(
        "entity", sa.Column("avatar", sa.String, nullable=False, server_default=""), schema=IAM
    )
    op.create_index(
        "entity_by_avatar",
        "entity",
        ["avatar"],
        schema=IAM,
        postgresql_where=sa.text("avatar <> ''"),
    )
