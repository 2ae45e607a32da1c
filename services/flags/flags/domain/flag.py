"""A flag, its switch in each environment, and the moves it can make."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID

from chassis.errors import FieldError
from flags.domain.bucketing import NEWEST
from flags.domain.errors import (
    BadKey,
    EnvironmentNotFound,
    FlagArchived,
    UnknownVariant,
)
from flags.domain.place import Project
from flags.domain.values import FlagType, Variants
from flags.domain.variants import all_as_served, must_follow

Documents = tuple[Mapping[str, Any], ...]
TARGETING = ("prerequisites", "targets", "rules")
ON_OFF: Variants = {"on": True, "off": False}


class Lifecycle(StrEnum):
    """How far a flag is in its life. One that is stale is served: somebody only says that its code should go."""

    DRAFT = "draft"
    ACTIVE = "active"
    STALE = "stale"
    ARCHIVED = "archived"


SERVED = frozenset({Lifecycle.ACTIVE, Lifecycle.STALE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """What a flag does in one environment: enabled it serves `default_variant`, else `off_variant`."""

    enabled: bool = False
    default_variant: str
    off_variant: str
    prerequisites: Documents = ()
    targets: Documents = ()
    rules: Documents = ()
    version: int = 1

    @property
    def status(self) -> str:
        """The state in a word, as clients and the audit log read it."""
        return "enabled" if self.enabled else "disabled"

    @property
    def targeting(self) -> dict[str, Any]:
        """What decides before the default does, as the document that `reading` reads; empty if nothing does."""
        said = {name: list(getattr(self, name)) for name in TARGETING}
        return {name: parts for name, parts in said.items() if parts}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A named set of variants of one type, with a switch in each environment of its project."""

    id: UUID
    tenant: UUID
    project_id: UUID
    project: str
    key: str
    name: str
    description: str = ""
    type: FlagType
    variants: Variants
    switches: Mapping[str, Switch]
    owner_id: str
    tags: tuple[str, ...] = ()
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    client_side: bool = False
    schema: Mapping[str, Any] | None = None
    salt: str = ""
    bucketing: int = NEWEST
    version: int = 1
    created_at: datetime
    updated_at: datetime

    def switch(self, environment: str) -> Switch:
        """Return the flag's switch in an environment."""
        if found := self.switches.get(environment):
            return found
        raise EnvironmentNotFound(f"flag {self.key!r} has no environment {environment!r}")

    def toggled(self, environment: str, now: datetime) -> "Flag":
        """Return the flag switched over in one environment."""
        return self.set_to(environment, now, enabled=not self.switch(environment).enabled)

    def set_to(self, environment: str, now: datetime, *, enabled: bool) -> "Flag":
        """Return the flag enabled or disabled in one environment; itself if it is so already."""
        return self.changed(environment, now, Change(switch={"enabled": enabled}))

    def changed(
        self, environment: str, now: datetime, change: "Change", since: "Flag | None" = None
    ) -> "Flag":
        """Return the flag as the change has it; what it was `since` (itself, usually) if nothing differs."""
        since = since or self
        fields = dict(change.flag)
        if "variants" in fields:
            fields["variants"] = all_as_served(self.type, fields["variants"])
        if "schema" in fields or "variants" in fields:
            must_follow(
                self.type, fields.get("schema", self.schema), fields.get("variants", self.variants)
            )
        after = replace(self, **fields, switches=self._switched(environment, change.switch))
        if _said(after) == _said(since):
            return since
        if self.lifecycle is after.lifecycle is Lifecycle.ARCHIVED:
            raise FlagArchived(
                f"flag {self.key!r} is archived; set its lifecycle to active to change it"
            )
        for switch in after.switches.values():
            _must_have(after.variants, switch)
        return replace(after, version=self.version + 1, updated_at=now)

    def _switched(self, environment: str, fields: Mapping[str, Any]) -> Mapping[str, Switch]:
        before = self.switch(environment)
        after = replace(before, **fields)
        if after == before:
            return self.switches
        return {**self.switches, environment: replace(after, version=before.version + 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be different: fields of the flag, and fields of its switch in one environment."""

    flag: Mapping[str, Any] = field(default_factory=dict[str, Any])
    switch: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What somebody says of a flag that is to be made; the rest is filled in."""

    key: str
    name: str
    description: str = ""
    type: FlagType = FlagType.BOOLEAN
    variants: Variants | None = None
    default_variant: str | None = None
    off_variant: str | None = None
    tags: tuple[str, ...] = ()
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    client_side: bool = False
    schema: Mapping[str, Any] | None = None
    prerequisites: Documents = ()
    targets: Documents = ()
    rules: Documents = ()


def made(draft: Draft, flag_id: UUID, project: Project, owner: str, now: datetime) -> Flag:
    """Return a new flag, disabled everywhere. Unless told, it serves its first variant, and its last when off."""
    _must_not_look_like_an_id(draft.key)
    variants = all_as_served(draft.type, _variants_of(draft))
    must_follow(draft.type, draft.schema, variants)
    switch = _first_and_last(draft, list(variants))
    _must_have(variants, switch)
    return Flag(
        id=flag_id,
        tenant=project.tenant,
        project_id=project.id,
        project=project.key,
        key=draft.key,
        name=draft.name,
        description=draft.description,
        type=draft.type,
        variants=variants,
        switches={environment.key: switch for environment in project.environments},
        owner_id=owner,
        tags=draft.tags,
        lifecycle=draft.lifecycle,
        client_side=draft.client_side,
        schema=draft.schema,
        salt=draft.key,
        created_at=now,
        updated_at=now,
    )


def _variants_of(draft: Draft) -> Variants:
    if draft.variants is None:
        return ON_OFF if draft.type is FlagType.BOOLEAN else {}
    return draft.variants


def _first_and_last(draft: Draft, names: list[str]) -> Switch:
    default = names[0] if draft.default_variant is None else draft.default_variant
    off = names[-1] if draft.off_variant is None else draft.off_variant
    targeting = {name: getattr(draft, name) for name in TARGETING}
    return Switch(default_variant=default, off_variant=off, **targeting)


def _said(flag: Flag) -> str:
    """Return everything the flag says, such that 1 and true differ, which are equal in Python."""
    return json.dumps(document(flag))


def _must_have(variants: Variants, switch: Switch) -> None:
    for role in ("default_variant", "off_variant"):
        if (name := getattr(switch, role)) not in variants:
            error = FieldError(f"/{role}", f"there is no variant {name!r}")
            raise UnknownVariant(f"the flag has no variant {name!r} to serve", errors=(error,))


def _must_not_look_like_an_id(key: str) -> None:
    try:
        UUID(key)
    except ValueError:
        return
    error = FieldError("/key", "has the form of an id")
    raise BadKey(
        f"{key!r} has the form of an id; choose a key that says what the flag does", errors=(error,)
    )


def document(flag: Flag) -> dict[str, Any]:
    """Return the flag as the audit log keeps it."""
    return {
        "key": flag.key,
        "name": flag.name,
        "description": flag.description,
        "type": flag.type.value,
        "variants": dict(flag.variants),
        "tags": list(flag.tags),
        "lifecycle": flag.lifecycle.value,
        "client_side": flag.client_side,
        **({} if flag.schema is None else {"json_schema": dict(flag.schema)}),
        "environments": {
            key: {
                "status": switch.status,
                "default_variant": switch.default_variant,
                "off_variant": switch.off_variant,
                **switch.targeting,
            }
            for key, switch in flag.switches.items()
        },
    }


LARGEST_TOLD = 16_384  # characters of one environment's targeting in an entry of the audit log


def told(flag: Flag) -> dict[str, Any]:
    """Return the flag as the audit log keeps it: long targeting by size and digest (its revision has it whole)."""
    said = document(flag)
    for switch in said["environments"].values():
        for name in TARGETING:
            text = json.dumps(switch.get(name, ()))
            if len(text) > LARGEST_TOLD:
                digest = sha256(text.encode()).hexdigest()
                switch[name] = {"count": len(switch[name]), "sha256": digest}
    return said
