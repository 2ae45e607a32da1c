"""What iam tells, read off its messages by their shape, so that this library needs no wire code.

A field that was not sent reads as empty, and so does a time: nothing begins or ends in the first second of 1970.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, Protocol
from uuid import UUID

from authz.decision import AclEntry, Binding, Level
from authz.replica import ApiKey, Membership, Replica, Subject, Tenant
from authz.standing import Project

_LEVELS: Mapping[int, Level] = MappingProxyType(
    {1: "platform", 2: "tenant", 3: "project", 4: "object"}
)


class Time(Protocol):
    """A moment, from the epoch."""

    @property
    def seconds(self) -> int: ...  # noqa: D102 - its type says it
    @property
    def nanos(self) -> int: ...  # noqa: D102


class BindingTold(Protocol):
    """A role with its reach."""

    @property
    def role(self) -> str: ...  # noqa: D102
    @property
    def level(self) -> int: ...  # noqa: D102
    @property
    def where(self) -> str: ...  # noqa: D102
    @property
    def tenant_id(self) -> str: ...  # noqa: D102
    @property
    def masks(self) -> Mapping[str, int]: ...  # noqa: D102
    @property
    def not_before(self) -> Time: ...  # noqa: D102
    @property
    def expires_at(self) -> Time: ...  # noqa: D102


class SubjectTold(Protocol):
    """Somebody."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def tenant_id(self) -> str: ...  # noqa: D102
    @property
    def active(self) -> bool: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def roles(self) -> Iterable[str]: ...  # noqa: D102
    @property
    def permissions(self) -> Iterable[str]: ...  # noqa: D102
    @property
    def platform(self) -> bool: ...  # noqa: D102
    @property
    def bindings(self) -> Iterable[BindingTold]: ...  # noqa: D102
    @property
    def member_of(self) -> Iterable[str]: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102


