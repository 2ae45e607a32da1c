"""The tables of the `audit` schema.

`entry.body` holds the exact bytes; the other columns are derived from it, to find it again. Since ts never runs
backwards, seq alone gives the order, and every index ends in it: what a reader may filter by (who, what, which action)
is one range of one index, newest last. No foreign keys: the log outlives what it speaks of.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import base_for
from chassis.idempotency import IdempotencyRow
from chassis.leases import LeaseRow
from chassis.outbox import OutboxRow

Base = base_for("audit")


class EntryRow(Base):
    """One entry. Triggers refuse UPDATE, DELETE and TRUNCATE."""

    __tablename__ = "entry"
    __table_args__ = (
        Index("entry_id", "tenant", "id", unique=True),
        Index("entry_ts", "tenant", "ts", "seq"),
        Index("entry_actor", "tenant", "actor_id", "seq"),
        Index("entry_entity", "tenant", "entity_id", "seq"),
        Index("entry_entity_type", "tenant", "entity_type", "seq"),
        Index("entry_verb", "tenant", "verb", "seq"),
    )

    tenant: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[UUID]
    ts: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    actor_id: Mapped[str]
    entity_type: Mapped[str]
    entity_id: Mapped[str]
    noun: Mapped[str]
    verb: Mapped[str]
    words: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary)


class HeadRow(Base):
    """The end of a tenant's log: whoever appends locks it. A trigger refuses to let it go back or away."""

    __tablename__ = "head"

    tenant: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    ts: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=text("to_timestamp(0)")
    )


class Outbox(OutboxRow, Base):
    """Facts on their way to the log."""


class Lease(LeaseRow, Base):
    """Who may do what only one may do."""


class Idempotency(IdempotencyRow, Base):
    """Answers to requests that may come again."""
