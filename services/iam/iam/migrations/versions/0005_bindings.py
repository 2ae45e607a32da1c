"""Roles at every scope and for every principal, guests, a project `default` in each tenant.

Yesterday's code goes on beside it: it names no tenant when it gives a role, so a trigger fills in the user's own.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

from authz.confusable import skeleton

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
    twins()
    external()


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


def twins() -> None:
    """Say what names look like. Of roles that look alike already, the oldest is known by its look."""
    op.add_column("role", sa.Column("skeleton", sa.String), schema=IAM)
    op.add_column(
        "tenant", sa.Column("skeleton", sa.String, nullable=False, server_default=""), schema=IAM
    )
    bind, seen = op.get_bind(), set()
    for id_, tenant, name in bind.execute(
        sa.text("SELECT id, tenant, name FROM iam.role ORDER BY created_at, id")
    ).all():
        look = (tenant, skeleton(name))
        if look not in seen:
            seen.add(look)
            change = sa.text("UPDATE iam.role SET skeleton = :look WHERE id = :id")
            bind.execute(change, {"look": look[1], "id": id_})
    for id_, name in bind.execute(sa.text("SELECT id, name FROM iam.tenant")).all():
        change = sa.text("UPDATE iam.tenant SET skeleton = :look WHERE id = :id")
        bind.execute(change, {"look": skeleton(name), "id": id_})
    op.create_unique_constraint("role_skeleton_key", "role", ["tenant", "skeleton"], schema=IAM)
    op.create_index("tenant_by_skeleton", "tenant", ["skeleton"], schema=IAM)


def external() -> None:
    texts = ("idp", "claim", "value", "role", "scope", "place", "rule", "created_by")
    op.create_table(
        "external_role",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(
            "tenant",
            sa.Uuid,
            sa.ForeignKey("iam.tenant.id", name="external_role_tenant_fkey"),
            nullable=False,
        ),
        *(sa.Column(name, sa.String, nullable=False) for name in texts),
        sa.Column("created_at", Time, nullable=False),
        sa.UniqueConstraint(
            *("tenant", "idp", "claim", "value", "role", "scope", "place"),
            name="external_role_key",
        ),
        schema=IAM,
    )
    op.create_index("external_role_by_role", "external_role", ["role"], schema=IAM)