class KeyTold(Protocol):
    """A version of an API key."""

    @property
    def hash(self) -> str: ...  # noqa: D102
    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def tenant_id(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def environment(self) -> str: ...  # noqa: D102
    @property
    def project(self) -> str: ...  # noqa: D102
    @property
    def scopes(self) -> Iterable[str]: ...  # noqa: D102
    @property
    def expires_at(self) -> Time: ...  # noqa: D102
    @property
    def subject_id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102


class MembershipTold(Protocol):
    """An edge to a group."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def tenant_id(self) -> str: ...  # noqa: D102
    @property
    def principal_id(self) -> str: ...  # noqa: D102
    @property
    def group_id(self) -> str: ...  # noqa: D102


class EntryTold(Protocol):
    """An entry of a list."""

    @property
    def mask(self) -> int: ...  # noqa: D102
    @property
    def principals(self) -> bytes: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102


class ProjectTold(Protocol):
    """A project with its list."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def tenant_id(self) -> str: ...  # noqa: D102
    @property
    def slug(self) -> str: ...  # noqa: D102
    @property
    def acl(self) -> Iterable[EntryTold]: ...  # noqa: D102


class SessionTold(Protocol):
    """A session that was ended."""

    @property
    def sid(self) -> str: ...  # noqa: D102
    @property
    def until(self) -> Time: ...  # noqa: D102


class TenantTold(Protocol):
    """An organization."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def slug(self) -> str: ...  # noqa: D102
    @property
    def active(self) -> bool: ...  # noqa: D102


class GoneTold(Protocol):
    """That something exists no more."""

    @property
    def kind(self) -> int: ...  # noqa: D102
    @property
    def id(self) -> str: ...  # noqa: D102


class EventTold(Protocol):
    """One of these."""

    @property
    def subject(self) -> SubjectTold: ...  # noqa: D102
    @property
    def api_key(self) -> KeyTold: ...  # noqa: D102
    @property
    def session(self) -> SessionTold: ...  # noqa: D102
    @property
    def tenant(self) -> TenantTold: ...  # noqa: D102
    @property
    def membership(self) -> MembershipTold: ...  # noqa: D102
    @property
    def project(self) -> ProjectTold: ...  # noqa: D102
    @property
    def gone(self) -> GoneTold: ...  # noqa: D102

    def WhichOneof(self, oneof_group: Literal["event"]) -> str | None:  # noqa: N802
        """Return which."""
        ...


def enter(replica: Replica, event: EventTold) -> None:
    """Enter one event; what only a newer iam says is passed over."""
    if (take := _TAKE.get(event.WhichOneof("event") or "")) is not None:
        take(replica, event)


def _subject(replica: Replica, event: EventTold) -> None:
    replica.subjects[event.subject.id] = subject_of(event.subject)


def _key(replica: Replica, event: EventTold) -> None:
    replica.keys[event.api_key.hash] = key_of(event.api_key)


def _session(replica: Replica, event: EventTold) -> None:
    until = moment(event.session.until)
    replica.ended[event.session.sid] = until.timestamp() if until else 0.0


def _tenant(replica: Replica, event: EventTold) -> None:
    told = event.tenant
    replica.tenants[told.id] = Tenant(told.id, told.slug, told.active)


def _membership(replica: Replica, event: EventTold) -> None:
    replica.put_membership(membership_of(event.membership))


def _project(replica: Replica, event: EventTold) -> None:
    replica.put_project(project_of(event.project))


def _gone(replica: Replica, event: EventTold) -> None:
    if (forget := _FORGET.get(event.gone.kind)) is not None:
        forget(replica, event.gone.id)


_TAKE: Mapping[str, Callable[[Replica, EventTold], None]] = MappingProxyType(
    {
        "subject": _subject,
        "api_key": _key,
        "session": _session,
        "tenant": _tenant,
        "membership": _membership,
        "project": _project,
        "gone": _gone,
    }
)
# By the numbers that kinds have on the wire.
_FORGET: Mapping[int, Callable[[Replica, str], object]] = MappingProxyType(
    {
        2: lambda replica, id_: replica.subjects.pop(id_, None),
        3: lambda replica, id_: replica.keys.pop(id_, None),
        4: lambda replica, id_: replica.ended.pop(id_, None),
        5: lambda replica, id_: replica.tenants.pop(id_, None),
        6: Replica.drop_membership,
        7: Replica.drop_project,
    }
)


def subject_of(told: SubjectTold) -> Subject:
    """Return a subject. A binding whose reach we do not know reaches nothing."""
    return Subject(
        id=told.id,
        tenant=told.tenant_id,
        active=told.active,
        name=told.name,
        roles=tuple(told.roles),
        permissions=_permissions(tuple(told.permissions)),
        platform=told.platform,
        bindings=tuple(_binding(b) for b in told.bindings if b.level in _LEVELS),
        member_of=frozenset(told.member_of),
        kind=told.kind,
    )


def key_of(told: KeyTold) -> ApiKey:
    """Return an API key."""
    expires = moment(told.expires_at)
    return ApiKey(
        hash=told.hash,
        id=told.id,
        tenant=told.tenant_id,
        kind=told.kind,
        environment=told.environment,
        project=told.project,
        scopes=_permissions(tuple(told.scopes)),
        expires=expires and expires.timestamp(),
        subject=told.subject_id,
        name=told.name,
    )


def membership_of(told: MembershipTold) -> Membership:
    """Return a membership."""
    return Membership(told.id, told.tenant_id, told.principal_id, told.group_id)


def project_of(told: ProjectTold) -> Project:
    """Return a project with its list."""
    acl = tuple(
        AclEntry(mask=e.mask, principals=unpacked(e.principals), kind=e.kind) for e in told.acl
    )
    return Project(id=told.id, tenant=told.tenant_id, slug=told.slug, acl=acl)


def moment(told: Time) -> datetime | None:
    """Return an aware moment; None where none was sent."""
    if not told.seconds and not told.nanos:
        return None
    return datetime.fromtimestamp(told.seconds, UTC) + timedelta(microseconds=told.nanos // 1000)


def packed(principals: Iterable[str]) -> bytes:
    """Return ids in 16 bytes each; the order is theirs."""
    return b"".join(UUID(principal).bytes for principal in principals)


def unpacked(principals: bytes) -> frozenset[str]:
    """Return the ids in what `packed` made."""
    ids = (principals[n : n + 16] for n in range(0, len(principals) - 15, 16))
    return frozenset(str(UUID(bytes=id_)) for id_ in ids)


def _binding(told: BindingTold) -> Binding:
    return Binding(
        role=told.role,
        masks=_masks(tuple(sorted(told.masks.items()))),
        level=_LEVELS[told.level],
        where=told.where,
        tenant=told.tenant_id,
        not_before=moment(told.not_before),
        expires_at=moment(told.expires_at),
    )


# Whoever has the same roles holds the same, so it is kept once.
@lru_cache(maxsize=1024)
def _masks(pairs: tuple[tuple[str, int], ...]) -> Mapping[str, int]:
    return MappingProxyType(dict(pairs))


@lru_cache(maxsize=1024)
def _permissions(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)
