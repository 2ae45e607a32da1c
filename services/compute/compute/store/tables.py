"""The tables of the `compute` schema."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Identity, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import base_for
from chassis.idempotency import IdempotencyRow
from chassis.leases import LeaseRow
from chassis.outbox import OutboxRow

Base = base_for("compute")
Instant = DateTime(timezone=True)


class VmRow(Base):
    """One machine."""

    __tablename__ = "vm"
    __table_args__ = (
        UniqueConstraint("tenant", "number", name="vm_number"),
        Index("vm_created", "tenant", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    number: Mapped[int]
    name: Mapped[str]
    owner_id: Mapped[str]
    source_type: Mapped[str]
    template_id: Mapped[UUID | None]
    template_name: Mapped[str | None]
    iso_url: Mapped[str | None]
    iso_sha256: Mapped[str | None]
    user_data: Mapped[str | None]
    ssh_keys: Mapped[list[str]] = mapped_column(JSONB)
    labels: Mapped[dict[str, Any]] = mapped_column(JSONB)
    cpu: Mapped[int]
    memory_gb: Mapped[int]
    disk_gb: Mapped[int]
    ip_address: Mapped[str | None]
    wish: Mapped[str]
    step: Mapped[str]
    trouble: Mapped[str | None]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)
    generation: Mapped[int] = mapped_column(server_default=text("1"))
    restart_at: Mapped[int] = mapped_column(server_default=text("0"))
    reset_at: Mapped[int] = mapped_column(server_default=text("0"))
    settled: Mapped[int] = mapped_column(server_default=text("0"))
    operation_id: Mapped[UUID | None]
    host: Mapped[str | None]
    step_since: Mapped[datetime | None] = mapped_column(Instant)
    made: Mapped[bool] = mapped_column(server_default=text("false"))
    medium: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    crashes: Mapped[int] = mapped_column(server_default=text("0"))


class OperationRow(Base):
    """Something that was asked of a machine."""

    __tablename__ = "operation"
    __table_args__ = (
        Index("operation_open", "vm_id", postgresql_where=text("status = 'RUNNING'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    vm_id: Mapped[UUID]
    owner_id: Mapped[str]
    action: Mapped[str]
    generation: Mapped[int]
    asked_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(Instant)
    status: Mapped[str]
    detail: Mapped[str | None]
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    snapshot_id: Mapped[UUID | None]


class SnapshotRow(Base):
    """One snapshot of a machine's disk."""

    __tablename__ = "snapshot"
    __table_args__ = (
        Index("snapshot_of", "vm_id", "created_at", "id"),
        Index("snapshot_open", "vm_id", postgresql_where=text("task IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    vm_id: Mapped[UUID]
    name: Mapped[str]
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)
    operation_id: Mapped[UUID]
    disk_gb: Mapped[int] = mapped_column(server_default=text("0"))
    task: Mapped[str | None]
    taken: Mapped[bool]
    trouble: Mapped[str | None]
    attempts: Mapped[int]
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    version: Mapped[int]


class LogRow(Base):
    """Something that happened to a machine."""

    __tablename__ = "vm_log"
    __table_args__ = (Index("vm_log_of", "vm_id", "seq"),)

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    vm_id: Mapped[UUID]
    at: Mapped[datetime] = mapped_column(Instant)
    level: Mapped[str]
    message: Mapped[str]


class TemplateRow(Base):
    """One template; without a tenant it is for all."""

    __tablename__ = "template"
    __table_args__ = (Index("template_created", "tenant", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID | None]
    name: Mapped[str]
    description: Mapped[str]
    architecture: Mapped[str]
    min_memory_gb: Mapped[int]
    min_disk_gb: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Instant)


class TicketRow(Base):
    """A ticket to a console that nobody has used."""

    __tablename__ = "console_ticket"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    tenant: Mapped[UUID]
    vm_id: Mapped[UUID]
    subject: Mapped[str]
    until: Mapped[datetime] = mapped_column(Instant)


class UsedRow(Base):
    """What one tenant has of its quota, and the number that its last machine got."""

    __tablename__ = "quota_used"

    tenant: Mapped[UUID] = mapped_column(primary_key=True)
    vms: Mapped[int] = mapped_column(server_default=text("0"))
    cpu: Mapped[int] = mapped_column(server_default=text("0"))
    memory_gb: Mapped[int] = mapped_column(server_default=text("0"))
    disk_gb: Mapped[int] = mapped_column(server_default=text("0"))
    last_number: Mapped[int] = mapped_column(server_default=text("0"))
    # What this tenant may have at most; null: as the settings have it. In this row, so that taking is one statement.
    max_vms: Mapped[int | None]
    max_cpu: Mapped[int | None]
    max_memory_gb: Mapped[int | None]
    max_disk_gb: Mapped[int | None]
    version: Mapped[int] = mapped_column(server_default=text("1"))


class Outbox(OutboxRow, Base):
    """Facts not yet delivered."""


class Lease(LeaseRow, Base):
    """Who leads."""


class Idempotency(IdempotencyRow, Base):
    """Answers to requests that may come again."""
