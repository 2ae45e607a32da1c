"""Password resets, and when an API key was used last.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

IAM = "iam"
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "password_reset",
        sa.Column(
            "user",
            sa.Uuid,
            sa.ForeignKey("iam.user.id", name="password_reset_user_fkey"),
            primary_key=True,
        ),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("expires_at", Time, nullable=False),
        sa.UniqueConstraint("hash", name="password_reset_hash_key"),
        schema=IAM,
    )
    op.add_column("api_key", sa.Column("last_used_at", Time), schema=IAM)
