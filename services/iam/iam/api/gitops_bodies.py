"""What clients of /global send and get: one document, with the fields that its collection declares."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints

from chassis.http import Body, View
from iam.api.fields import Email, Password, PersonName
from iam.domain.acl import EntryDraft
from iam.domain.avatar import path_of
from iam.domain.gitops import PREFIXES, C, Draft, Entity
from iam.domain.gitops_errors import BadField
from iam.usecases.gitops import Seen

Key = Annotated[str, StringConstraints(min_length=1, max_length=520)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Text = Annotated[str, StringConstraints(max_length=1024)]
Labels = Annotated[dict[Label, Text], Field(max_length=64)]
Note = Annotated[str, StringConstraints(max_length=16384)]
Annotations = Annotated[dict[Label, Note], Field(max_length=64)]
_DECLARED = (
    *("email", "first_name", "last_name", "is_active", "password"),
    *("name", "description", "project", "principal", "group", "principals"),
)


class EntryBody(Body):
    """One entry of an ACL. Bits: FETCH 1, LIST 2, NOTIFY 4, CREATE 8, MODIFY 16, CUSTOM1 32, CUSTOM2 64.

    `scope` is for projects: the kind of thing in them that the entry is about.
    """

    permissions: int
    principals: list[Key]
    scope: Annotated[str, StringConstraints(max_length=40)] | None = None


class AclBody(Body):
    """A whole ACL. `last_mod_date` is ours to write; it is read over."""

    list: list[EntryBody]
    last_mod_date: str | None = None


class DocumentBody(Body):
    """A thing as it shall be. Each collection has its own fields; what was read can be sent back as it is."""

    model_config = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False, str_max_length=65536, title="Document"
    )

    id: Key | None = None
    labels: Labels | None = None
    annotations: Annotations | None = None
    acl: AclBody | None = None
    hash_code: Annotated[str, StringConstraints(max_length=128)] | None = None
    state: dict[str, Any] | None = Field(None, description="Read over: it is ours to write")
    uuid: str | None = Field(None, max_length=64, description="Read over")
    email: Email | None = None
    first_name: PersonName | None = None
    last_name: PersonName | None = None
    is_active: bool | None = None
    password: Password | None = None
    name: Annotated[str, StringConstraints(max_length=200)] | None = None
    description: Text | None = None
    project: Annotated[str, StringConstraints(max_length=63)] | None = None
    principal: Key | None = None
    group: Key | None = None
    from_: Key | None = Field(None, alias="_from")
    to_: Key | None = Field(None, alias="_to")
    principals: Annotated[list[Key], Field(max_length=1000)] | None = None
    avatar: str | None = Field(None, max_length=200, description="Read over: upload one")

    def draft(self) -> Draft:
        """Return what is wanted; null and not sent are the same."""
        values = {name: getattr(self, name) for name in _DECLARED}
        fields = {name: value for name, value in values.items() if value is not None}
        for name, sent in (("principal", self.from_), ("group", self.to_)):
            if sent is not None and fields.setdefault(name, _bare(sent)) != _bare(sent):
                raise BadField(f"/{name}: it is said twice, and differently")
        return Draft(
            key=self.id,
            fields=fields,
            labels=self.labels,
            annotations=self.annotations,
            acl=self.acl and [_entry(entry) for entry in self.acl.list],
            hash_code=self.hash_code,
        )


def _entry(entry: EntryBody) -> EntryDraft:
    return EntryDraft(entry.permissions, tuple(entry.principals), entry.scope or "")


def _bare(handle: str) -> str:
    """Return the key in `users/u_ann`."""
    return handle.rpartition("/")[2]


class StateView(View):
    """What the system knows about a thing."""

    created_at: datetime
    updated_at: datetime
    version: int


class EntryView(View):
    """One entry of an ACL."""

    permissions: int
    principals: list[str]
    scope: str = ""


class AclView(View):
    """Who may do what."""

    list: list[EntryView]
    last_mod_date: datetime | None


class BriefView(View):
    """A thing in a list: its id, its labels and the fields that its collection declares."""

    id: str
    labels: dict[str, str]
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    is_active: bool = True
    name: str = ""
    description: str = ""
    project: str | None = None
    principal: str = ""
    group: str = ""
    from_: str = Field("", alias="_from")
    to_: str = Field("", alias="_to")
    principals: list[str] = Field(default_factory=list[str])
    avatar: str | None = None


class DocumentView(BriefView):
    """A thing with all that is known of it. `hash_code` sent back with a change guards against another's."""

    uuid: str = ""
    annotations: dict[str, str]
    acl: AclView
    state: StateView | None = None
    hash_code: str


def brief(seen: Seen) -> dict[str, Any]:
    """Return a thing as lists show it."""
    entity = seen.entity
    return {
        "id": key_of(seen),
        "labels": entity.labels,
        **entity.fields,
        **_edge(seen),
        **_project(seen),
        **_avatar(seen),
    }


def document(seen: Seen) -> dict[str, Any]:
    """Return a thing with all that is known of it."""
    entity = seen.entity
    return {
        **brief(seen),
        "uuid": str(entity.id),
        "annotations": entity.annotations,
        "acl": {"list": _entries(seen), "last_mod_date": seen.acl.changed_at},
        "state": {
            "created_at": entity.created_at,
            "updated_at": entity.updated_at,
            "version": entity.version,
        },
        "hash_code": entity.hash_code,
    }


def super_document(entity: Entity) -> dict[str, Any]:
    """Return a super-permission: a view, so it has neither state nor a list of its own."""
    return {
        **super_brief(entity),
        "annotations": {},
        "acl": {"list": [], "last_mod_date": None},
        "hash_code": entity.hash_code,
    }


def super_brief(entity: Entity) -> dict[str, Any]:
    """Return a super-permission as lists show it."""
    return {"id": entity.key, "labels": {}, **entity.fields}


def key_of(seen: Seen) -> str:
    """Return what a thing is called on the wire."""
    entity = seen.entity
    if entity.collection is not C.MEMBERSHIPS:
        return entity.key
    return f"{_called(seen, entity.principal)}::{_called(seen, entity.parent)}"


def _called(seen: Seen, id_: UUID | None) -> str:
    return seen.keys.get(id_, str(id_)) if id_ else ""


def _edge(seen: Seen) -> Mapping[str, str]:
    if seen.entity.collection is not C.MEMBERSHIPS:
        return {}
    principal = _called(seen, seen.entity.principal)
    group = _called(seen, seen.entity.parent)
    where = next((c for c, p in PREFIXES.items() if principal.startswith(p)), C.USERS)
    return {
        "principal": principal,
        "group": group,
        "_from": f"{where}/{principal}",
        "_to": f"{C.GROUPS}/{group}",
    }


def _project(seen: Seen) -> Mapping[str, str | None]:
    if seen.entity.collection in (C.USERS, C.MEMBERSHIPS, C.PROJECTS):
        return {}
    return {"project": _called(seen, seen.entity.parent) or None}


def _avatar(seen: Seen) -> Mapping[str, str | None]:
    if seen.entity.collection not in (C.USERS, C.GROUPS):
        return {}
    return {"avatar": path_of(seen.entity.avatar)}


def _entries(seen: Seen) -> list[dict[str, Any]]:
    """Return the entries with those of their principals that still are."""
    made: list[dict[str, Any]] = []
    for entry in seen.acl.entries:
        principals = [seen.keys[id_] for id_ in entry.principals if id_ in seen.keys]
        if principals:
            scope = {"scope": entry.scope} if entry.scope else {}
            made.append({"permissions": entry.permissions, "principals": principals, **scope})
    return made
