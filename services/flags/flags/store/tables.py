"""The tables of the `flags` schema."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    DateTime,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import base_for
from chassis.idempotency import IdempotencyRow
from chassis.leases import LeaseRow
from chassis.outbox import OutboxRow

Base = base_for("flags")
Time = DateTime(timezone=True)
KEYS = ARRAY(String(200))
_NO_KEYS = text("'{}'")


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
    approvals: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    revision: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(server_default="1")
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
    schema: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    salt: Mapped[str] = mapped_column(String(100), server_default="")
    bucketing: Mapped[int] = mapped_column(SmallInteger, server_default="1")
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
    targeting: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    uses_flags: Mapped[list[str]] = mapped_column(KEYS, server_default=_NO_KEYS)
    uses_segments: Mapped[list[str]] = mapped_column(KEYS, server_default=_NO_KEYS)
    version: Mapped[int]


class AllocationRow(Base):
    """What an experiment wants of a flag, as of the experiment's version; `document` NULL: nothing (any more).

    The row outlives what it says, so that an older version that comes late is known to be old.
    """

    __tablename__ = "allocation"
    __table_args__ = (Index("allocation_by_environment", "environment_id"),)

    experiment_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    version: Mapped[int] = mapped_column(BigInteger)
    flag_id: Mapped[UUID | None] = mapped_column(ForeignKey(FlagRow.id, ondelete="SET NULL"))
    environment_id: Mapped[UUID | None] = mapped_column(
        ForeignKey(EnvironmentRow.id, ondelete="SET NULL")
    )
    document: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    uses_segments: Mapped[list[str]] = mapped_column(KEYS, server_default=_NO_KEYS)
    updated_at: Mapped[datetime] = mapped_column(Time)


class SegmentRow(Base):
    """A segment but for its lists; these are counted here."""

    __tablename__ = "segment"
    __table_args__ = (UniqueConstraint("project_id", "key", name="segment_key"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    project_id: Mapped[UUID] = mapped_column(ForeignKey(ProjectRow.id, ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str]
    attribute: Mapped[str] = mapped_column(String(256))
    kind: Mapped[str] = mapped_column(String(20))
    when: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    included: Mapped[int]
    excluded: Mapped[int]
    uses_flags: Mapped[list[str]] = mapped_column(KEYS, server_default=_NO_KEYS)
    uses_segments: Mapped[list[str]] = mapped_column(KEYS, server_default=_NO_KEYS)
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Time)
    updated_at: Mapped[datetime] = mapped_column(Time)


def named(table: type[FlagRow | SegmentRow], name: str) -> ColumnElement[bool]:
    """Return that a row is the one with this id or key: keys that look like ids name things by their ids."""
    try:
        return table.id == UUID(name)
    except ValueError:
        return table.key == name


class SegmentListRow(Base):
    """Who is listed in a segment. Apart from it, so that a page of segments does not carry 100,000 ids each."""

    __tablename__ = "segment_list"

    segment_id: Mapped[UUID] = mapped_column(
        ForeignKey(SegmentRow.id, ondelete="CASCADE"), primary_key=True
    )
    included: Mapped[list[str]] = mapped_column(ARRAY(String))
    excluded: Mapped[list[str]] = mapped_column(ARRAY(String))


class RevisionRow(Base):
    """A flag as one change left it; its number is the flag's version."""

    __tablename__ = "revision"

    flag_id: Mapped[UUID] = mapped_column(
        ForeignKey(FlagRow.id, ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Time)
    actor_type: Mapped[str] = mapped_column(String(20))
    actor_id: Mapped[str] = mapped_column(String(100))
    actor_name: Mapped[str]
    action: Mapped[str] = mapped_column(String(50))
    reason: Mapped[str]
    document: Mapped[dict[str, Any]] = mapped_column(JSON)


class PlanRow:
    """What all that is done later has in common. `said` is what was asked for, `next_at` when it is next looked at."""

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    flag_id: Mapped[UUID] = mapped_column(ForeignKey(FlagRow.id, ondelete="CASCADE"))
    environment: Mapped[str] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(20))
    next_at: Mapped[datetime | None] = mapped_column(Time)
    said: Mapped[dict[str, Any]] = mapped_column(JSON)
    author: Mapped[dict[str, Any]] = mapped_column(JSON)
    approved: Mapped[UUID | None]
    attempts: Mapped[int]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Time)
    updated_at: Mapped[datetime] = mapped_column(Time)


class ScheduleRow(PlanRow, Base):
    """A scheduled change of a flag."""

    __tablename__ = "schedule"
    __table_args__ = (
        Index("schedule_of_flag", "flag_id", "environment", "id"),
        Index("schedule_due", "next_at", postgresql_where=text("status = 'pending'")),
    )


class RolloutRow(PlanRow, Base):
    """A progressive rollout of a flag. `look_at`: when its guard is to be asked; such a one has no `next_at`."""

    __tablename__ = "rollout"
    __table_args__ = (
        Index("rollout_of_flag", "flag_id", "environment", "id"),
        Index("rollout_due", "next_at", postgresql_where=text("next_at IS NOT NULL")),
        Index("rollout_to_look_at", "look_at", postgresql_where=text("look_at IS NOT NULL")),
        Index(
            "rollout_unfinished",
            "flag_id",
            "environment",
            unique=True,
            postgresql_where=text("status IN ('waiting', 'running', 'paused')"),
        ),
    )

    look_at: Mapped[datetime | None] = mapped_column(Time)


class ChangeRequestRow(Base):
    """A change request. `said` is what it proposes, who approved it, and what became of it."""

    __tablename__ = "change_request"
    __table_args__ = (Index("change_request_of_project", "project_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID]
    project_id: Mapped[UUID] = mapped_column(ForeignKey(ProjectRow.id, ondelete="CASCADE"))
    flag_id: Mapped[UUID] = mapped_column(ForeignKey(FlagRow.id, ondelete="CASCADE"))
    environment: Mapped[str] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(20))
    title: Mapped[str]
    said: Mapped[dict[str, Any]] = mapped_column(JSON)
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Time)
    updated_at: Mapped[datetime] = mapped_column(Time)


class UsageRow(Base):
    """How often a flag served a variant for a reason in one hour. No foreign keys: counting locks nobody's flag."""

    __tablename__ = "usage"
    __table_args__ = (Index("usage_by_age", "hour"),)

    environment_id: Mapped[UUID] = mapped_column(primary_key=True)
    flag_id: Mapped[UUID] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(Time, primary_key=True)
    variant: Mapped[str] = mapped_column(String(100), primary_key=True)
    reason: Mapped[str] = mapped_column(String(30), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)


class VariantUseRow(Base):
    """In which hour a flag first and last served a variant: asked of all flags at once, where counts are too many."""

    __tablename__ = "variant_use"

    environment_id: Mapped[UUID] = mapped_column(primary_key=True)
    flag_id: Mapped[UUID] = mapped_column(primary_key=True)
    variant: Mapped[str] = mapped_column(String(100), primary_key=True)
    first: Mapped[datetime] = mapped_column(Time)
    last: Mapped[datetime] = mapped_column(Time)


class Outbox(OutboxRow, Base):
    """Facts that wait to be delivered."""


class Lease(LeaseRow, Base):
    """Who of several processes does what only one must do."""


class Idempotency(IdempotencyRow, Base):
    """Answers kept for requests that may come again."""
