"""The tables of the `experiments` schema."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import base_for
from chassis.idempotency import IdempotencyRow
from chassis.leases import LeaseRow
from chassis.outbox import OutboxRow

Base = base_for("experiments")
Instant = DateTime(timezone=True)
WallClock = DateTime(timezone=False)
Document = JSONB(none_as_null=True)


class LayerRow(Base):
    """One layer. Whoever gives out a range of it locks it first."""

    __tablename__ = "layer"
    __table_args__ = (UniqueConstraint("tenant", "key", name="layer_key"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    key: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    owner_id: Mapped[str]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)


class HoldoutRow(Base):
    """One holdout."""

    __tablename__ = "holdout"
    __table_args__ = (UniqueConstraint("tenant", "key", name="holdout_key"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    key: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    owner_id: Mapped[str]
    share: Mapped[int]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)


class ExperimentRow(Base):
    """One experiment. `due_at` is when the clock moves it next, as `domain.moves.due_at` has it."""

    __tablename__ = "experiment"
    __table_args__ = (
        UniqueConstraint("tenant", "key", name="experiment_key"),
        Index("experiment_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("experiment_created", "tenant", "created_at", "id"),
        Index("experiment_layer", "layer_id", postgresql_where=text("layer_id IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    key: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    hypothesis: Mapped[str]
    owner_id: Mapped[str]
    unit: Mapped[str]
    project: Mapped[str] = mapped_column(server_default="default")
    environment: Mapped[str] = mapped_column(server_default="production")
    flag_key: Mapped[str]
    variants: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    traffic: Mapped[int] = mapped_column(server_default="100000")
    targeting: Mapped[dict[str, Any] | None] = mapped_column(Document)
    layer_id: Mapped[UUID | None] = mapped_column(ForeignKey(LayerRow.id))
    slot_start: Mapped[int | None]
    slot_end: Mapped[int | None]
    metrics: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    analysis: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    tags: Mapped[list[str]] = mapped_column(ARRAY(String), server_default=text("'{}'"))
    phase: Mapped[int] = mapped_column(server_default="0")
    plan_hash: Mapped[str] = mapped_column(server_default="")
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


class PhaseRow(Base):
    """One span of an experiment in which nothing about its assignment changed; `ended_at` NULL: it goes on."""

    __tablename__ = "phase"

    experiment_id: Mapped[UUID] = mapped_column(
        ForeignKey(ExperimentRow.id, ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    unit: Mapped[str]
    control: Mapped[str]
    variants: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    traffic: Mapped[int]
    targeting: Mapped[dict[str, Any] | None] = mapped_column(Document)
    layer_id: Mapped[UUID | None]
    slot_start: Mapped[int | None]
    slot_end: Mapped[int | None]
    holdouts: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


class PlanRow(Base):
    """An analysis plan as it was from `at` on: number 1 is that of the start, each later one a change of it."""

    __tablename__ = "plan"

    experiment_id: Mapped[UUID] = mapped_column(
        ForeignKey(ExperimentRow.id, ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    by: Mapped[str]
    reason: Mapped[str]
    digest: Mapped[str]
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)


class PublicationRow(Base):
    """What flags has to know of an experiment, and whether it does: `sent` is the version that it took.

    `next_at` is when to try (again), NULL when there is nothing to tell. Rows outlive their experiments.
    """

    __tablename__ = "publication"
    __table_args__ = (
        Index("publication_due", "next_at", postgresql_where=text("next_at IS NOT NULL")),
    )

    experiment_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    version: Mapped[int]
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    sent: Mapped[int]
    sent_at: Mapped[datetime | None] = mapped_column(Instant)
    next_at: Mapped[datetime | None] = mapped_column(Instant)
    attempts: Mapped[int]
    trouble: Mapped[str]


class ReportRow(Base):
    """A result that somebody saved, with their words, and who may read it."""

    __tablename__ = "report"
    __table_args__ = (
        Index("report_created", "tenant", "created_at", "id"),
        UniqueConstraint("link", name="report_link"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    experiment_id: Mapped[UUID]
    experiment_key: Mapped[str]
    title: Mapped[str]
    note: Mapped[str]
    access: Mapped[str]
    approved_by: Mapped[str]
    owner_id: Mapped[str]
    link: Mapped[bytes | None] = mapped_column(LargeBinary)
    result: Mapped[dict[str, Any]] = mapped_column(JSONB)
    plan_hash: Mapped[str]
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
