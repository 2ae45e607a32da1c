"""An API key may be owned by a service or pipeline account, which is no user.

Revision ID: 0008
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint("api_key_owner_fkey", "api_key", schema="iam", type_="foreignkey")
