"""What exposures and events become: the inbox, the units' state, and the cells."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0004"
down_revision = "0003"

SCHEMA = "experiments"


def upgrade():
    op.create_table(
        "inbox",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        _short("shard"),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("inbox_shard", "inbox", ["shard", "seq"], schema=SCHEMA)
    op.create_table("shard", _short("number", key=True), schema=SCHEMA)
    op.create_table(
        "event",
        _id("unit"),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String, nullable=False),
        _long("at"),
        _float("value"),
        sa.Column("properties", JSONB),
        schema=SCHEMA,
    )
    op.create_table(
        "exposure",
        _id("unit"),
        _id("experiment"),
        _short("variant"),
        _short("phase"),
        _long("at"),
        sa.Column("dims", sa.String, nullable=False),
        sa.Column("crossed", sa.Boolean, nullable=False),
        schema=SCHEMA,
    )
    _measures()
    op.create_table(
        "tally",
        _id("unit"),
        _id("experiment"),
        _short("metric", key=True),
        *(_float(name) for name in ("above", "below", "above_before", "below_before")),
        schema=SCHEMA,
    )
    op.create_table(
        "cell",
        _id("experiment"),
        sa.Column("slice", sa.String, primary_key=True),
        sa.Column("value", sa.String, primary_key=True),
        *(_short(name, key=True) for name in ("metric", "phase", "variant", "bucket")),
        _long("n"),
        sa.Column("mean", ARRAY(sa.Float), nullable=False),
        sa.Column("co", ARRAY(sa.Float), nullable=False),
        schema=SCHEMA,
    )


def _measures():
    op.create_table(
        "measure",
        _id("experiment"),
        _short("metric", key=True),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("definition", JSONB),
        *(sa.Column(name, sa.Boolean, nullable=False) for name in ("whether", "ratio")),
        sa.Column("low", sa.Float),
        sa.Column("high", sa.Float),
        sa.Column("ranked", sa.Boolean, nullable=False),
        _short("steps"),
        schema=SCHEMA,
    )
    op.create_table(
        "source",
        _id("experiment"),
        sa.Column("name", sa.String, primary_key=True),
        _short("metric", key=True),
        sa.Column("below", sa.Boolean, primary_key=True),
        _short("step", key=True),
        sa.Column("summed", sa.Boolean, nullable=False),
        _long("after"),
        sa.Column("until", sa.BigInteger),
        _long("lookback"),
        schema=SCHEMA,
    )


def _id(name):
    return sa.Column(name, sa.Uuid, primary_key=True)


def _short(name, *, key=False):
    more = {"primary_key": True, "autoincrement": False} if key else {"nullable": False}
    return sa.Column(name, sa.SmallInteger, **more)


def _long(name):
    return sa.Column(name, sa.BigInteger, nullable=False)


def _float(name):
    return sa.Column(name, sa.Float, nullable=False)
