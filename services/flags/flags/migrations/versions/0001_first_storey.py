"""Projects, environments, flags and their switches; what every schema has."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0001"
down_revision = None
SCHEMA = "flags"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "project",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("tenant", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.UniqueConstraint("tenant", "key", name="project_key"),
        schema=SCHEMA,
    )
    op.create_table(
        "environment",
        sa.Column("id", sa.Uuid(), primary_key=True),
        _reference("project_id", "project"),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.UniqueConstraint("project_id", "key", name="environment_key"),
        schema=SCHEMA,
    )
    op.create_table(
        "flag",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("tenant", sa.Uuid(), nullable=False),
        _reference("project_id", "project"),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("type", sa.String(20), nullable=False),
        sa.Column("variants", sa.JSON(), nullable=False),
        sa.Column("owner_id", sa.String(100), nullable=False),
        sa.Column("tags", ARRAY(sa.String(50)), nullable=False),
        sa.Column("lifecycle", sa.String(20), nullable=False),
        sa.Column("client_side", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.UniqueConstraint("project_id", "key", name="flag_key"),
        schema=SCHEMA,
    )
    op.create_index("flag_by_age", "flag", ["project_id", "created_at", "id"], schema=SCHEMA)
    op.create_index("flag_by_change", "flag", ["project_id", "updated_at", "id"], schema=SCHEMA)
    op.create_table(
        "switch",
        _reference("flag_id", "flag", primary_key=True),
        _reference("environment_id", "environment", primary_key=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("default_variant", sa.String(100), nullable=False),
        sa.Column("off_variant", sa.String(100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        schema=SCHEMA,
    )
    op.create_index("switch_by_environment", "switch", ["environment_id"], schema=SCHEMA)
    _what_every_schema_has()


def _reference(name: str, table: str, *, primary_key: bool = False) -> sa.Column:
    key = sa.ForeignKey(f"{SCHEMA}.{table}.id", ondelete="CASCADE")
    return sa.Column(name, sa.Uuid(), key, primary_key=primary_key, nullable=False)


def _what_every_schema_has() -> None:
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column("event_id", sa.Uuid(), nullable=False, unique=True),
        sa.Column("body", JSONB(), nullable=False),
        sa.Column("written_at", TIME, nullable=False, server_default=sa.func.clock_timestamp()),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("parked_at", TIME),
        sa.Column("trouble", sa.String()),
        schema=SCHEMA,
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False, server_default=sa.text("1")),
        sa.Column("until", TIME, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "idempotency",
        sa.Column("id", sa.LargeBinary(), primary_key=True),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", TIME, nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )
    op.create_index("ix_flags_idempotency_made_at", "idempotency", ["made_at"], schema=SCHEMA)
