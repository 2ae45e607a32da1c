"""Logs become trees: ordinals, leaves, and what is personal under a key per person.

Nothing that is there is touched here: yesterday's code goes on to write as it does. What it wrote has no leaf; whoever
locks the log's head next gives it one (audit.usecases.recorder), and only such rows may be changed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

STRANDS = {
    "actor": ("actor_id", "n_actor"),
    "entity": ("entity_id", "n_entity"),
    "entity_type": ("entity_type", "n_entity_type"),
    "verb": ("verb", "n_verb"),
    "action": ("action", "n_action"),
    "outcome": ("outcome", "n_outcome"),
}
GUARDS = (
    "DROP TRIGGER refuse ON audit.entry",
    # Without a leaf an entry is not in the tree yet.
    "CREATE TRIGGER refuse_update BEFORE UPDATE ON audit.entry FOR EACH ROW "
    "WHEN (OLD.leaf IS NOT NULL OR NEW.leaf IS NULL) EXECUTE FUNCTION audit.refuse()",
    "ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER refuse_update",
    # Retention says in its transaction that it is what deletes; nothing else does by accident.
    "CREATE TRIGGER refuse_delete BEFORE DELETE ON audit.entry FOR EACH STATEMENT "
    "WHEN (current_setting('audit.retention', true) IS DISTINCT FROM 'on') "
    "EXECUTE FUNCTION audit.refuse()",
    "ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER refuse_delete",
    "CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON audit.entry "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse()",
    "ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER refuse_truncate",
)
ONWARD = """
CREATE OR REPLACE FUNCTION audit.onward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.tenant <> OLD.tenant OR NEW.seq < OLD.seq OR NEW.ts < OLD.ts OR NEW.leaves < OLD.leaves
       OR (NEW.leaves = OLD.leaves AND NEW.edge <> OLD.edge) OR NEW.leaves > NEW.seq
       OR NEW.dropped < OLD.dropped OR NEW.dropped > NEW.leaves THEN
        RAISE EXCEPTION 'the head of a log only goes onward'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade():
    for name in ("action", "outcome"):
        op.add_column("entry", sa.Column(name, sa.String()), schema="audit")
    for _, number in STRANDS.values():
        op.add_column("entry", sa.Column(number, sa.BigInteger()), schema="audit")
    for name in ("leaf", "sealed_actor", "sealed_target"):
        op.add_column("entry", sa.Column(name, sa.LargeBinary()), schema="audit")
    op.alter_column("entry", "noun", nullable=True, schema="audit")
    for name in ("actor", "entity", "entity_type", "verb"):
        op.drop_index(f"entry_{name}", "entry", schema="audit")
    for name, (column, number) in STRANDS.items():
        op.create_index(
            f"entry_{name}",
            "entry",
            ["tenant", column, "seq"],
            schema="audit",
            postgresql_include=[number],
        )
    leaves = sa.Column("leaves", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    edge = sa.Column("edge", sa.LargeBinary(), server_default=sa.text("''"), nullable=False)
    op.add_column("head", leaves, schema="audit")
    op.add_column("head", edge, schema="audit")
    dropped = sa.Column("dropped", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    op.add_column("head", dropped, schema="audit")
    for statement in (*GUARDS, ONWARD):
        op.execute(statement)
    op.create_table(
        "person",
        sa.Column("tenant", sa.Uuid(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("key", sa.LargeBinary()),
        sa.Column("names", sa.String(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
        schema="audit",
    )
    op.create_table(
        "checkpoint",
        sa.Column("tenant", sa.Uuid(), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "size"),
        schema="audit",
    )
    op.create_table(
        "tile",
        sa.Column("tenant", sa.Uuid(), nullable=False),
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "level", "number"),
        schema="audit",
    )
    op.create_table(
        "signer",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        schema="audit",
    )
