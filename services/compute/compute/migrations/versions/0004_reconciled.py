"""What a worker needs to know of a machine, what was asked of it, and what happened to it.

Everything new has a default: code from before, which never makes a machine, can go on reading and listing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"  # not the number of the file: databases remember it
down_revision = "0004"

SCHEMA = "compute"
INSTANT = sa.DateTime(timezone=True)


def upgrade():
    for name, default in (
        ("generation", "1"),
        ("restart_at", "0"),
        ("reset_at", "0"),
        ("settled", "0"),
    ):
        column = sa.Column(name, sa.Integer, nullable=False, server_default=sa.text(default))
        op.add_column("vm", column, schema=SCHEMA)
    no = sa.text("false")
    for column in (
        sa.Column("operation_id", sa.Uuid),
        sa.Column("host", sa.String),
        sa.Column("step_since", INSTANT),
        sa.Column("made", sa.Boolean, nullable=False, server_default=no),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("due_at", INSTANT),
    ):
        op.add_column("vm", column, schema=SCHEMA)
    _operations()
    _log()


def _operations():
    op.create_table(
        "operation",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Uuid, nullable=False),
        sa.Column("vm_id", sa.Uuid, nullable=False),
        sa.Column("owner_id", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("asked_by", sa.String, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("detail", sa.String),
        sa.Column("finished_at", INSTANT),
        schema=SCHEMA,
    )
    op.create_index(
        "operation_open",
        "operation",
        ["vm_id"],
        schema=SCHEMA,
        postgresql_where=sa.text("status = 'RUNNING'"),
    )


def _log():
    op.create_table(
        "vm_log",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("vm_id", sa.Uuid, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("level", sa.String, nullable=False),
        sa.Column("message", sa.String, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("vm_log_of", "vm_log", ["vm_id", "seq"], schema=SCHEMA)
