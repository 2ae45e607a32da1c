"""Metrics."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"

SCHEMA = "experiments"
INSTANT = sa.DateTime(timezone=True)


def upgrade():
    op.create_table(
        "metric",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Uuid, nullable=False),
        *(
            sa.Column(name, sa.String, nullable=False)
            for name in ("key", "name", "description", "owner_id", "kind")
        ),
        sa.Column("definition", JSONB, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.UniqueConstraint("tenant", "key", name="metric_key"),
        schema=SCHEMA,
    )
    op.create_index("metric_created", "metric", ["tenant", "created_at", "id"], schema=SCHEMA)
