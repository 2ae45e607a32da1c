"""Targeting of flags, segments with their lists, and the revisions of every flag."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0002"
down_revision = "0001"
SCHEMA = "flags"
TIME = sa.DateTime(timezone=True)
NO_TEXTS = sa.text("'{}'")


def upgrade() -> None:
    # Flags that were made before this have their key for a salt, as new ones do; no lock beyond the catalogue's.
    op.add_column("flag", sa.Column("schema", sa.JSON()), schema=SCHEMA)
    op.add_column(
        "flag",
        sa.Column("salt", sa.String(100), nullable=False, server_default=""),
        schema=SCHEMA,
    )
    op.add_column(
        "flag",
        sa.Column("bucketing", sa.SmallInteger(), nullable=False, server_default="1"),
        schema=SCHEMA,
    )
    op.add_column(
        "environment",
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        schema=SCHEMA,
    )
    op.add_column("switch", sa.Column("targeting", sa.JSON()), schema=SCHEMA)
    for name in ("uses_flags", "uses_segments"):
        op.add_column("switch", _texts(name, sa.String(200)), schema=SCHEMA)
    _segments()
    _revisions()


def _segments() -> None:
    op.create_table(
        "segment",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("tenant", sa.Uuid(), nullable=False),
        _reference("project_id", "project"),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("attribute", sa.String(256), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("when", sa.JSON()),
        sa.Column("included", sa.Integer(), nullable=False),
        sa.Column("excluded", sa.Integer(), nullable=False),
        _texts("uses_flags", sa.String(200)),
        _texts("uses_segments", sa.String(200)),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.UniqueConstraint("project_id", "key", name="segment_key"),
        schema=SCHEMA,
    )
    op.create_table(
        "segment_list",
        _reference("segment_id", "segment", primary_key=True),
        sa.Column("included", ARRAY(sa.String()), nullable=False),
        sa.Column("excluded", ARRAY(sa.String()), nullable=False),
        schema=SCHEMA,
    )


def _revisions() -> None:
    op.create_table(
        "revision",
        _reference("flag_id", "flag", primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor_type", sa.String(20), nullable=False),
        sa.Column("actor_id", sa.String(100), nullable=False),
        sa.Column("actor_name", sa.String(), nullable=False),
        sa.Column("action", sa.String(50), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        schema=SCHEMA,
    )


def _texts(name: str, kind: sa.String) -> sa.Column:
    return sa.Column(name, ARRAY(kind), nullable=False, server_default=NO_TEXTS)


def _reference(name: str, table: str, *, primary_key: bool = False) -> sa.Column:
    key = sa.ForeignKey(f"{SCHEMA}.{table}.id", ondelete="CASCADE")
    return sa.Column(name, sa.Uuid(), key, primary_key=primary_key, nullable=False)
