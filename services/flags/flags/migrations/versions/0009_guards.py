"""Rollouts with a guard: when it is to be asked next."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
SCHEMA = "flags"


def upgrade() -> None:
    look_at = sa.Column("look_at", sa.DateTime(timezone=True))
    op.add_column("rollout", look_at, schema=SCHEMA)
    op.create_index(
        "rollout_to_look_at",
        "rollout",
        ["look_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("look_at IS NOT NULL"),
    )
