"""What an experiment needs to assign and to be judged: phases, plans, layers, holdouts, publications, reports."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0002"
down_revision = "0001"

SCHEMA = "experiments"
INSTANT = sa.DateTime(timezone=True)


def upgrade():
    _layers()
    # Each with a default: yesterday's code goes on inserting rows without them.
    for column in (
        _text("project", server_default="default"),
        _text("environment", server_default="production"),
        _number("traffic", server_default="100000"),
        sa.Column("targeting", JSONB),
        sa.Column("layer_id", sa.Uuid, sa.ForeignKey(f"{SCHEMA}.layer.id")),
        sa.Column("slot_start", sa.Integer),
        sa.Column("slot_end", sa.Integer),
        _json("metrics", server_default=sa.text("'[]'")),
        _json("analysis", server_default=sa.text("'{}'")),
        sa.Column("tags", ARRAY(sa.String), nullable=False, server_default=sa.text("'{}'")),
        _number("phase", server_default="0"),
        _text("plan_hash", server_default=""),
    ):
        op.add_column("experiment", column, schema=SCHEMA)
    op.create_index(
        "experiment_layer",
        "experiment",
        ["layer_id"],
        schema=SCHEMA,
        postgresql_where=sa.text("layer_id IS NOT NULL"),
    )
    _phases()
    _plans()
    _publications()
    _reports()


def _layers():
    for name, more in (("layer", ()), ("holdout", (_number("share"),))):
        op.create_table(
            name,
            sa.Column("id", sa.Uuid, primary_key=True),
            sa.Column("tenant", sa.Uuid, nullable=False),
            *(_text(column) for column in ("key", "name", "description", "owner_id")),
            *more,
            _number("version"),
            sa.Column("created_at", INSTANT, nullable=False),
            sa.Column("updated_at", INSTANT, nullable=False),
            sa.UniqueConstraint("tenant", "key", name=f"{name}_key"),
            schema=SCHEMA,
        )


def _phases():
    op.create_table(
        "phase",
        _experiment(),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        _text("unit"),
        _text("control"),
        _json("variants"),
        _number("traffic"),
        sa.Column("targeting", JSONB),
        sa.Column("layer_id", sa.Uuid),
        sa.Column("slot_start", sa.Integer),
        sa.Column("slot_end", sa.Integer),
        _json("holdouts"),
        schema=SCHEMA,
    )


def _plans():
    op.create_table(
        "plan",
        _experiment(),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("at", INSTANT, nullable=False),
        *(_text(column) for column in ("by", "reason", "digest")),
        _json("document"),
        schema=SCHEMA,
    )


def _publications():
    op.create_table(
        "publication",
        sa.Column("experiment_id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Uuid, nullable=False),
        _number("version"),
        _json("document"),
        _number("sent"),
        sa.Column("sent_at", INSTANT),
        sa.Column("next_at", INSTANT),
        _number("attempts"),
        _text("trouble"),
        schema=SCHEMA,
    )
    op.create_index(
        "publication_due",
        "publication",
        ["next_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )


def _reports():
    op.create_table(
        "report",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("tenant", sa.Uuid, nullable=False),
        sa.Column("experiment_id", sa.Uuid, nullable=False),
        *(
            _text(column)
            for column in ("experiment_key", "title", "note", "access", "approved_by", "owner_id")
        ),
        sa.Column("link", sa.LargeBinary),
        _json("result"),
        _text("plan_hash"),
        _number("version"),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.UniqueConstraint("link", name="report_link"),
        schema=SCHEMA,
    )
    op.create_index("report_created", "report", ["tenant", "created_at", "id"], schema=SCHEMA)


def _experiment():
    key = sa.ForeignKey(f"{SCHEMA}.experiment.id", ondelete="CASCADE")
    return sa.Column("experiment_id", sa.Uuid, key, primary_key=True)


def _text(name, **more):
    return sa.Column(name, sa.String, nullable=False, **more)


def _number(name, **more):
    return sa.Column(name, sa.Integer, nullable=False, **more)


def _json(name, **more):
    return sa.Column(name, JSONB, nullable=False, **more)
