"""What is kept as files elsewhere: users, groups, accounts, memberships and projects, each with labels and an ACL.

Entity      one of them, of any collection; a user's own part lives in `user`
Draft       what a client wants one to be: only what was sent
keys        `u_ g_ sa_ pa_` and a name; a project is a bare name, a membership `{principal}::{group}`
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any
from unicodedata import normalize
from uuid import UUID

from chassis.errors import FieldError
from iam.domain import acl as acls
from iam.domain.acl import Acl, EntryDraft
from iam.domain.gitops_errors import BadField, BadKey, HashStale, VersionStale


class Collection(StrEnum):
    """The collections, by their names on the wire."""

    USERS = "users"
    GROUPS = "groups"
    SERVICE_ACCOUNTS = "service_accounts"
    PIPELINE_ACCOUNTS = "pipeline_accounts"
    MEMBERSHIPS = "memberships"
    PROJECTS = "projects"
    PERMISSIONS = "permissions"

    @property
    def kind(self) -> str:
        """What permissions call a thing in it. A membership is governed by its group."""
        return acls.SCOPES.get(self.value, "platform")


C = Collection
PREFIXES: dict[Collection, str] = {
    C.USERS: "u_",
    C.GROUPS: "g_",
    C.SERVICE_ACCOUNTS: "sa_",
    C.PIPELINE_ACCOUNTS: "pa_",
}
_ACCOUNT = frozenset({"name", "description", "project"})
FIELDS: dict[Collection, frozenset[str]] = {
    C.USERS: frozenset({"email", "first_name", "last_name", "is_active", "password"}),
    C.GROUPS: _ACCOUNT,
    C.SERVICE_ACCOUNTS: _ACCOUNT,
    C.PIPELINE_ACCOUNTS: _ACCOUNT,
    C.MEMBERSHIPS: frozenset({"principal", "group"}),
    C.PROJECTS: frozenset({"name", "description"}),
    C.PERMISSIONS: frozenset({"principals"}),
}
# What a PUT without it leaves as it was: who can log in, and where the thing belongs.
_KEPT = frozenset({"email", "is_active"})
_ELSEWHERE = frozenset({"password", "project", "principal", "group"})  # kept as ids, or not shown
_NAMELESS = {"name": "", "description": ""}
_BLANK: dict[Collection, Mapping[str, Any]] = {
    C.USERS: {"first_name": "", "last_name": ""},
    C.GROUPS: _NAMELESS,
    C.SERVICE_ACCOUNTS: _NAMELESS,
    C.PIPELINE_ACCOUNTS: _NAMELESS,
    C.PROJECTS: _NAMELESS,
}
_REQUIRED: dict[Collection, tuple[str, ...]] = {
    C.PIPELINE_ACCOUNTS: ("project",),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_KNOWN_NAME = re.compile(r"[\w.@+~-]{1,254}")  # of users who were named elsewhere
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """One thing. `parent` governs it: the project it is in, or the group whose membership it is.

    `inherits`: nobody ever gave it a list of its own, so the parent's counts beside the one entry of its creator.
    """

    id: UUID
    tenant: UUID
    collection: Collection
    key: str
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    acl: Acl = field(default_factory=Acl)
    inherits: bool = False
    parent: UUID | None = None
    principal: UUID | None = None
    creator: UUID | None = None
    avatar: str = ""  # the name of its picture in storage
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    version: int = 1

    @property
    def ends(self) -> tuple[UUID, ...]:
        """What it hangs on: of a membership the group and the principal, of what is in a project that."""
        return tuple(id_ for id_ in (self.parent, self.principal) if id_)

    @property
    def etag(self) -> int:
        """What the ETag says: the version, or of a view, which has none, the hash."""
        return int(self.hash_code[:15], 16) if self.collection is C.PERMISSIONS else self.version

    @property
    def hash_code(self) -> str:
        """What a client shows to prove that it has read the newest version."""
        name = self.key if self.collection is C.PERMISSIONS else self.id
        shown = f"{self.collection} {name} {self.version} {sorted(self.fields.items())}"
        return sha256(shown.encode()).hexdigest()[:32]

    def readers(self, lent: Acl) -> frozenset[UUID]:
        """Return everybody whom an ACL lets list it; `lent` is what the parent lends."""
        own = self.acl.readers(self.collection.kind)
        return own | lent.readers(self.collection.kind) if self.inherits else own

    def written(self, draft: "Draft", *, whole: bool) -> "Entity":
        """Return the thing as the draft has it; `whole` forgets what the draft does not name."""
        own = {n: v for n, v in draft.fields.items() if n not in _ELSEWHERE}
        kept = {n: v for n, v in self.fields.items() if not whole or n in _KEPT}
        return replace(
            self,
            fields={**_BLANK.get(self.collection, {}), **kept, **own},
            labels=_sent(draft.labels, self.labels, whole=whole),
            annotations=_sent(draft.annotations, self.annotations, whole=whole),
        )

    def changed(self, now: datetime) -> "Entity":
        """Return the next version."""
        return replace(self, updated_at=now, version=self.version + 1)

    def deleted(self, now: datetime) -> "Entity":
        """Return the thing as it is when it is no more."""
        return replace(self.changed(now), deleted_at=now)


def _sent(
    sent: Mapping[str, str] | None, had: Mapping[str, str], *, whole: bool
) -> Mapping[str, str]:
    return sent if sent is not None else ({} if whole else had)


@dataclass(frozen=True, slots=True)
class Ref:
    """What a path means; `expected` is the version that the client has read."""

    collection: Collection
    key: str
    expected: int | None = None

    @property
    def known(self) -> UUID | str:
        """The id or the key; BadKey if nothing of this collection can be called so."""
        return known_key(self.collection, self.key)

    def checked(self, entity: Entity, draft: "Draft | None" = None) -> None:
        """Refuse to change what the client has not read, or has mistaken for another."""
        if self.expected is not None and self.expected != entity.etag:
            raise VersionStale(f"it is at version {entity.version}; read it again")
        if draft is None:
            return
        if draft.hash_code is not None and draft.hash_code != entity.hash_code:
            raise HashStale("it was changed meanwhile: read it again and send the new hash_code")
        if draft.key and entity.key and draft.key not in (entity.key, self.key):
            raise bad_field("id", f"the path means {entity.key}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a client wants a thing to be. None, or not in `fields`: not sent."""

    key: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    acl: Sequence[EntryDraft] | None = None
    hash_code: str | None = None

    def called(self, collection: Collection, key: str | None = None) -> "Draft":
        """Return the draft with the key that it has by the path, by its `id`, or by the edge that it is.

        A path that is a UUID says nothing about the key; whether they belong together is seen later.
        """
        if key is not None and isinstance(known_key(collection, key), UUID):
            return self
        said = [k for k in (key, self.key, self._edge(collection)) if k is not None]
        if not said:
            raise bad_field("id", f"{collection} need it")
        if any(known_key(collection, k) != known_key(collection, said[0]) for k in said):
            raise bad_field("id", "the path, the id and the ends of the edge are not the same")
        return replace(self, key=said[0])

    def _edge(self, collection: Collection) -> str | None:
        ends = self.fields.get("principal"), self.fields.get("group")
        return f"{ends[0]}::{ends[1]}" if collection is C.MEMBERSHIPS and all(ends) else None

    def checked(self, collection: Collection, *, whole: bool) -> "Draft":
        """Return the draft if it can be one of this collection; `whole`: it must say everything that is needed."""
        if strange := sorted(set(self.fields) - FIELDS[collection]):
            raise bad_field(strange[0], f"{collection} have no such field")
        for name in _REQUIRED.get(collection, ()):
            if (whole or name in self.fields) and not self.fields.get(name):
                raise bad_field(name, f"{collection} need it")
        if collection is C.PERMISSIONS:
            self._check_view(whole=whole)
        acls.checked(self.acl or ())
        return self

    def _check_view(self, *, whole: bool) -> None:
        """Refuse what a view cannot keep; empty, it may come back as it was read."""
        for name in ("labels", "annotations", "acl"):
            if getattr(self, name):
                raise bad_field(name, "permissions have none")
        if whole and "principals" not in self.fields:
            raise bad_field("principals", "permissions need it; an empty list takes it from all")


