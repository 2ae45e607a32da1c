"""Checkpoints are leaves of a log of their own, and full tiles know what they come to."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.add_column("checkpoint", sa.Column("number", sa.BigInteger()), schema="audit")
    op.create_index("checkpoint_number", "checkpoint", ["number"], unique=True, schema="audit")
    op.add_column("tile", sa.Column("root", sa.LargeBinary(), nullable=False), schema="audit")
