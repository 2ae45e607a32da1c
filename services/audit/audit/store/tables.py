"""The tables of the `audit` schema.

`entry.body` holds the exact bytes; the other columns are derived from it, to find it again. Since ts never runs
backwards, seq alone gives the order, and every index ends in it: what a reader may filter by (who, what, which action)
is one range of one index, newest last, and carries the entry's number within that strand. No foreign keys: the log
outlives what it speaks of.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, LargeBinary, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import base_for
from chassis.idempotency import IdempotencyRow
from chassis.leases import LeaseRow
from chassis.outbox import OutboxRow

Base = base_for("audit")

# Of each strand, the column of its value and that of the entry's number in it.
STRANDS = {
    "actor": ("actor_id", "n_actor"),
    "entity": ("entity_id", "n_entity"),
    "entity_type": ("entity_type", "n_entity_type"),
    "verb": ("verb", "n_verb"),
    "action": ("action", "n_action"),
    "outcome": ("outcome", "n_outcome"),
}
# What else is in a strand's index, so that what two filters ask for together is counted without a look at the table.
# An action ends in its verb, so where it stands the verb is known.
BESIDES = {
    "actor": ("entity_type", "action", "outcome"),
    "entity": ("entity_type", "action", "outcome"),
    "entity_type": ("action", "outcome"),
    "verb": ("entity_type", "outcome"),
    "action": ("entity_type", "outcome"),
    "outcome": ("entity_type", "action"),
}


class EntryRow(Base):
    """One entry. Triggers refuse UPDATE once it has a leaf, DELETE to all but retention, and TRUNCATE.

    What has no leaf was written before logs were trees; `noun` was read then, and is no longer written.
    """

    __tablename__ = "entry"
    __table_args__ = (
        Index("entry_id", "tenant", "id", unique=True),
        Index("entry_ts", "tenant", "ts", "seq"),
        *(
            Index(
                f"entry_by_{name}",
                *("tenant", column, "seq"),
                postgresql_include=[number, *BESIDES[name]],
            )
            for name, (column, number) in STRANDS.items()
        ),
    )

    tenant: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[UUID]
    ts: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    actor_id: Mapped[str]
    entity_type: Mapped[str]
    entity_id: Mapped[str]
    noun: Mapped[str | None]
    verb: Mapped[str]
    words: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    action: Mapped[str | None]
    outcome: Mapped[str | None]
    n_actor: Mapped[int | None] = mapped_column(BigInteger)
    n_entity: Mapped[int | None] = mapped_column(BigInteger)
    n_entity_type: Mapped[int | None] = mapped_column(BigInteger)
    n_verb: Mapped[int | None] = mapped_column(BigInteger)
    n_action: Mapped[int | None] = mapped_column(BigInteger)
    n_outcome: Mapped[int | None] = mapped_column(BigInteger)
    leaf: Mapped[bytes | None] = mapped_column(LargeBinary)
    sealed_actor: Mapped[bytes | None] = mapped_column(LargeBinary)
    sealed_target: Mapped[bytes | None] = mapped_column(LargeBinary)


class HeadRow(Base):
    """The end of a tenant's log and of its tree: whoever appends locks it. A trigger refuses to let it go back or away.

    `dropped` of the oldest entries are gone by retention; their leaves are not.
    """

    __tablename__ = "head"

    tenant: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    ts: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=text("to_timestamp(0)")
    )
    leaves: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    edge: Mapped[bytes] = mapped_column(LargeBinary, server_default=text("''"))
    dropped: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class PersonRow(Base):
    """Somebody whom a log speaks of: their wrapped key, and what they were called. Without a key: erased."""

    __tablename__ = "person"

    tenant: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[bytes | None] = mapped_column(LargeBinary)
    names: Mapped[str] = mapped_column(server_default=text("''"))


class CheckpointRow(Base):
    """A signed state of a tree. `number` is its place in the platform's log of checkpoints, which has none itself."""

    __tablename__ = "checkpoint"
    __table_args__ = (Index("checkpoint_number", "number", unique=True),)

    tenant: Mapped[UUID] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    note: Mapped[str]
    number: Mapped[int | None] = mapped_column(BigInteger)


class TileRow(Base):
    """256 neighbouring hashes of a tree, 8 levels apart (C2SP tlog-tiles). They outlive the entries."""

    __tablename__ = "tile"

    tenant: Mapped[UUID] = mapped_column(primary_key=True)
    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hashes: Mapped[bytes] = mapped_column(LargeBinary)
    root: Mapped[bytes] = mapped_column(LargeBinary)


class SignerRow(Base):
    """The key that signs checkpoints; the private half is sealed."""

    __tablename__ = "signer"

    name: Mapped[str] = mapped_column(primary_key=True)
    public: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class ErasureRow(Base):
    """That a person was erased from a log. The person's row, without a key, is what makes it so."""

    __tablename__ = "erasure"

    tenant: Mapped[UUID] = mapped_column(primary_key=True)
    person: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID]
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    asked_by: Mapped[str]
    reason: Mapped[str]


class RetentionRow(Base):
    """How long a tenant's log is kept."""

    __tablename__ = "retention"

    tenant: Mapped[UUID] = mapped_column(primary_key=True)
    days: Mapped[int | None]
    legal_hold: Mapped[bool]
    version: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class StreamRow(Base):
    """A receiver that gets every entry."""

    __tablename__ = "stream"
    __table_args__ = (Index("stream_tenant", "tenant", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    url: Mapped[str]
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str]
    why: Mapped[str]
    cursor: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int]
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    version: Mapped[int]


class Outbox(OutboxRow, Base):
    """Facts on their way to the log."""


class Lease(LeaseRow, Base):
    """Who may do what only one may do."""


class Idempotency(IdempotencyRow, Base):
    """Answers to requests that may come again."""
