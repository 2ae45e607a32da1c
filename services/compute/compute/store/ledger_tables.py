"""The tables of the catalogue and of the ledger, in the same `compute` schema."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
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
