"""Tickets to the serial consoles of machines."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

SCHEMA = "compute"


def upgrade():
    op.create_table(
        "console_ticket",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("tenant", sa.Uuid, nullable=False),
        sa.Column("vm_id", sa.Uuid, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        schema=SCHEMA,
    )