def bad_field(name: str, message: str) -> BadField:
    """Return the refusal of one field."""
    return BadField(f"/{name}: {message}", errors=(FieldError(f"/{name}", message, "field"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityQuery:
    """Which things of a collection are wanted: those that one of `readers` may list, or all if None."""

    tenant: UUID
    collection: Collection
    readers: frozenset[UUID] | None = None
    search: str = ""


# --- keys -----------------------------------------------------------------------------------------------------------


def new_key(collection: Collection, key: str) -> str:
    """Return a key that a new thing may have; BadKey says what is wrong with another."""
    prefix = PREFIXES.get(collection, "")
    name = key.removeprefix(prefix)
    if not key.startswith(prefix) or not _NAME.fullmatch(name) or _UUID.fullmatch(key):
        raise _bad_key(collection, key)
    return key


def known_key(collection: Collection, key: str) -> UUID | str:
    """Return what a path means, an id or a key; BadKey if nothing of this collection can be called so."""
    if _UUID.fullmatch(key):
        return UUID(key)
    if collection is C.USERS and key.startswith("u_") and _KNOWN_NAME.fullmatch(key[2:]):
        return f"u_{normalize('NFC', key[2:])}"
    if collection is C.MEMBERSHIPS:
        return "::".join(edge(key))
    if collection is C.PERMISSIONS:
        return key
    return new_key(collection, key)


def edge(key: str) -> tuple[str, str]:
    """Return the principal and the group in the key of a membership."""
    principal, parted, group = key.partition("::")
    if not parted:
        raise _bad_key(C.MEMBERSHIPS, key)
    return principal_key(principal), new_key(C.GROUPS, group)


def principal_key(key: str) -> str:
    """Return the key of somebody who can be given something; BadKey if nobody can be called so."""
    for collection, prefix in PREFIXES.items():
        if key.startswith(prefix):
            return str(known_key(collection, key))
    if _UUID.fullmatch(key):
        return key.lower()
    raise BadKey(f"{key[:80]!r} is no principal: those begin with {', '.join(PREFIXES.values())}")


def user_key(username: str | None, email: str, id_: UUID) -> str:
    """Return how a user is called here: by their name, else by their address; by their id if neither can be written."""
    name = normalize("NFC", username or email)
    return f"u_{name}" if _KNOWN_NAME.fullmatch(name) else str(id_)


def _bad_key(collection: Collection, key: str) -> BadKey:
    if collection is C.MEMBERSHIPS:
        form = "{principal}::{group}, like u_ann::g_ops"
    else:
        prefix = PREFIXES.get(collection, "")
        form = f"{prefix or 'nothing'} and 1 to 63 of a-z A-Z 0-9 . _ -"
    return BadKey(
        f"{key[:80]!r} is no id of {collection}: those are made of {form}",
        errors=(FieldError("/id", f"must be {form}", "id"),),
    )
