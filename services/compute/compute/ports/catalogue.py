"""What is asked of the world about agents."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from chassis.pages import PageAsk, Slice
from compute.domain.agent import Agent, AgentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentsWanted:
    """Which agents are wanted. `free`: only those for all, or only the organization's own.

    `owner_id`: of the organization's only those of this owner. `sort`: created_at or name, with `-` for descending.
    """

    ask: PageAsk
    search: str = ""
    status: AgentStatus | None = None
    free: bool | None = None
    agent_type: str | None = None
    owner_id: str | None = None
    sort: str = "name"


class AgentBook(Protocol):
    """The agents of every organization, and those for all: nobody finds another organization's."""

    async def find(self, tenant: UUID, agent_id: UUID) -> Agent | None:
        """Return an agent that the organization may know of; None if there is none."""
        ...

    async def take(self, tenant: UUID, agent_id: UUID) -> Agent | None:
        """Return the same, locked until the work ends."""
        ...

    async def list(self, tenant: UUID, wanted: AgentsWanted) -> Slice[Agent]:
        """Return a part of the agents that the organization may know of."""
        ...

    async def active(self, tenant: UUID, agent_types: Collection[str]) -> Sequence[Agent]:
        """Return the active agents of these types that the organization may use."""
        ...

    async def known(self, tenant: UUID, agents: Collection[UUID]) -> frozenset[UUID]:
        """Return which of these agents the organization may know of, active or not."""
        ...

    async def add(self, agent: Agent) -> None:
        """Keep a new agent; AgentTypeTaken or AgentNameTaken if its owner has such an active one."""
        ...

    async def put(self, agent: Agent) -> None:
        """Keep an agent, taken before, as it is now; the same conflicts."""
        ...
