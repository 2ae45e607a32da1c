"""An API key may act for a service or pipeline account; `owner` stays the user who answers for it.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_key", sa.Column("account", sa.Uuid()), schema="iam")
