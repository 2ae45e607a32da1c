"""How often in a row a guest died soon after it was started."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade():
    crashes = sa.Column("crashes", sa.Integer, nullable=False, server_default=sa.text("0"))
    op.add_column("vm", crashes, schema="compute")
