"""What replicas are told: the whole authority first, then each change, in the order of its commits."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from authz.replica import Subject
from authz.standing import Project
from iam.domain.api_key import ApiKey, Version
from iam.domain.gitops import C, Entity
from iam.domain.machine import Machine
from iam.domain.tenant import Tenant
from iam.domain.user import User


class Kind(StrEnum):
    """What a change is about."""

    SIGNING_KEY = "signing_key"
    TENANT = "tenant"
    SUBJECT = "subject"
    API_KEY = "api_key"
    SESSION = "session"
    MEMBERSHIP = "membership"
    PROJECT = "project"


# What of /global decides about other things: replicas hear of it.
DECISIVE = {
    C.MEMBERSHIPS: Kind.MEMBERSHIP,
    C.PROJECTS: Kind.PROJECT,
    C.SERVICE_ACCOUNTS: Kind.SUBJECT,
    C.PIPELINE_ACCOUNTS: Kind.SUBJECT,
}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a signing key, as a JWK in JSON."""

    kid: str
    jwk: str


@dataclass(frozen=True, slots=True)
class LiveKey:
    """One version of an API key that can be shown."""

    key: ApiKey
    version: Version

    @property
    def expires_at(self) -> datetime | None:
        """When it stops to hold: its own end or its key's, whichever comes first."""
        ends = [at for at in (self.key.expires_at, self.version.expires_at) if at]
        return min(ends, default=None)


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session whose tokens are refused until they have expired by themselves."""

    id: UUID
    until: datetime


Thing = PublicKey | User | Machine | LiveKey | EndedSession | Tenant | Entity


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """That something is not as it was. `id` is a kid, an id or the hash of a key."""

    epoch: int
    kind: Kind
    id: str

    @property
    def position(self) -> int:
        """Where it is in the log of changes: its epoch."""
        return self.epoch


@dataclass(frozen=True, slots=True)
class News:
    """How a thing stands since `epoch`; None: it is no more."""

    epoch: int
    kind: Kind
    id: str
    thing: Thing | None

    @property
    def position(self) -> int:
        """Where it is in the log of changes: its epoch."""
        return self.epoch


@dataclass(frozen=True, slots=True)
class Ready:
    """The state is whole up to `epoch`."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing new up to `at`."""

    epoch: int
    at: datetime


Event = News | Ready | Beat


def decisive_subject(user: User) -> Subject:
    """Return a user as replicas decide about them."""
    return Subject(
        id=str(user.id),
        tenant=str(user.tenant),
        active=user.active,
        name=user.name,
        roles=user.roles,
        permissions=user.permissions,
        platform=user.reaches_all,
        bindings=user.everywhere,
        member_of=frozenset(map(str, user.tenants)),
    )


def decisive_machine(machine: Machine) -> Subject:
    """Return an account as replicas decide about it."""
    return Subject(
        id=str(machine.id),
        tenant=str(machine.tenant),
        active=machine.active,
        name=machine.name,
        roles=machine.roles,
        permissions=machine.permissions,
        platform=False,
        bindings=machine.bindings,
        kind=machine.kind,
    )


def decisive_project(entity: Entity) -> Project:
    """Return a project as replicas decide by it."""
    acl = tuple(entry.decisive for entry in entity.acl.entries)
    return Project(id=str(entity.id), tenant=str(entity.tenant), slug=entity.key, acl=acl)
