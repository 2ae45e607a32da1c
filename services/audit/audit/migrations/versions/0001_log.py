"""The log, its heads, and the tables that every service has."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

# The service's role owns its schema, so it cannot be kept from the log by REVOKE: triggers refuse instead, and ALWAYS
# holds for a replication role as well. Retention will drop whole partitions, which is DDL and never an accident.
REFUSE = """
CREATE FUNCTION audit.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % of audit.% is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$
"""
ONWARD = """
CREATE FUNCTION audit.onward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.tenant <> OLD.tenant OR NEW.seq < OLD.seq OR NEW.ts < OLD.ts THEN
        RAISE EXCEPTION 'the head of a log only goes onward'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$
"""
GUARDS = (
    "CREATE TRIGGER refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.entry "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse()",
    "ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER refuse",
    "CREATE TRIGGER refuse BEFORE DELETE OR TRUNCATE ON audit.head "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse()",
    "ALTER TABLE audit.head ENABLE ALWAYS TRIGGER refuse",
    "CREATE TRIGGER onward BEFORE UPDATE ON audit.head "
    "FOR EACH ROW EXECUTE FUNCTION audit.onward()",
    "ALTER TABLE audit.head ENABLE ALWAYS TRIGGER onward",
)
# A plan made when the log was small must not be kept when it is large.
PLANS = """
DO $$ BEGIN
    EXECUTE format(
        'ALTER ROLE CURRENT_USER IN DATABASE %I SET plan_cache_mode = force_custom_plan',
        current_database());
END $$
"""


def upgrade():
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "entry",
        sa.Column("tenant", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("ts", moment, nullable=False),
        sa.Column("actor_id", sa.String(), nullable=False),
        sa.Column("entity_type", sa.String(), nullable=False),
        sa.Column("entity_id", sa.String(), nullable=False),
        sa.Column("noun", sa.String(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "seq"),
        schema="audit",
    )
    op.create_index("entry_id", "entry", ["tenant", "id"], unique=True, schema="audit")
    op.create_index("entry_ts", "entry", ["tenant", "ts", "seq"], schema="audit")
    op.create_index("entry_actor", "entry", ["tenant", "actor_id", "seq"], schema="audit")
    op.create_index("entry_entity", "entry", ["tenant", "entity_id", "seq"], schema="audit")
    op.create_index("entry_entity_type", "entry", ["tenant", "entity_type", "seq"], schema="audit")
    op.create_index("entry_verb", "entry", ["tenant", "verb", "seq"], schema="audit")
    op.create_table(
        "head",
        sa.Column("tenant", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("ts", moment, server_default=sa.text("to_timestamp(0)"), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
        schema="audit",
    )
    for statement in (REFUSE, ONWARD, *GUARDS, PLANS):
        op.execute(statement)
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column(
            "written_at", moment, server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("parked_at", moment),
        sa.Column("trouble", sa.String()),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("event_id"),
        schema="audit",
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("fence", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("until", moment, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        schema="audit",
    )
    op.create_table(
        "idempotency",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", moment, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="audit",
    )
    op.create_index(
        op.f("ix_audit_idempotency_made_at"), "idempotency", ["made_at"], schema="audit"
    )
