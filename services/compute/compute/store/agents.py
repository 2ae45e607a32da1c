"""Agents in PostgreSQL."""

from collections.abc import Collection, Sequence
from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import Slice
from compute.domain.agent import Agent, AgentStatus
from compute.domain.agent_errors import AgentNameTaken, AgentTypeTaken
from compute.ports.catalogue import AgentsWanted
from compute.store.ledger_tables import AgentRow
from compute.store.lists import Listing

_LISTING = Listing(
    AgentRow,
    {
        "created_at": AgentRow.created_at,
        "updated_at": AgentRow.updated_at,
        "name": AgentRow.name.collate("C"),
    },
)
_SAME = (
    "id", "owner_tenant_id", "owner_id", "agent_type", "name", "description", "version", "created_at", "updated_at",
)  # fmt: skip


class SqlAgentBook:
    """The agents over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, tenant: UUID, agent_id: UUID) -> Agent | None:
        """Return an agent that the organization may know of; None if there is none."""
        row = await self._session.scalar(select(AgentRow).where(_named(tenant, agent_id)))
        return _agent_of(row) if row else None

    async def take(self, tenant: UUID, agent_id: UUID) -> Agent | None:
        """Return the same, locked until the work ends."""
        query = select(AgentRow).where(_named(tenant, agent_id)).with_for_update()
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        return _agent_of(row) if row else None

    async def list(self, tenant: UUID, wanted: AgentsWanted) -> Slice[Agent]:
        """Return a part of the agents that the organization may know of."""
        rows, after, total = await _LISTING.part(self._session, _which(tenant, wanted), wanted)
        return Slice(items=[_agent_of(row) for row in rows], next=after, total=total)

    async def active(self, tenant: UUID, agent_types: Collection[str]) -> Sequence[Agent]:
        """Return the active agents of these types that the organization may use."""
        usable = and_(_open_to(tenant), AgentRow.status == AgentStatus.ACTIVE.value)
        query = select(AgentRow).where(usable, AgentRow.agent_type.in_(agent_types))
        return [_agent_of(row) for row in await self._session.scalars(query)]

    async def known(self, tenant: UUID, agents: Collection[UUID]) -> frozenset[UUID]:
        """Return which of these agents the organization may know of, active or not."""
        query = select(AgentRow.id).where(_open_to(tenant), AgentRow.id.in_(agents))
        return frozenset(await self._session.scalars(query))

    async def add(self, agent: Agent) -> None:
        """Keep a new agent; AgentTypeTaken or AgentNameTaken if its owner has such an active one."""
        self._session.add(AgentRow(**_columns(agent)))
        try:
            await self._session.flush()
        except IntegrityError as clash:
            _taken(clash, agent)

    async def put(self, agent: Agent) -> None:
        """Keep an agent, taken before, as it is now; the same conflicts."""
        change = update(AgentRow).where(AgentRow.id == agent.id).values(**_columns(agent))
        try:
            await self._session.execute(change)
        except IntegrityError as clash:
            _taken(clash, agent)


def _taken(clash: IntegrityError, agent: Agent) -> NoReturn:
    if "agent_own_type" in str(clash.orig):
        raise AgentTypeTaken(
            f"there is an active agent of type {agent.agent_type!r} already: change it, or deactivate it first"
        ) from None
    if "agent_own_look" in str(clash.orig):
        raise AgentNameTaken(
            f"there is an active agent whose name is {agent.name!r} or looks like it"
        ) from None
    raise clash


def _open_to(tenant: UUID) -> ColumnElement[bool]:
    return or_(AgentRow.owner_tenant_id == tenant, AgentRow.owner_tenant_id.is_(None))


def _named(tenant: UUID, agent_id: UUID) -> ColumnElement[bool]:
    return and_(AgentRow.id == agent_id, _open_to(tenant))


def _which(tenant: UUID, wanted: AgentsWanted) -> ColumnElement[bool]:
    free = AgentRow.owner_tenant_id.is_(None)
    which = [_open_to(tenant)]
    if wanted.search:
        fields = (AgentRow.name, AgentRow.description, AgentRow.agent_type)
        which.append(or_(*(f.icontains(wanted.search, autoescape=True) for f in fields)))
    if wanted.owner_id is not None:
        which.append(or_(free, AgentRow.owner_id == wanted.owner_id))
    if wanted.status is not None:
        which.append(AgentRow.status == wanted.status.value)
    if wanted.agent_type is not None:
        which.append(AgentRow.agent_type == wanted.agent_type)
    if wanted.free is not None:
        which.append(free if wanted.free else ~free)
    return and_(*which)


def _columns(agent: Agent) -> dict[str, Any]:
    return {name: getattr(agent, name) for name in _SAME} | {
        "look": agent.look,
        "configuration_template": dict(agent.configuration_template),
        "card": None if agent.card is None else dict(agent.card),
        "status": agent.status.value,
    }


def _agent_of(row: AgentRow) -> Agent:
    return Agent(
        **{name: getattr(row, name) for name in _SAME},
        configuration_template=row.configuration_template,
        card=row.card,
        status=AgentStatus(row.status),
    )
