"""The catalogue of agents: free ones for all, and those of one organization that no other one sees."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from authz.standing import Thing
from chassis.caller import Caller
from chassis.facts import Actor, Fact, Target
from chassis.pages import Slice
from compute.domain.agent import (
    Agent,
    AgentChanges,
    AgentStatus,
    Resolved,
    agent_name,
    resolved,
)
from compute.domain.agent_errors import AgentNotFound, CardNotFound, FreeAgentForbidden
from compute.ports import OpenWork, Work
from compute.ports.catalogue import AgentsWanted

_FREE = (
    "Insufficient permissions: agents that are free for all belong to the platform's administrators"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAgent:
    """An agent as it is asked for. Whose it will be is not said: the caller's organization's, or nobody's."""

    agent_type: str
    name: str
    description: str = ""
    is_free_agent: bool = False
    configuration_template: Mapping[str, Any]
    card: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentAim:
    """Which agent a change is meant for, in which version (None: any), and why."""

    agent: UUID
    version: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Agents:
    """Everything one can do with agents."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def create(self, caller: Caller, new: NewAgent) -> Agent:
        """Put an agent into the catalogue; only the platform's administrators make one that is free for all."""
        caller.must("agent:create")
        if new.is_free_agent and not caller.may_everywhere("agent:create"):
            raise FreeAgentForbidden(_FREE, needed="agent:create")
        agent = self._made(caller, new)
        async with self.work() as work:
            await work.agents.add(agent)
            work.record(_told(caller, "created", None, agent))
        return agent

    async def read(self, caller: Caller, agent_id: UUID) -> Agent:
        """Return one agent that is free or the organization's own."""
        caller.must_for_some("agent:read")
        async with self.work() as work:
            found = await work.agents.find(caller.tenant, agent_id)
        return _allowed(caller, "agent:read", found, agent_id)

    async def card(self, caller: Caller, agent_id: UUID) -> tuple[Agent, Mapping[str, Any]]:
        """Return an agent and its A2A card; CardNotFound where nobody has given it one."""
        caller.must_for_some("agent:read")
        agent = await self.read(caller, agent_id)
        if agent.card is None:
            raise CardNotFound("this agent has no card: give it one with PATCH, as `card`")
        return agent, agent.card

    async def list(self, caller: Caller, wanted: AgentsWanted) -> Slice[Agent]:
        """Return a part of the agents that are free or the organization's own; of one's own if not of all."""
        own = caller.must_or_own("agent:read")
        async with self.work() as work:
            return await work.agents.list(caller.tenant, replace(wanted, owner_id=own))

    async def resolve(self, caller: Caller, agent_types: Sequence[str]) -> Resolved:
        """Return which agents the organization may use under these types: what is asked before one is attached."""
        caller.must("agent:read")
        async with self.work() as work:
            usable = await work.agents.active(caller.tenant, frozenset(agent_types))
        return resolved(agent_types, usable)

    async def update(self, caller: Caller, aim: AgentAim, changes: AgentChanges) -> Agent:
        """Change an agent; each change is one version more."""
        caller.must_for_some("agent:update")
        if "name" in changes:
            changes = {**changes, "name": agent_name(changes["name"])}
        async with self.work() as work:
            before = await self._taken(work, caller, "agent:update", aim)
            return await self._kept(work, caller, before, changes, ("updated", aim.reason))

    async def deactivate(self, caller: Caller, aim: AgentAim) -> Agent:
        """Take an agent out of use; what it was used for stays told. Once more changes nothing."""
        caller.must_for_some("agent:delete")
        changes: AgentChanges = {"status": AgentStatus.INACTIVE}
        async with self.work() as work:
            before = await self._taken(work, caller, "agent:delete", aim)
            return await self._kept(work, caller, before, changes, ("deactivated", aim.reason))

    async def _kept(
        self,
        work: Work,
        caller: Caller,
        before: Agent,
        changes: AgentChanges,
        told: tuple[str, str],
    ) -> Agent:
        after = before.changed(changes, self.now())
        if after is not before:
            await work.agents.put(after)
            work.record(_told(caller, told[0], before, after, told[1]))
        return after

    async def _taken(self, work: Work, caller: Caller, permission: str, aim: AgentAim) -> Agent:
        found = await work.agents.take(caller.tenant, aim.agent)
        agent = _allowed(caller, permission, found, aim.agent)
        agent.expect(aim.version)
        return agent

    def _made(self, caller: Caller, new: NewAgent) -> Agent:
        now = self.now()
        return Agent(
            id=self.new_id(),
            owner_tenant_id=None if new.is_free_agent else caller.tenant,
            owner_id=caller.owner,
            agent_type=new.agent_type,
            name=agent_name(new.name),
            description=new.description,
            configuration_template=new.configuration_template,
            card=new.card,
            created_at=now,
            updated_at=now,
        )


def _allowed(caller: Caller, permission: str, found: Agent | None, agent_id: UUID) -> Agent:
    """Return an agent to which the caller may do this. A free one is read by all and changed by few."""
    missing = AgentNotFound(f"there is no agent {agent_id}")
    if found is None:
        raise missing
    if not found.is_free_agent:
        caller.must_over(permission, Thing(found.owner_id, id=str(found.id)), missing)
    elif permission != "agent:read" and not caller.may_everywhere(permission):
        raise FreeAgentForbidden(_FREE, needed=permission)
    return found


def _told(
    caller: Caller, verbed: str, before: Agent | None, after: Agent, reason: str = ""
) -> Fact:
    return Fact(
        tenant=after.owner_tenant_id or caller.tenant,
        actor=Actor.of(caller),
        action=f"agent.{verbed}",
        target=Target("agent", str(after.id), after.name),
        before=_document(before) if before else None,
        after=_document(after),
        reason=reason,
    )


def _document(agent: Agent) -> dict[str, Any]:
    """Return an agent as the audit log keeps it; configuration may hold secrets, so only its keys are named."""
    return {
        "agent_type": agent.agent_type,
        "name": agent.name,
        "description": agent.description,
        "is_free_agent": agent.is_free_agent,
        "configuration_keys": sorted(agent.configuration_template),
        "card": dict(agent.card) if agent.card is not None else None,
        "status": agent.status.value,
        "version": agent.version,
    }
