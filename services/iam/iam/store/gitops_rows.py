"""From rows to what /global keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from unicodedata import normalize
from uuid import UUID

from sqlalchemy import Row

from iam.domain.acl import Acl, Entry
from iam.domain.gitops import Collection, Entity, user_key
from iam.domain.names import folded
from iam.store.tables import EntityRow, UserRow, table_of

Cells = Row[*tuple[Any, ...]]
CALLED = (UserRow.username, UserRow.email, UserRow.id)
PERSON = (
    *(UserRow.id, UserRow.tenant, UserRow.username, UserRow.email),
    *(UserRow.first_name, UserRow.last_name, UserRow.active),
    *(UserRow.created_at, UserRow.updated_at, UserRow.deleted_at, UserRow.version),
)
LABELLED = (EntityRow.labels, EntityRow.avatar)
_GOVERNED = ("annotations", "inherits", "parent", "principal", "creator")
WHOLE = (
    *LABELLED,
    *(getattr(EntityRow, name) for name in _GOVERNED),
    *(EntityRow.acl, EntityRow.acl_changed_at),
)
_LEFT_OUT = frozenset({"key_folded", "annotations", "acl", "acl_changed_at", "readers"})
_COLUMNS = (column.name for column in table_of(EntityRow).columns)
BRIEF = tuple(getattr(EntityRow, name) for name in _COLUMNS if name not in _LEFT_OUT)


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


def entity_of(row: Cells | EntityRow) -> Entity:
    """Return the thing in a row."""
    return replace(brief_of(row), annotations=row.annotations, acl=_acl(row))


def brief_of(row: Cells | EntityRow) -> Entity:
    """Return the thing in a row as lists show it: without annotations and its own list."""
    return Entity(
        id=row.id,
        tenant=row.tenant,
        collection=Collection(row.collection),
        key=row.key or "",
        fields=row.fields,
        labels=row.labels,
        inherits=row.inherits,
        parent=row.parent,
        principal=row.principal,
        creator=row.creator,
        avatar=row.avatar,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
        version=row.version,
    )


def person_of(row: Cells) -> Entity:
    """Return a user as /global has them: PERSON, then LABELLED or WHOLE, null if nobody gave them labels or a list."""
    id_, tenant, username, email, first, last, active, created, updated, deleted, version = row[:11]
    fields = {"email": email, "first_name": first, "last_name": last, "is_active": active}
    labels, avatar, *rest = row[11:]
    person = Entity(
        id=id_,
        tenant=tenant,
        collection=Collection.USERS,
        key=user_key(username, email, id_),
        fields=fields,
        labels=labels or {},
        avatar=avatar or "",
        created_at=created,
        updated_at=updated,
        deleted_at=deleted,
        version=version,
    )
    if not rest or labels is None:
        return person
    governed = dict(zip(_GOVERNED, rest, strict=False))
    return replace(person, **governed, acl=_acl(row))


def _acl(row: Cells | EntityRow) -> Acl:
    return Acl(tuple(_entry(e) for e in row.acl), row.acl_changed_at)


def _entry(entry: Mapping[str, Any]) -> Entry:
    principals = tuple(UUID(principal) for principal in entry["principals"])
    return Entry(entry["permissions"], principals, entry["scope"])
