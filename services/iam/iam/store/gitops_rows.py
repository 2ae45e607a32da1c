"""From rows to what /global keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize
from uuid import UUID

from iam.domain.acl import Acl, Entry
from iam.domain.gitops import Collection, Entity, user_key
from iam.domain.names import folded
from iam.domain.user import User
from iam.store.tables import EntityRow, UserRow


@dataclass(frozen=True, slots=True)
class Name:
    """How somebody was called: by key, or by id."""

    key: str
    folded: str
    id: UUID | None

    @classmethod
    def of(cls, key: str) -> "Name":
        """Read a key."""
        try:
            return cls(key, "", UUID(key))
        except ValueError:
            return cls(key, folded(normalize("NFC", key.removeprefix("u_"))), None)


def entity_of(row: EntityRow) -> Entity:
    """Return the thing in a row."""
    return Entity(
        id=row.id,
        tenant=row.tenant,
        collection=Collection(row.collection),
        key=row.key or "",
        fields=row.fields,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
        version=row.version,
        **_governed(row),
    )


def person_of(user: User, row: EntityRow | None) -> Entity:
    """Return a user as /global has them; `row` is there if somebody gave them labels or a list."""
    fields = {
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "is_active": user.active,
    }
    return Entity(
        id=user.id,
        tenant=user.tenant,
        collection=Collection.USERS,
        key=user_key(user.username, user.email, user.id),
        fields=fields,
        created_at=user.created_at,
        updated_at=user.updated_at,
        deleted_at=user.deleted_at,
        version=user.version,
        **(_governed(row) if row else {}),
    )


def username_of(row: UserRow) -> str:
    """Return the key of a user."""
    return user_key(row.username, row.email, row.id)


def _governed(row: EntityRow) -> Mapping[str, Any]:
    return {
        "labels": row.labels,
        "annotations": row.annotations,
        "acl": Acl(tuple(_entry(e) for e in row.acl), row.acl_changed_at),
        "inherits": row.inherits,
        "parent": row.parent,
        "principal": row.principal,
        "creator": row.creator,
        "avatar": row.avatar,
    }


def _entry(entry: Mapping[str, Any]) -> Entry:
    principals = tuple(UUID(principal) for principal in entry["principals"])
    return Entry(entry["permissions"], principals, entry["scope"])
