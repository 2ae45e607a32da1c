"""Tenants, users, role bindings, API keys, sessions, signing keys and the change log.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

IAM = "iam"
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    people()
    keys()
    sessions()
    changes()
    frame()


def people() -> None:
    op.create_table(
        "tenant",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("subdomain", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("full_name", sa.String, nullable=False),
        sa.Column("address", pg.JSONB, nullable=False),
        sa.Column("phone", sa.String, nullable=False),
        sa.Column("email", sa.String, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("updated_at", Time, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.UniqueConstraint("subdomain", name="tenant_subdomain_key"),
        schema=IAM,
    )
    op.create_table(
        "user",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(
            "tenant",
            sa.Uuid,
            sa.ForeignKey("iam.tenant.id", name="user_tenant_fkey"),
            nullable=False,
        ),
        sa.Column("email", sa.String, nullable=False),
        sa.Column("email_key", sa.String, nullable=False),
        sa.Column("username", sa.String),
        sa.Column("username_key", sa.String),
        sa.Column("first_name", sa.String, nullable=False),
        sa.Column("last_name", sa.String, nullable=False),
        sa.Column("password", sa.String, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("updated_at", Time, nullable=False),
        sa.Column("last_login_at", Time),
        sa.Column("deleted_at", Time),
        sa.Column("version", sa.Integer, nullable=False),
        schema=IAM,
    )
    here = sa.text("deleted_at IS NULL")
    for name, columns, options in (
        ("user_email_key", ["tenant", "email_key"], {"unique": True, "postgresql_where": here}),
        (
            "user_username_key",
            ["tenant", "username_key"],
            {"unique": True, "postgresql_where": here},
        ),
        ("user_by_email", ["email_key"], {}),
        ("user_by_username", ["username_key"], {}),
        ("user_by_update", ["tenant", "updated_at", "id"], {}),
        ("user_by_tenant", ["tenant", "id"], {}),
    ):
        op.create_index(name, "user", columns, schema=IAM, **options)
    op.create_table(
        "role_binding",
        sa.Column(
            "principal",
            sa.Uuid,
            sa.ForeignKey("iam.user.id", name="role_binding_principal_fkey"),
            primary_key=True,
        ),
        sa.Column("role", sa.String, primary_key=True),
        sa.Column("scope", sa.String, primary_key=True),
        sa.CheckConstraint("scope IN ('platform', 'tenant')", name="role_binding_scope_check"),
        schema=IAM,
    )
    op.create_index("role_binding_by_role", "role_binding", ["role"], schema=IAM)


def keys() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(
            "tenant",
            sa.Uuid,
            sa.ForeignKey("iam.tenant.id", name="api_key_tenant_fkey"),
            nullable=False,
        ),
        sa.Column(
            "owner",
            sa.Uuid,
            sa.ForeignKey("iam.user.id", name="api_key_owner_fkey"),
            nullable=False,
        ),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("environment", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("scopes", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("expires_at", Time),
        sa.Column("revoked_at", Time),
        sa.Column("version", sa.Integer, nullable=False),
        schema=IAM,
    )
    op.create_index("api_key_by_tenant", "api_key", ["tenant", "id"], schema=IAM)
    op.create_table(
        "api_key_version",
        sa.Column("hash", sa.String, primary_key=True),
        sa.Column(
            "key",
            sa.Uuid,
            sa.ForeignKey("iam.api_key.id", name="api_key_version_key_fkey"),
            nullable=False,
        ),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("prefix", sa.String, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("expires_at", Time),
        schema=IAM,
    )
    op.create_index("api_key_version_by_key", "api_key_version", ["key"], schema=IAM)
    op.create_table(
        "signing_key",
        sa.Column("kid", sa.String, primary_key=True),
        sa.Column("jwk", sa.String, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("signs_from", Time, nullable=False),
        schema=IAM,
    )


def sessions() -> None:
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(
            "user", sa.Uuid, sa.ForeignKey("iam.user.id", name="session_user_fkey"), nullable=False
        ),
        sa.Column("tenant", sa.Uuid, nullable=False),
        sa.Column("amr", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("ip", sa.String, nullable=False),
        sa.Column("user_agent", sa.String, nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("seen_at", Time, nullable=False),
        sa.Column("expires_at", Time, nullable=False),
        sa.Column("ended_at", Time),
        schema=IAM,
    )
    op.create_index("session_by_user", "session", ["user", "id"], schema=IAM)
    op.create_index("session_by_expiry", "session", ["expires_at"], schema=IAM)
    op.create_index(
        "session_ended",
        "session",
        ["ended_at"],
        schema=IAM,
        postgresql_where=sa.text("ended_at IS NOT NULL"),
    )
    op.create_table(
        "refresh_token",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column(
            "session",
            sa.Uuid,
            sa.ForeignKey("iam.session.id", ondelete="CASCADE", name="refresh_token_session_fkey"),
            nullable=False,
        ),
        sa.Column("issued_at", Time, nullable=False),
        sa.Column("expires_at", Time, nullable=False),
        sa.Column("used_at", Time),
        sa.Column("successor", sa.LargeBinary),
        schema=IAM,
    )
    op.create_index("refresh_token_by_session", "refresh_token", ["session"], schema=IAM)


def changes() -> None:
    epoch = op.create_table(
        "epoch",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("trimmed", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name="epoch_one_row_check"),
        schema=IAM,
    )
    op.bulk_insert(epoch, [{"id": 1, "value": 0, "trimmed": 0}])
    op.create_table(
        "change",
        sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("at", Time, nullable=False, server_default=sa.func.now()),
        schema=IAM,
    )
    op.create_index("change_by_time", "change", ["at"], schema=IAM)


def frame() -> None:
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("event_id", sa.Uuid, nullable=False, unique=True),
        sa.Column("body", pg.JSONB, nullable=False),
        sa.Column("written_at", Time, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("parked_at", Time),
        sa.Column("trouble", sa.String),
        schema=IAM,
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("until", Time, nullable=False),
        schema=IAM,
    )
    op.create_table(
        "idempotency",
        sa.Column("id", sa.LargeBinary, primary_key=True),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("made_at", Time, nullable=False, server_default=sa.func.now()),
        schema=IAM,
    )
    op.create_index("ix_iam_idempotency_made_at", "idempotency", ["made_at"], schema=IAM)
