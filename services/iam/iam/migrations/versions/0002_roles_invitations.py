"""Tenants' own roles, roles that are given for a time, invitations. Expands only: yesterday's code goes on beside it.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

IAM = "iam"
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    windows()
    roles()
    invitations()


def windows() -> None:
    for column in (
        sa.Column("not_before", Time),
        sa.Column("expires_at", Time),
        sa.Column("granted_by", sa.String, nullable=False, server_default=""),
        sa.Column("reason", sa.String, nullable=False, server_default=""),
        sa.Column("begun", sa.Boolean, nullable=False, server_default=sa.text("true")),
    ):
        op.add_column("role_binding", column, schema=IAM)
    op.create_index(
        "role_binding_ends",
        "role_binding",
        ["expires_at"],
        schema=IAM,
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index(
        "role_binding_begins",
        "role_binding",
        ["not_before"],
        schema=IAM,
        postgresql_where=sa.text("NOT begun"),
    )


def roles() -> None:
    op.create_table(
        "role",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(
            "tenant",
            sa.Uuid,
            sa.ForeignKey("iam.tenant.id", name="role_tenant_fkey"),
            nullable=False,
        ),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("name_key", sa.String, nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("permissions", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("updated_at", Time, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.UniqueConstraint("tenant", "name_key", name="role_name_key"),
        schema=IAM,
    )


def invitations() -> None:
    op.create_table(
        "invitation",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(
            "tenant",
            sa.Uuid,
            sa.ForeignKey("iam.tenant.id", name="invitation_tenant_fkey"),
            nullable=False,
        ),
        sa.Column("email", sa.String, nullable=False),
        sa.Column("email_key", sa.String, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("invited_by", sa.String, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("expires_at", Time, nullable=False),
        sa.Column("accepted_at", Time),
        sa.Column("accepted_by", sa.Uuid),
        sa.Column("revoked_at", Time),
        sa.Column("version", sa.Integer, nullable=False),
        sa.UniqueConstraint("hash", name="invitation_hash_key"),
        schema=IAM,
    )
    op.create_index("invitation_by_tenant", "invitation", ["tenant", "id"], schema=IAM)
    op.create_index(
        "invitation_pending_key",
        "invitation",
        ["tenant", "email_key"],
        schema=IAM,
        unique=True,
        postgresql_where=sa.text("accepted_at IS NULL AND revoked_at IS NULL"),
    )
