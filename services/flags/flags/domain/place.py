"""Places: a tenant's projects, and the environments that every flag of a project has a switch in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from flags.domain.errors import EnvironmentNotFound, OtherPlace

DEFAULT_PROJECT = "default"
DEFAULT_ENVIRONMENT = "production"
MOST_ENVIRONMENTS = 50
BORN_WITH = {"production": "Production", "development": "Development"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an evaluation happens: a tenant, and the keys of a project and an environment."""

    tenant: UUID
    project: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a flag has a switch of its own. `revision` grows with each change that its answers may depend on.

    `approvals`: so many others have to approve a change before it is made here.
    """

    id: UUID
    key: str
    name: str
    approvals: int = 0
    revision: int = 0
    version: int = 1
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A set of flags with keys of their own, and their environments."""

    id: UUID
    tenant: UUID
    key: str
    name: str
    environments: tuple[Environment, ...]
    version: int = 1
    created_at: datetime

    def environment(self, key: str) -> Environment:
        """Return an environment by its key."""
        for found in self.environments:
            if found.key == key:
                return found
        raise EnvironmentNotFound(f"there is no environment {key!r} in project {self.key!r}")


def founded(tenant: UUID, key: str, name: str, ids: Sequence[UUID], now: datetime) -> Project:
    """Return a new project with the environments that every project is born with; `ids` are for it and for them."""
    project_id, *others = ids
    environments = tuple(
        Environment(id=new_id, key=key, name=name, created_at=now)
        for new_id, (key, name) in zip(others, BORN_WITH.items(), strict=True)
    )
    return Project(
        id=project_id,
        tenant=tenant,
        key=key,
        name=name,
        environments=environments,
        created_at=now,
    )


def first_revision(now: datetime) -> int:
    """Return the revision that an environment begins with which joins a project: the milliseconds since 1970.

    Replicas tell by the number alone whether what they hold, or find on their disk, is in force. So an environment that
    comes back must have none that one of the same key had before; nobody changes one a thousand times a second.
    """
    return int(now.timestamp() * 1000)


def place_of(caller: Caller, project: str | None, environment: str | None) -> Place:
    """Return the place that is meant: what is asked for, else what the key is bound to, else production.

    A key that is bound to a place is refused another one.
    """
    return Place(
        caller.tenant,
        _chosen("project", project, caller.project, DEFAULT_PROJECT),
        _chosen("environment", environment, caller.environment, DEFAULT_ENVIRONMENT),
    )


def _chosen(kind: str, wanted: str | None, bound: str, usual: str) -> str:
    if wanted and bound and wanted != bound:
        raise OtherPlace(f"this API key is bound to {kind} {bound!r}")
    return wanted or bound or usual
