"""What iam asks of the world; for the gitops doors see `gitops`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from chassis.facts import Fact
from chassis.pages import PageAsk, Slice
from iam.domain.api_key import ApiKey
from iam.domain.authority import Change, Kind, LiveKey, Thing
from iam.domain.invitation import Invitation
from iam.domain.roles import Role
from iam.domain.session import RefreshToken, Session
from iam.domain.signing import SigningKey
from iam.domain.tenant import Tenant
from iam.domain.user import User
from iam.ports.gitops import Entities


class Tenants(Protocol):
    """The tenants."""

    async def get(self, tenant: UUID, *, lock: bool = False) -> Tenant | None:
        """Return a tenant; locked until the work ends if asked."""
        ...

    async def named(self, subdomain: str) -> Tenant | None:
        """Return the tenant with this subdomain."""
        ...

    async def all(self, limit: int) -> Sequence[Tenant]:
        """Return the first `limit` tenants by subdomain."""
        ...

    async def put(self, tenant: Tenant) -> None:
        """Store a tenant; TenantTaken if another has its subdomain."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UserQuery:
    """Which users are wanted. `sort` is created_at, updated_at or email, with - for descending."""

    tenant: UUID
    search: str = ""
    sort: str = "created_at"


@dataclass(frozen=True, slots=True)
class Turned:
    """That a role which was given for a time has begun for a user, or has ended."""

    user: UUID
    tenant: UUID
    role: str
    ended: bool


class Users(Protocol):
    """The users of all tenants. Deleted ones are not found by anything here."""

    async def get(self, tenant: UUID | None, user: UUID, *, lock: bool = False) -> User | None:
        """Return a user of a tenant, or of any if None."""
        ...

    async def named(self, login: str, subdomain: str | None, limit: int) -> Sequence[User]:
        """Return who may be meant by a name or an address, the platform's own and the oldest first."""
        ...

    async def list(self, query: UserQuery, ask: PageAsk) -> Slice[User]:
        """Return a part of a tenant's users."""
        ...

    async def administrators(self, tenant: UUID, without: UUID) -> int:
        """Return how many active administrators a tenant has beside one user."""
        ...

    async def counts(self, tenant: UUID) -> Mapping[str, int]:
        """Return to how many users of a tenant each role, by its id, was given."""
        ...

    async def put(self, user: User) -> None:
        """Store a user with their grants; EmailTaken or UsernameTaken on a clash."""
        ...

    async def logged_in(self, user: UUID, at: datetime, rehashed: str | None) -> None:
        """Note a login, and a better hash of the same password if there is one."""
        ...


class Roles(Protocol):
    """The tenants' own roles. System roles are code (`domain.roles`)."""

    async def get(
        self, tenant: UUID | None, role: UUID, *, lock: bool = False, keep: bool = False
    ) -> Role | None:
        """Return a role of a tenant, or of any if None; locked, or (`keep`) only kept from changing meanwhile."""
        ...

    async def named(self, tenant: UUID, name: str, *, keep: bool = False) -> Role | None:
        """Return the role of a tenant with this name, however it is spelled."""
        ...

    async def all(self, tenant: UUID, limit: int) -> Sequence[Role]:
        """Return the first `limit` roles of a tenant by name."""
        ...

    async def holders(self, tenant: UUID, role: str, limit: int) -> Sequence[UUID]:
        """Return the first `limit` users of a tenant to whom a role was given, by id."""
        ...

    async def put(self, role: Role) -> None:
        """Store a role; RoleNameTaken if another of its tenant has its name."""
        ...

    async def drop(self, role: UUID) -> None:
        """Forget a role that nobody holds."""
        ...

    async def turned(self, now: datetime, limit: int) -> Sequence[Turned]:
        """Note that roles have begun or ended by now, drop the ended; return whose, each once."""
        ...


class Invitations(Protocol):
    """The invitations of all tenants."""

    async def get(self, tenant: UUID, invitation: UUID, *, lock: bool = False) -> Invitation | None:
        """Return an invitation of a tenant."""
        ...

    async def shown(self, hash_: bytes, *, lock: bool = False) -> Invitation | None:
        """Return the invitation whose token has this SHA-256."""
        ...

    async def open(self, tenant: UUID, email: str) -> Invitation | None:
        """Return the invitation of an address that was neither accepted nor revoked; locked."""
        ...

    async def list(self, tenant: UUID, ask: PageAsk) -> Slice[Invitation]:
        """Return a part of a tenant's invitations, newest first."""
        ...

    async def waiting(self, tenant: UUID, role: str, now: datetime) -> int:
        """Return how many invitations with a role can still be accepted."""
        ...

    async def put(self, invitation: Invitation) -> None:
        """Store an invitation; InvitationPending if its address has another open one."""
        ...


class ApiKeys(Protocol):
    """The API keys of all tenants. Revoked ones are not found by anything here."""

    async def get(self, tenant: UUID, key: UUID, *, lock: bool = False) -> ApiKey | None:
        """Return a key of a tenant."""
        ...

    async def list(self, tenant: UUID, owner: UUID | None, ask: PageAsk) -> Slice[ApiKey]:
        """Return a part of a tenant's keys, or of one owner's there."""
        ...

    async def known(self, hash_: str) -> LiveKey | None:
        """Return the key with this SHA-256."""
        ...

    async def put(self, key: ApiKey) -> None:
        """Store a key with its versions."""
        ...


