"""When an experiment ends, beside what it measures: from then on nothing counts."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade():
    op.add_column("source", sa.Column("closes", sa.BigInteger), schema="experiments")
