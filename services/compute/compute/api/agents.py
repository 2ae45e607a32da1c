"""The REST doors of agents. They answer under /api as well as under /api/v1."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AfterValidator, Field, StringConstraints

from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Page,
    Paging,
    View,
    doors,
    given,
    needs,
    needs_somewhere,
    tagged,
)
from compute.api.cards import Card
from compute.api.words import Name, Reason, Search
from compute.domain.agent import Agent, AgentChanges, AgentStatus
from compute.ports.catalogue import AgentsWanted
from compute.usecases.agents import AgentAim, Agents, NewAgent

Uses = Annotated[Agents, given(Agents)]
AgentType = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*$", min_length=1, max_length=100)
]
Description = Annotated[str, StringConstraints(max_length=4096)]
MOST_TEMPLATE = 65_536


def _of_bounded_size(template: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(template)) > MOST_TEMPLATE:
        raise ValueError(f"must be at most {MOST_TEMPLATE} bytes as JSON")
    return template


Template = Annotated[dict[str, Any], AfterValidator(_of_bounded_size)]


async def _aim(agent: UUID, expected: Expected) -> AgentAim:
    return AgentAim(agent=agent, version=expected)


Aimed = Annotated[AgentAim, Depends(_aim)]


# --- what is sent and shown ---------------------------------------------------------------------------------------
Sort = Literal["created_at", "-created_at", "updated_at", "-updated_at", "name", "-name"]


class AgentBody(Body):
    """An agent as it is asked for: proprietary of the caller's organization unless `is_free_agent`."""

    agent_type: AgentType
    name: Name
    description: Description = ""
    is_free_agent: bool = False
    configuration_template: Template = Field(default_factory=dict)
    card: Card | None = None

    def asked(self) -> NewAgent:
        """Return what is asked for."""
        return NewAgent(
            agent_type=self.agent_type,
            name=self.name,
            description=self.description,
            is_free_agent=self.is_free_agent,
            configuration_template=self.configuration_template,
            card=self.card.kept() if self.card else None,
        )


class AgentPatch(Body):
    """What is to change; what is not said stays. A `card` of null takes the card away."""

    name: Name = Field(default_factory=str)
    description: Description = ""
    configuration_template: Template = Field(default_factory=dict)
    card: Card | None = None
    status: Literal["active", "inactive"] = "active"
    reason: Reason = ""

    def changes(self) -> AgentChanges:
        """Return what is to change."""
        said = {name: getattr(self, name) for name in self.model_fields_set - {"reason"}}
        if "status" in said:
            said["status"] = AgentStatus(said["status"])
        if said.get("card") is not None:
            said["card"] = said["card"].kept()
        return cast("AgentChanges", said)


class AgentView(View):
    """An agent. `owner_tenant_id` is null where it is free for all, `card` where nobody has given it one."""

    id: UUID
    agent_type: str
    name: str
    description: str
    is_free_agent: bool
    owner_tenant_id: UUID | None
    configuration_template: dict[str, Any]
    version: int
    status: AgentStatus
    card: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime


class AgentPage(Page[AgentView]):
    """A part of a list of agents: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""


class ResolveBody(Body):
    """Types of agents that somebody wants to attach."""

    agent_types: Annotated[list[AgentType], Field(min_length=1, max_length=200)]


class ResolvedView(View):
    """Which agents the organization may use under these types, and which types name none."""

    allowed: list[AgentView]
    denied: list[str]


# --- doors --------------------------------------------------------------------------------------------------------


async def create_agent(
    body: AgentBody, caller: Asking, uses: Uses, request: Request, response: Response
) -> AgentView:
    """Put an agent into the catalogue."""
    made = await uses.create(caller, body.asked())
    response.headers["location"] = f"{request.url.path.rstrip('/')}/{made.id}"
    return _shown(made, request, response)


async def _wanted(
    pager: Paging,
    search: Search = "",
    status: Literal["active", "inactive", "all"] = "active",
    is_free_agent: bool | None = None,
    agent_type: AgentType | None = None,
    sort: Sort = "name",
) -> AgentsWanted:
    return AgentsWanted(
        ask=pager.ask,
        search=search,
        status=None if status == "all" else AgentStatus(status),
        free=is_free_agent,
        agent_type=agent_type,
        sort=sort,
    )


async def list_agents(
    caller: Asking, uses: Uses, pager: Paging, wanted: Annotated[AgentsWanted, Depends(_wanted)]
) -> Any:  # noqa: ANN401
    """List the agents that are free or the organization's own, by name, and the active ones, unless said."""
    return pager.render(await uses.list(caller, wanted), AgentView.model_validate)


async def resolve_agents(body: ResolveBody, caller: Asking, uses: Uses) -> ResolvedView:
    """Tell which types of agents the organization may use; a foreign one is as unknown as one that never was."""
    found = await uses.resolve(caller, body.agent_types)
    allowed = [AgentView.model_validate(agent) for agent in found.agents]
    return ResolvedView(allowed=allowed, denied=list(found.unknown))


async def read_agent(
    agent: UUID, caller: Asking, uses: Uses, request: Request, response: Response
) -> Any:  # noqa: ANN401
    """Return one agent."""
    found = await uses.read(caller, agent)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers=dict(response.headers))
    return AgentView.model_validate(found)


async def read_card(
    agent: UUID, caller: Asking, uses: Uses, request: Request, response: Response
) -> Any:  # noqa: ANN401
    """Return an agent's A2A card, as it was given."""
    found, card = await uses.card(caller, agent)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers=dict(response.headers))
    return card


async def update_agent(
    aimed: Aimed, body: AgentPatch, caller: Asking, uses: Uses, request: Request, response: Response
) -> AgentView:
    """Change an agent; its version goes up."""
    aim = replace(aimed, reason=body.reason)
    return _shown(await uses.update(caller, aim, body.changes()), request, response)


async def deactivate_agent(aimed: Aimed, caller: Asking, uses: Uses) -> None:
    """Deactivate an agent: nobody may attach it any more, and what it was used for stays told."""
    await uses.deactivate(caller, aimed)


def _shown(agent: Agent, request: Request, response: Response) -> AgentView:
    tagged(response, request, agent.version)
    return AgentView.model_validate(agent)


def _agents(root: str) -> APIRouter:
    """Return the doors under a root: paths marked † in the design answer under /api as well."""
    router = doors(f"{root}/agents", "compute")
    one = "/{agent}"
    paged: dict[str, Any] = {"response_model": AgentPage, "response_model_exclude_unset": True}
    router.post("", status_code=201, response_model=AgentView, **needs("agent:create"))(
        create_agent
    )
    router.get("", **paged, **needs_somewhere("agent:read"))(list_agents)
    # It changes nothing, so it is answered also while iam is away.
    resolving = needs("agent:read", **{"x-reads": True})
    router.post("/resolve", response_model=ResolvedView, **resolving)(resolve_agents)
    read = needs_somewhere("agent:read")
    router.get(one, response_model=AgentView, responses=TAGGED, **read)(read_agent)
    router.get(f"{one}/card", responses=TAGGED, **read)(read_card)
    changed = needs_somewhere("agent:update")
    router.patch(one, response_model=AgentView, **changed)(update_agent)
    router.delete(one, status_code=204, **needs_somewhere("agent:delete"))(deactivate_agent)
    return router


routers = (_agents("/api/v1"), _agents("/api"))