class Sessions(Protocol):
    """Sessions and their refresh tokens."""

    async def get(self, session: UUID, *, lock: bool = False) -> Session | None:
        """Return a session."""
        ...

    async def live(self, user: UUID, now: datetime, ask: PageAsk) -> Slice[Session]:
        """Return a part of a user's live sessions, newest first."""
        ...

    async def end_all(self, user: UUID, now: datetime) -> Sequence[Session]:
        """End every live session of a user; return them."""
        ...

    async def put(self, session: Session) -> None:
        """Store a session."""
        ...

    async def token(self, hash_: bytes) -> RefreshToken | None:
        """Return a refresh token, locked until the work ends."""
        ...

    async def put_token(self, token: RefreshToken) -> None:
        """Store a refresh token of a session that is stored."""
        ...

    async def sweep(self, before: datetime) -> int:
        """Forget sessions that were over before that; return how many."""
        ...


class SigningKeys(Protocol):
    """The keys that tokens are signed with; the private halves are sealed."""

    async def all(self, *, lock: bool = False) -> Sequence[SigningKey]:
        """Return every key; with `lock` nobody else decides about keys until the work ends."""
        ...

    async def put(self, key: SigningKey) -> None:
        """Store a key."""
        ...

    async def drop(self, kid: str) -> None:
        """Forget a key."""
        ...


class AuthorityLog(Protocol):
    """The authority as replicas see it, and the log of its changes."""

    async def epoch(self) -> int:
        """Return the position of the newest change."""
        ...

    async def oldest(self) -> int:
        """Return the position from which on all changes are known."""
        ...

    async def changes(self, after: int, limit: int) -> Sequence[Change]:
        """Return changes after a position, in order."""
        ...

    async def things(self, kind: Kind, ids: Sequence[str], now: datetime) -> Mapping[str, Thing]:
        """Return how things stand now; what is no more is missing."""
        ...

    async def page(
        self, kind: Kind, after: str, limit: int, now: datetime
    ) -> Sequence[tuple[str, Thing]]:
        """Return the first things of a kind after an id, with their ids, in the order of ids."""
        ...

    async def trim(self, before: datetime) -> int:
        """Forget changes from before that; return how many."""
        ...


class Work(Protocol):
    """One transaction: everything in it is kept, or nothing is."""

    @property
    def tenants(self) -> Tenants: ...  # noqa: D102 - its type says it
    @property
    def users(self) -> Users: ...  # noqa: D102
    @property
    def roles(self) -> Roles: ...  # noqa: D102
    @property
    def invitations(self) -> Invitations: ...  # noqa: D102
    @property
    def api_keys(self) -> ApiKeys: ...  # noqa: D102
    @property
    def sessions(self) -> Sessions: ...  # noqa: D102
    @property
    def entities(self) -> Entities: ...  # noqa: D102
    @property
    def signing_keys(self) -> SigningKeys: ...  # noqa: D102
    @property
    def authority(self) -> AuthorityLog: ...  # noqa: D102

    async def alone(self, name: str) -> None:
        """Wait until nobody else does what is called `name`, and keep others from it until the work ends."""
        ...

    def changed(self, kind: Kind, id_: str) -> None:
        """Note that replicas must hear of a thing: kept with the change, told after it."""
        ...

    def record(self, fact: Fact) -> None:
        """Leave a fact for the audit log, kept together with the change."""
        ...


OpenWork = Callable[[], AbstractAsyncContextManager[Work]]


@dataclass(frozen=True, slots=True)
class Means:
    """The clock and the dice. `new_secret` gives 256 random bits as text."""

    now: Callable[[], datetime]
    new_id: Callable[[], UUID]
    new_secret: Callable[[], str]


class Passwords(Protocol):
    """Hashes passwords, slowly and off the event loop."""

    async def hash(self, password: str) -> str:
        """Return the hash of a password."""
        ...

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Tell whether a password has this hash; with None it takes as long and says no."""
        ...

    def outdated(self, hashed: str) -> bool:
        """Tell whether a hash was made in a way that we would not use today."""
        ...


class Throttle(Protocol):
    """Slows down guessing, per account and address."""

    async def attempt(self, account: str, address: str) -> float:
        """Count an attempt; return for how many seconds it must not be made, 0 if it may."""
        ...

    async def clear(self, account: str, address: str) -> None:
        """Forget the attempts, since one succeeded."""
        ...


class Sealer(Protocol):
    """Encrypts what the database must not be able to read."""

    def seal(self, secret: bytes, about: str) -> bytes:
        """Return the secret, sealed to what it is about."""
        ...

    def unseal(self, sealed: bytes, about: str) -> bytes | None:
        """Return the secret; None if it was sealed with another key or about something else."""
        ...


class Signer(Protocol):
    """Signs tokens."""

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return an access token; NoSigningKey while there is no key."""
        ...


Announce = Callable[[], Awaitable[None]]
