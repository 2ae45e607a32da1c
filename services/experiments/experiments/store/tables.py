"""The tables of the `experiments` schema."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import base_for
from chassis.idempotency import IdempotencyRow
from chassis.leases import LeaseRow
from chassis.outbox import OutboxRow

Base = base_for("experiments")
Instant = DateTime(timezone=True)
WallClock = DateTime(timezone=False)


class ExperimentRow(Base):
    """One experiment. `due_at` is when the clock moves it next, as `domain.moves.due_at` has it."""

    __tablename__ = "experiment"
    __table_args__ = (
        UniqueConstraint("tenant", "key", name="experiment_key"),
        Index("experiment_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("experiment_created", "tenant", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    key: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    hypothesis: Mapped[str]
    owner_id: Mapped[str]
    unit: Mapped[str]
    flag_key: Mapped[str]
    variants: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    status: Mapped[str]
    start_at: Mapped[datetime | None] = mapped_column(Instant)
    start_wall: Mapped[datetime | None] = mapped_column(WallClock)
    end_at: Mapped[datetime | None] = mapped_column(Instant)
    end_wall: Mapped[datetime | None] = mapped_column(WallClock)
    time_zone: Mapped[str | None]
    schedule_set_at: Mapped[datetime | None] = mapped_column(Instant)
    schedule_begun: Mapped[bool]
    due_at: Mapped[datetime | None] = mapped_column(Instant)
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    completed_at: Mapped[datetime | None] = mapped_column(Instant)
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)


class Outbox(OutboxRow, Base):
    """Facts not yet delivered."""


class Lease(LeaseRow, Base):
    """Who leads."""


class Idempotency(IdempotencyRow, Base):
    """Answers to requests that may come again."""


class MetricRow(Base):
    """One metric. `definition` is what `domain.metric.document` makes of it."""

    __tablename__ = "metric"
    __table_args__ = (
        UniqueConstraint("tenant", "key", name="metric_key"),
        Index("metric_created", "tenant", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    key: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    owner_id: Mapped[str]
    kind: Mapped[str]
    definition: Mapped[dict[str, Any]] = mapped_column(JSONB)
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)
