"""The tables of the `flags` schema."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import base_for
from chassis.idempotency import IdempotencyRow
from chassis.leases import LeaseRow
from chassis.outbox import OutboxRow

Base = base_for("flags")
Time = DateTime(timezone=True)


class ProjectRow(Base):
    """A project of a tenant."""

    __tablename__ = "project"
    __table_args__ = (UniqueConstraint("tenant", "key", name="project_key"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    key: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(200))
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Time)


class EnvironmentRow(Base):
    """An environment of a project; `revision` is what replicas compare with what they hold."""

    __tablename__ = "environment"
    __table_args__ = (UniqueConstraint("project_id", "key", name="environment_key"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey(ProjectRow.id, ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(200))
    revision: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(Time)


class FlagRow(Base):
    """A flag. `variants` is JSON, not JSONB: its order and the form of its numbers are the owner's."""

    __tablename__ = "flag"
    __table_args__ = (
        UniqueConstraint("project_id", "key", name="flag_key"),
        Index("flag_by_age", "project_id", "created_at", "id"),
        Index("flag_by_change", "project_id", "updated_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    project_id: Mapped[UUID] = mapped_column(ForeignKey(ProjectRow.id, ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str]
    type: Mapped[str] = mapped_column(String(20))
    variants: Mapped[dict[str, Any]] = mapped_column(JSON)
    owner_id: Mapped[str] = mapped_column(String(100))
    tags: Mapped[list[str]] = mapped_column(ARRAY(String(50)))
    lifecycle: Mapped[str] = mapped_column(String(20))
    client_side: Mapped[bool]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Time)
    updated_at: Mapped[datetime] = mapped_column(Time)


class SwitchRow(Base):
    """What a flag does in one environment."""

    __tablename__ = "switch"
    __table_args__ = (Index("switch_by_environment", "environment_id"),)

    flag_id: Mapped[UUID] = mapped_column(
        ForeignKey(FlagRow.id, ondelete="CASCADE"), primary_key=True
    )
    environment_id: Mapped[UUID] = mapped_column(
        ForeignKey(EnvironmentRow.id, ondelete="CASCADE"), primary_key=True
    )
    enabled: Mapped[bool]
    default_variant: Mapped[str] = mapped_column(String(100))
    off_variant: Mapped[str] = mapped_column(String(100))
    version: Mapped[int]


class Outbox(OutboxRow, Base):
    """Facts that wait to be delivered."""


class Lease(LeaseRow, Base):
    """Who of several processes does what only one must do."""


class Idempotency(IdempotencyRow, Base):
    """Answers kept for requests that may come again."""
