"""The tables of the catalogue and of the ledger, in the same `compute` schema."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from compute.store.tables import Base, Instant

_ACTIVE = text("status = 'active'")
# One owner that is nobody: without a name for it, two free agents of one type would not clash.
_OWNER = text("coalesce(owner_tenant_id, '00000000-0000-0000-0000-000000000000'::uuid)")


class AgentRow(Base):
    """One agent; without an owner it is free for all. `look` is what names that look alike have in common."""

    __tablename__ = "agent"
    __table_args__ = (
        Index("agent_own_type", _OWNER, "agent_type", unique=True, postgresql_where=_ACTIVE),
        Index("agent_own_look", _OWNER, "look", unique=True, postgresql_where=_ACTIVE),
        Index("agent_created", "owner_tenant_id", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_tenant_id: Mapped[UUID | None]
    owner_id: Mapped[str]
    agent_type: Mapped[str]
    name: Mapped[str]
    look: Mapped[str]
    description: Mapped[str]
    configuration_template: Mapped[dict[str, Any]] = mapped_column(JSONB)
    card: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    status: Mapped[str]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)


class UsageRow(Base):
    """One line of the ledger: appended, and never changed."""

    __tablename__ = "usage"
    __table_args__ = (
        UniqueConstraint("tenant", "source", "event_id", name="usage_event"),
        Index("usage_occurred", "tenant", "occurred_at", "id"),
        Index("usage_corrects", "corrects", postgresql_where=text("corrects IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    source: Mapped[str]
    event_id: Mapped[str]
    kind: Mapped[str]
    agent_id: Mapped[UUID | None]
    vm_id: Mapped[UUID | None]
    calls: Mapped[int] = mapped_column(BigInteger)
    token_count: Mapped[int | None] = mapped_column(BigInteger)
    seconds: Mapped[int] = mapped_column(BigInteger)
    cost_micros: Mapped[int | None] = mapped_column(BigInteger)
    occurred_at: Mapped[datetime] = mapped_column(Instant)
    recorded_at: Mapped[datetime] = mapped_column(Instant)
    recorded_by: Mapped[str]
    corrects: Mapped[UUID | None]


class IntervalRow(Base):
    """A machine that runs: since when, and when it was last seen running. One at most for each machine."""

    __tablename__ = "vm_interval"

    vm_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    started_at: Mapped[datetime] = mapped_column(Instant)
    seen_at: Mapped[datetime] = mapped_column(Instant)


class ImageRow(Base):
    """What a template is made of, or a machine installed from. Its id is the template's or the machine's."""

    __tablename__ = "image"
    __table_args__ = (
        Index("image_due", "due_at", postgresql_where=text("state IN ('waiting', 'fetching')")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID | None]
    url: Mapped[str | None]
    wanted_sha256: Mapped[str | None]
    source_vm_id: Mapped[UUID | None]
    state: Mapped[str]
    sha256: Mapped[str | None]
    received_bytes: Mapped[int] = mapped_column(BigInteger)
    total_bytes: Mapped[int | None] = mapped_column(BigInteger)
    validator: Mapped[str | None]
    trouble: Mapped[str | None]
    attempts: Mapped[int]
    fence: Mapped[int]
    due_at: Mapped[datetime] = mapped_column(Instant)
    lease_until: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)
