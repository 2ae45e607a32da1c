"""An agent of the catalogue: free for all, or one organization's own (proprietary).

To whom an agent that is neither free nor theirs shows itself: to nobody. That is one predicate, `usable_by`, which the
store says again in SQL; list, read, attach (`resolved`) and invoke (recording usage) all go through it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict
from unicodedata import category, normalize
from uuid import UUID

from authz.confusable import skeleton
from compute.domain.agent_errors import AgentStale, BadAgentName

_JOINERS = "\u200c\u200d"  # Persian and the scripts of India are spelled with them


class AgentStatus(StrEnum):
    """Whether an agent may be used."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class AgentChanges(TypedDict, total=False):
    """What may be changed about an agent, where said."""

    name: str
    description: str
    configuration_template: Mapping[str, Any]
    card: Mapping[str, Any] | None
    status: AgentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent. `owner_tenant_id` None: it is free for all. `card` is an A2A 1.0 agent card as it was given."""

    id: UUID
    owner_tenant_id: UUID | None
    owner_id: str
    agent_type: str
    name: str
    description: str
    created_at: datetime
    updated_at: datetime
    configuration_template: Mapping[str, Any] = field(default_factory=dict[str, Any])
    card: Mapping[str, Any] | None = None
    status: AgentStatus = AgentStatus.ACTIVE
    version: int = 1

    @property
    def is_free_agent(self) -> bool:
        """Whether it belongs to nobody and is for all."""
        return self.owner_tenant_id is None

    @property
    def look(self) -> str:
        """What names that look alike have in common."""
        return skeleton(self.name)

    def usable_by(self, tenant: UUID) -> bool:
        """Tell whether an organization may know of it."""
        return self.owner_tenant_id in (None, tenant)

    def expect(self, version: int | None) -> None:
        """Refuse to go on unless this is the version that was expected (None: any)."""
        if version is not None and version != self.version:
            raise AgentStale(f"agent {self.name!r} is at version {self.version}, not {version}")

    def changed(self, changes: AgentChanges, now: datetime) -> "Agent":
        """Return the agent with these changes, one version on; itself where they change nothing."""
        after = replace(self, **changes)
        return self if after == self else replace(after, version=self.version + 1, updated_at=now)


def agent_name(said: str) -> str:
    """Return a name in NFC; BadAgentName for one that nobody can see or tell from another."""
    name = normalize("NFC", said)
    hidden = any(category(c) in ("Cc", "Cf", "Zl", "Zp") and c not in _JOINERS for c in name)
    if hidden or not skeleton(name):
        raise BadAgentName("the name holds characters that nobody can see")
    return name


@dataclass(frozen=True, slots=True)
class Resolved:
    """Which agents answer to the types that were asked for, and which types none answers to."""

    agents: Sequence[Agent]
    unknown: Sequence[str]


def resolved(agent_types: Iterable[str], usable: Iterable[Agent]) -> Resolved:
    """Return for each type, once and in order, the agent that answers to it: one's own before a free one.

    What another organization has is not among `usable`, so a type of theirs is as unknown as one that never was.
    """
    best: dict[str, Agent] = {}
    for agent in usable:
        if agent.agent_type not in best or not agent.is_free_agent:
            best[agent.agent_type] = agent
    asked = list(dict.fromkeys(agent_types))
    return Resolved([best[t] for t in asked if t in best], [t for t in asked if t not in best])
