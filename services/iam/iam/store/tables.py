"""The tables of the `iam` schema; those of roles are in `role_tables`."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import Text

from chassis.db import base_for
from chassis.idempotency import IdempotencyRow
from chassis.leases import LeaseRow
from chassis.outbox import OutboxRow

Base = base_for("iam")
Time = DateTime(timezone=True)


def table_of(row: type[DeclarativeBase]) -> Table:
    """Return the table of a kind of rows, for statements about columns: rows as objects cost much more."""
    return cast("Table", row.__table__)


class TenantRow(Base):
    """One organization."""

    __tablename__ = "tenant"
    __table_args__ = (
        UniqueConstraint("subdomain", name="tenant_subdomain_key"),
        Index("tenant_by_skeleton", "skeleton"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subdomain: Mapped[str]
    name: Mapped[str]
    skeleton: Mapped[str] = mapped_column(server_default="")
    full_name: Mapped[str]
    address: Mapped[dict[str, Any]] = mapped_column(JSONB)
    phone: Mapped[str]
    email: Mapped[str]
    active: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(Time)
    updated_at: Mapped[datetime] = mapped_column(Time)
    version: Mapped[int]


class UserRow(Base):
    """One user. `email_key` and `username_key` are folded, for looking up."""

    __tablename__ = "user"
    __table_args__ = (
        Index(
            "user_email_key",
            "tenant",
            "email_key",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "user_username_key",
            "tenant",
            "username_key",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("user_by_email", "email_key"),
        Index("user_by_username", "username_key"),
        Index("user_by_update", "tenant", "updated_at", "id"),
        Index("user_by_tenant", "tenant", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID] = mapped_column(ForeignKey("iam.tenant.id", name="user_tenant_fkey"))
    email: Mapped[str]
    email_key: Mapped[str]
    username: Mapped[str | None]
    username_key: Mapped[str | None]
    first_name: Mapped[str]
    last_name: Mapped[str]
    password: Mapped[str]
    active: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(Time)
    updated_at: Mapped[datetime] = mapped_column(Time)
    last_login_at: Mapped[datetime | None] = mapped_column(Time)
    deleted_at: Mapped[datetime | None] = mapped_column(Time)
    version: Mapped[int]


class InvitationRow(Base):
    """One invitation; its token is known by its SHA-256. One address has one open invitation of a tenant."""

    __tablename__ = "invitation"
    __table_args__ = (
        UniqueConstraint("hash", name="invitation_hash_key"),
        Index("invitation_by_tenant", "tenant", "id"),
        Index(
            "invitation_pending_key",
            "tenant",
            "email_key",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID] = mapped_column(ForeignKey("iam.tenant.id", name="invitation_tenant_fkey"))
    email: Mapped[str]
    email_key: Mapped[str]
    role: Mapped[str]
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    invited_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(Time)
    expires_at: Mapped[datetime] = mapped_column(Time)
    accepted_at: Mapped[datetime | None] = mapped_column(Time)
    accepted_by: Mapped[UUID | None]
    revoked_at: Mapped[datetime | None] = mapped_column(Time)
    version: Mapped[int]


class ApiKeyRow(Base):
    """One API key, without any of its texts."""

    __tablename__ = "api_key"
    __table_args__ = (Index("api_key_by_tenant", "tenant", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID] = mapped_column(ForeignKey("iam.tenant.id", name="api_key_tenant_fkey"))
    # Who answers for it, and the service or pipeline account (in `entity`) that it acts for, if any.
    owner: Mapped[UUID] = mapped_column(ForeignKey("iam.user.id", name="api_key_owner_fkey"))
    account: Mapped[UUID | None]
    name: Mapped[str]
    kind: Mapped[str]
    environment: Mapped[str]
    project: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(Time)
    expires_at: Mapped[datetime | None] = mapped_column(Time)
    revoked_at: Mapped[datetime | None] = mapped_column(Time)
    last_used_at: Mapped[datetime | None] = mapped_column(Time)
    version: Mapped[int]


class ApiKeyVersionRow(Base):
    """One text of an API key, known by its SHA-256 in hex."""

    __tablename__ = "api_key_version"
    __table_args__ = (Index("api_key_version_by_key", "key"),)

    hash: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[UUID] = mapped_column(ForeignKey("iam.api_key.id", name="api_key_version_key_fkey"))
    number: Mapped[int]
    prefix: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(Time)
    expires_at: Mapped[datetime | None] = mapped_column(Time)


class SessionRow(Base):
    """One login."""

    __tablename__ = "session"
    __table_args__ = (
        Index("session_by_user", "user", "id"),
        Index("session_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
        Index("session_by_expiry", "expires_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user: Mapped[UUID] = mapped_column(ForeignKey("iam.user.id", name="session_user_fkey"))
    tenant: Mapped[UUID]
    amr: Mapped[list[str]] = mapped_column(ARRAY(Text))
    ip: Mapped[str]
    user_agent: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(Time)
    seen_at: Mapped[datetime] = mapped_column(Time)
    expires_at: Mapped[datetime] = mapped_column(Time)
    ended_at: Mapped[datetime | None] = mapped_column(Time)


class RefreshTokenRow(Base):
    """One refresh token, known by its SHA-256; the successor is sealed with the token itself."""

    __tablename__ = "refresh_token"
    __table_args__ = (Index("refresh_token_by_session", "session"),)

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    session: Mapped[UUID] = mapped_column(
        ForeignKey("iam.session.id", ondelete="CASCADE", name="refresh_token_session_fkey")
    )
    issued_at: Mapped[datetime] = mapped_column(Time)
    expires_at: Mapped[datetime] = mapped_column(Time)
    used_at: Mapped[datetime | None] = mapped_column(Time)
    successor: Mapped[bytes | None] = mapped_column(LargeBinary)


class PasswordResetRow(Base):
    """A token with which a user may choose a password, known by its SHA-256. A user has one at most."""

    __tablename__ = "password_reset"
    __table_args__ = (UniqueConstraint("hash", name="password_reset_hash_key"),)

    user: Mapped[UUID] = mapped_column(
        ForeignKey("iam.user.id", name="password_reset_user_fkey"), primary_key=True
    )
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Time)
    expires_at: Mapped[datetime] = mapped_column(Time)


class SigningKeyRow(Base):
    """One key that signs access tokens; the private half is sealed."""

    __tablename__ = "signing_key"

    kid: Mapped[str] = mapped_column(primary_key=True)
    jwk: Mapped[str]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Time)
    signs_from: Mapped[datetime] = mapped_column(Time)


class EpochRow(Base):
    """The one row that hands out positions in the change log: whoever changes authority waits here for their turn."""

    __tablename__ = "epoch"
    __table_args__ = (CheckConstraint("id = 1", name="epoch_one_row_check"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[int] = mapped_column(BigInteger)
    trimmed: Mapped[int] = mapped_column(BigInteger)


class ChangeRow(Base):
    """That a thing is not as it was. Each change has a position of its own."""

    __tablename__ = "change"
    __table_args__ = (Index("change_by_time", "at"),)

    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str]
    id: Mapped[str]
    at: Mapped[datetime] = mapped_column(Time, server_default=func.now())


class EntityRow(Base):
    """What /global keeps: a group, an account, a project, a membership, or the labels and the ACL of a user.

    `readers` are all whom an ACL lets list it, the list that its `parent` lends included; `key_folded` is empty where
    the key is made of other things (users, memberships).
    """

    __tablename__ = "entity"
    __table_args__ = (
        Index(
            "entity_key",
            "tenant",
            "collection",
            "key_folded",
            unique=True,
            postgresql_where=text("deleted_at IS NULL AND key_folded IS NOT NULL"),
        ),
        Index(
            "entity_edge",
            "parent",
            "principal",
            unique=True,
            postgresql_where=text("deleted_at IS NULL AND principal IS NOT NULL"),
        ),
        Index("entity_by_tenant", "tenant", "collection", "id"),
        Index("entity_by_parent", "parent"),
        Index("entity_by_principal", "principal"),
        Index("entity_by_reader", "readers", postgresql_using="gin"),
        Index("entity_by_avatar", "avatar", postgresql_where=text("avatar <> ''")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[UUID] = mapped_column(ForeignKey("iam.tenant.id", name="entity_tenant_fkey"))
    collection: Mapped[str]
    key: Mapped[str | None]
    key_folded: Mapped[str | None]
    fields: Mapped[dict[str, Any]] = mapped_column(JSONB)
    labels: Mapped[dict[str, str]] = mapped_column(JSONB)
    annotations: Mapped[dict[str, str]] = mapped_column(JSONB)
    acl: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    acl_changed_at: Mapped[datetime | None] = mapped_column(Time)
    inherits: Mapped[bool]
    parent: Mapped[UUID | None]
    principal: Mapped[UUID | None]
    creator: Mapped[UUID | None]
    readers: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    avatar: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(Time)
    updated_at: Mapped[datetime] = mapped_column(Time)
    deleted_at: Mapped[datetime | None] = mapped_column(Time)
    version: Mapped[int]


class Outbox(OutboxRow, Base):
    """Facts not yet delivered."""


class Lease(LeaseRow, Base):
    """Who does what only one may do."""


class Idempotency(IdempotencyRow, Base):
    """Answers kept for repeated requests."""
