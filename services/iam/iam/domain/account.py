"""Who logs in: what the door has to know of somebody, and no more. What they may do is another question."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


class Somebody(Protocol):
    """A user, by what sessions and facts say of them."""

    @property
    def id(self) -> UUID: ...  # noqa: D102 - its type says it
    @property
    def tenant(self) -> UUID: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who may be meant by a name, in the tenant that they would act in. `password` is its hash.

    `open`: neither they, nor that tenant, nor the one that their account belongs to is disabled.
    """

    id: UUID
    tenant: UUID
    name: str
    password: str
    subdomain: str
    open: bool
