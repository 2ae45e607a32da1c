"""The catalogue of agents."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"  # not the number of the file: databases remember it
down_revision = "0001"

SCHEMA = "compute"
INSTANT = sa.DateTime(timezone=True)
OWNER = sa.text("coalesce(owner_tenant_id, '00000000-0000-0000-0000-000000000000'::uuid)")
ACTIVE = sa.text("status = 'active'")


def upgrade():
    op.create_table(
        "agent",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("owner_tenant_id", sa.Uuid),
        sa.Column("owner_id", sa.String, nullable=False),
        sa.Column("agent_type", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("look", sa.String, nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("configuration_template", JSONB, nullable=False),
        sa.Column("card", JSONB),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        schema=SCHEMA,
    )
    for name, column in (("agent_own_type", "agent_type"), ("agent_own_look", "look")):
        op.create_index(
            name, "agent", [OWNER, column], unique=True, schema=SCHEMA, postgresql_where=ACTIVE
        )
    listed = ["owner_tenant_id", "created_at", "id"]
    op.create_index("agent_created", "agent", listed, schema=SCHEMA)
