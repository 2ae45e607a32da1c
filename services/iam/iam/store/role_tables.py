"""The tables that say who holds which role, and where: part of the `iam` schema."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from iam.store.tables import Base, Time


class RoleBindingRow(Base):
    """That a principal (a user, a group or an account) holds a role, where, and perhaps for a time.

    `role` is the slug of a system role or the id of a tenant's own; `tenant` is where it holds, null only on the
    platform; `place` is a project's slug or a thing's `kind:id`; `source` the identity provider that it came with.
    `begun` is false until replicas have heard that a role with `not_before` is in force.
    """

    __tablename__ = "role_binding"
    __table_args__ = (
        CheckConstraint(
            "scope IN ('platform', 'tenant', 'project', 'object')", name="role_binding_scope_check"
        ),
        CheckConstraint(
            "(scope = 'platform') = (tenant IS NULL)", name="role_binding_tenant_check"
        ),
        CheckConstraint(
            "(scope IN ('project', 'object')) = (place <> '')", name="role_binding_place_check"
        ),
        Index(
            "role_binding_key",
            *("principal", "role", "scope", "tenant", "place", "source"),
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index("role_binding_by_role", "role"),
        Index("role_binding_by_tenant", "tenant", "scope", "place"),
        Index("role_binding_ends", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
        Index("role_binding_begins", "not_before", postgresql_where=text("NOT begun")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    principal: Mapped[UUID]
    role: Mapped[str]
    scope: Mapped[str]
    tenant: Mapped[UUID | None] = mapped_column(
        ForeignKey("iam.tenant.id", name="role_binding_tenant_fkey")
    )
    place: Mapped[str] = mapped_column(server_default="")
    source: Mapped[str] = mapped_column(server_default="")
    not_before: Mapped[datetime | None] = mapped_column(Time)
    expires_at: Mapped[datetime | None] = mapped_column(Time)
    granted_by: Mapped[str] = mapped_column(server_default="")
    reason: Mapped[str] = mapped_column(server_default="")
    begun: Mapped[bool] = mapped_column(server_default=text("true"))


class GuestRow(Base):
    """That a user may act in a tenant beyond their own."""

    __tablename__ = "guest"
    __table_args__ = (Index("guest_by_tenant", "tenant", "user"),)

    user: Mapped[UUID] = mapped_column(
        ForeignKey("iam.user.id", name="guest_user_fkey"), primary_key=True
    )
    tenant: Mapped[UUID] = mapped_column(
        ForeignKey("iam.tenant.id", name="guest_tenant_fkey"), primary_key=True
    )
    added_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(Time)


class RoleRow(Base):
    """One role of a tenant's own. `name_key` is folded, `skeleton` tells twins; System roles are code."""

    __tablename__ = "role"
    __table_args__ = (
        UniqueConstraint("tenant", "name_key", name="role_name_key"),
        UniqueConstraint("tenant", "skeleton", name="role_skeleton_key"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID] = mapped_column(ForeignKey("iam.tenant.id", name="role_tenant_fkey"))
    name: Mapped[str]
    name_key: Mapped[str]
    skeleton: Mapped[str | None]
    description: Mapped[str]
    permissions: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(Time)
    updated_at: Mapped[datetime] = mapped_column(Time)
    version: Mapped[int]


class ExternalRoleRow(Base):
    """Which role comes with a value of a claim of an identity provider."""

    __tablename__ = "external_role"
    __table_args__ = (
        UniqueConstraint(
            *("tenant", "idp", "claim", "value", "role", "scope", "place"),
            name="external_role_key",
        ),
        Index("external_role_by_role", "role"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID] = mapped_column(
        ForeignKey("iam.tenant.id", name="external_role_tenant_fkey")
    )
    idp: Mapped[str]
    claim: Mapped[str]
    value: Mapped[str]
    role: Mapped[str]
    scope: Mapped[str]
    place: Mapped[str]
    rule: Mapped[str]
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(Time)
