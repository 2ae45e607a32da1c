"""Roles at every scope and for every principal, guests, a project `default` in each tenant.

Yesterday's code goes on beside it: it names no tenant when it gives a role, so a trigger fills in the user's own.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

IAM = "iam"
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    scopes()
    guests()
    projects()


def scopes() -> None:
    for column in (
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column(
            "tenant", sa.Uuid, sa.ForeignKey("iam.tenant.id", name="role_binding_tenant_fkey")
        ),
        sa.Column("place", sa.String, nullable=False, server_default=""),
        sa.Column("source", sa.String, nullable=False, server_default=""),
    ):
        op.add_column("role_binding", column, schema=IAM)
    op.execute(
        """
        UPDATE iam.role_binding b SET tenant = u.tenant
        FROM iam."user" u WHERE u.id = b.principal AND b.scope = 'tenant'
        """
    )
    op.drop_constraint("role_binding_pkey", "role_binding", schema=IAM)
    op.create_primary_key("role_binding_pkey", "role_binding", ["id"], schema=IAM)
    op.drop_constraint("role_binding_principal_fkey", "role_binding", schema=IAM)
    op.drop_constraint("role_binding_scope_check", "role_binding", schema=IAM)
    for name, check in (
        ("scope", "scope IN ('platform', 'tenant', 'project', 'object')"),
        ("tenant", "(scope = 'platform') = (tenant IS NULL)"),
        ("place", "(scope IN ('project', 'object')) = (place <> '')"),
    ):
        op.create_check_constraint(f"role_binding_{name}_check", "role_binding", check, schema=IAM)
    op.create_index(
        "role_binding_key",
        "role_binding",
        ["principal", "role", "scope", "tenant", "place", "source"],
        schema=IAM,
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_index(
        "role_binding_by_tenant", "role_binding", ["tenant", "scope", "place"], schema=IAM
    )
    op.execute(
        """
        CREATE FUNCTION iam.role_binding_home() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            SELECT tenant INTO NEW.tenant FROM iam."user" WHERE id = NEW.principal;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER role_binding_home BEFORE INSERT ON iam.role_binding
        FOR EACH ROW WHEN (NEW.scope = 'tenant' AND NEW.tenant IS NULL)
        EXECUTE FUNCTION iam.role_binding_home()
        """
    )


def guests() -> None:
    op.create_table(
        "guest",
        sa.Column(
            "user", sa.Uuid, sa.ForeignKey("iam.user.id", name="guest_user_fkey"), primary_key=True
        ),
        sa.Column(
            "tenant",
            sa.Uuid,
            sa.ForeignKey("iam.tenant.id", name="guest_tenant_fkey"),
            primary_key=True,
        ),
        sa.Column("added_by", sa.String, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        schema=IAM,
    )
    op.create_index("guest_by_tenant", "guest", ["tenant", "user"], schema=IAM)


def projects() -> None:
    """Give each tenant the project `default`, unless it made one itself."""
    op.execute(
        """
        INSERT INTO iam.entity (
            id, tenant, collection, key, key_folded, fields, labels, annotations, acl, inherits,
            readers, created_at, updated_at, version
        )
        SELECT gen_random_uuid(), t.id, 'projects', 'default', 'default',
            '{"name": "Default", "description": ""}', '{}', '{}', '[]', true, '{}', now(), now(), 1
        FROM iam.tenant t
        ON CONFLICT (tenant, collection, key_folded)
            WHERE deleted_at IS NULL AND key_folded IS NOT NULL DO NOTHING
        """
    )
