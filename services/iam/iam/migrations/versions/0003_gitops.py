"""What /global keeps beside users.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

IAM = "iam"
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "entity",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(
            "tenant",
            sa.Uuid,
            sa.ForeignKey("iam.tenant.id", name="entity_tenant_fkey"),
            nullable=False,
        ),
        sa.Column("collection", sa.String, nullable=False),
        sa.Column("key", sa.String),
        sa.Column("key_folded", sa.String),
        sa.Column("fields", pg.JSONB, nullable=False),
        sa.Column("labels", pg.JSONB, nullable=False),
        sa.Column("annotations", pg.JSONB, nullable=False),
        sa.Column("acl", pg.JSONB, nullable=False),
        sa.Column("acl_changed_at", Time),
        sa.Column("inherits", sa.Boolean, nullable=False),
        sa.Column("parent", sa.Uuid),
        sa.Column("principal", sa.Uuid),
        sa.Column("creator", sa.Uuid),
        sa.Column("readers", pg.ARRAY(sa.Uuid), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("updated_at", Time, nullable=False),
        sa.Column("deleted_at", Time),
        sa.Column("version", sa.Integer, nullable=False),
        schema=IAM,
    )
    for name, columns, options in (
        (
            "entity_key",
            ["tenant", "collection", "key_folded"],
            {
                "unique": True,
                "postgresql_where": sa.text("deleted_at IS NULL AND key_folded IS NOT NULL"),
            },
        ),
        (
            "entity_edge",
            ["parent", "principal"],
            {
                "unique": True,
                "postgresql_where": sa.text("deleted_at IS NULL AND principal IS NOT NULL"),
            },
        ),
        ("entity_by_tenant", ["tenant", "collection", "id"], {}),
        ("entity_by_parent", ["parent"], {}),
        ("entity_by_principal", ["principal"], {}),
        ("entity_by_reader", ["readers"], {"postgresql_using": "gin"}),
    ):
        op.create_index(name, "entity", columns, schema=IAM, **options)
