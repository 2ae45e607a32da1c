"""Edits: what is to be different about a flag, as a JSON document that can wait, and what it takes to make one.

An edit is kept as it was sent: fields of the flag, and of its switch in one environment, `status` among them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from typing import Any
from uuid import UUID

from chassis.caller import Caller
from flags.domain.errors import ApprovalNeeded
from flags.domain.flag import TARGETING, Change, Flag, Lifecycle, document
from flags.domain.place import Place, Project

Edit = Mapping[str, Any]
_OF_THE_SWITCH = frozenset({"default_variant", "off_variant", *TARGETING})
_SERVED = ("type", "variants", "lifecycle", "client_side", "schema")


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who asked for something that is done later: enough to find out then what they may do by that time.

    `account` is whose authority stands behind it, `scope` what the credential narrowed it to (None: to nothing less).
    """

    type: str
    id: str
    name: str = ""
    account: str = ""
    scope: tuple[str, ...] | None = None

    @classmethod
    def of(cls, caller: Caller) -> "Author":
        """Return the author that a caller is."""
        scope = None if caller.scope is None else tuple(sorted(caller.scope))
        return cls(
            type=caller.kind,
            id=caller.subject,
            name=caller.name,
            account=caller.owner,
            scope=scope,
        )


def change_of(edit: Edit) -> Change:
    """Return the change that an edit says."""
    said = {name: value for name, value in edit.items() if name != "status"}
    switch = {name: said.pop(name) for name in _OF_THE_SWITCH & said.keys()}
    switch |= {name: tuple(switch[name]) for name in switch.keys() & set(TARGETING)}
    if "status" in edit:
        switch["enabled"] = edit["status"] == "enabled"
    if "json_schema" in said:
        said["schema"] = said.pop("json_schema")
    if "tags" in said:
        said["tags"] = tuple(dict.fromkeys(said["tags"]))
    if "lifecycle" in said:
        said["lifecycle"] = Lifecycle(said["lifecycle"])
    return Change(flag=said, switch=switch)


def needed(edit: Edit) -> Iterator[str]:
    """Yield the permissions that an edit takes."""
    if "status" in edit:
        yield "flag:toggle"
    if edit.keys() - {"status"}:
        yield "flag:update"


def affected(before: Flag, after: Flag) -> frozenset[str]:
    """Return the environments in which something else may be served."""
    if any(getattr(before, name) != getattr(after, name) for name in _SERVED):
        return frozenset(after.switches)
    same = before.switches
    return frozenset(key for key, switch in after.switches.items() if switch != same.get(key))


def approvals_for(project: Project, environments: frozenset[str]) -> int:
    """Return how many approvals a change in these environments takes: as many as the strictest of them."""
    return max((e.approvals for e in project.environments if e.key in environments), default=0)


def must_be_free(project: Project, flag: str, environments: frozenset[str]) -> None:
    """Refuse a change that nobody has approved where somebody has to."""
    for environment in project.environments:
        if environment.approvals and environment.key in environments:
            count = f"{environment.approvals} approval{'s' if environment.approvals > 1 else ''}"
            raise ApprovalNeeded(
                f"environment {environment.key!r} wants {count} for a change of {flag!r}: ask for it with "
                "POST /api/v1/change-requests; to switch the flag off in an emergency, "
                f"POST /api/v1/feature-flags/{flag}/kill"
            )


def state_of(flag: Flag, environment: str) -> str:
    """Return a digest of all that a flag says as far as one environment goes: it differs if that moved on."""
    said = document(flag)
    said["environments"] = {environment: said["environments"].get(environment)}
    return sha256(dumps(said, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Which flag is meant, in which environment of which project: where something waits to be done."""

    tenant: UUID
    project_id: UUID
    project: str
    flag_id: UUID
    flag: str
    environment: str

    @property
    def place(self) -> Place:
        """The place that the spot is in."""
        return Place(self.tenant, self.project, self.environment)


def spot_of(flag: Flag, environment: str) -> Spot:
    """Return the spot of a flag in an environment."""
    return Spot(
        tenant=flag.tenant,
        project_id=flag.project_id,
        project=flag.project,
        flag_id=flag.id,
        flag=flag.key,
        environment=environment,
    )
