"""What iam asks of the world, a file per noun. Here is the transaction that all of it happens in."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from chassis.facts import Fact
from iam.domain.authority import Kind
from iam.ports.accounts import Accounts
from iam.ports.authority import AuthorityLog
from iam.ports.bindings import Bindings, External, Guests, Turned
from iam.ports.credentials import ApiKeys, Resets, Sessions, SigningKeys
from iam.ports.gitops import Entities
from iam.ports.happenings import Happenings
from iam.ports.invitations import Invitations
from iam.ports.machines import Machines
from iam.ports.outside import Means, Passwords, Sealer, Signer, Throttle
from iam.ports.pictures import Images, Shelf
from iam.ports.roles import Roles
from iam.ports.stats import Counts, Presence
from iam.ports.tenants import Tenants
from iam.ports.users import UserQuery, Users

__all__ = [
    "Accounts",
    "ApiKeys",
    "AuthorityLog",
    "Bindings",
    "Counts",
    "Entities",
    "External",
    "Guests",
    "Happenings",
    "Images",
    "Invitations",
    "Machines",
    "Means",
    "OpenWork",
    "Passwords",
    "Presence",
    "Resets",
    "Roles",
    "Sealer",
    "Sessions",
    "Shelf",
    "Signer",
    "SigningKeys",
    "Tenants",
    "Throttle",
    "Turned",
    "UserQuery",
    "Users",
    "Work",
]


class Work(Protocol):
    """One transaction: everything in it is kept, or nothing is."""

    @property
    def tenants(self) -> Tenants: ...  # noqa: D102 - its type says it
    @property
    def accounts(self) -> Accounts: ...  # noqa: D102
    @property
    def users(self) -> Users: ...  # noqa: D102
    @property
    def machines(self) -> Machines: ...  # noqa: D102
    @property
    def roles(self) -> Roles: ...  # noqa: D102
    @property
    def bindings(self) -> Bindings: ...  # noqa: D102
    @property
    def external(self) -> External: ...  # noqa: D102
    @property
    def guests(self) -> Guests: ...  # noqa: D102
    @property
    def invitations(self) -> Invitations: ...  # noqa: D102
    @property
    def api_keys(self) -> ApiKeys: ...  # noqa: D102
    @property
    def sessions(self) -> Sessions: ...  # noqa: D102
    @property
    def resets(self) -> Resets: ...  # noqa: D102
    @property
    def entities(self) -> Entities: ...  # noqa: D102
    @property
    def happenings(self) -> Happenings: ...  # noqa: D102
    @property
    def counts(self) -> Counts: ...  # noqa: D102
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
        """Leave a fact for the audit log, kept together with the change; whoever listens hears of it too."""
        ...


OpenWork = Callable[[], AbstractAsyncContextManager[Work]]
