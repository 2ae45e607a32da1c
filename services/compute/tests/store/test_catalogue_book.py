"""One contract for the book of agents: that in memory and that in PostgreSQL."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from chassis.pages import PageAsk
from compute.domain.agent import Agent, AgentStatus
from compute.domain.agent_errors import AgentNameTaken, AgentTypeTaken
from compute.ports.catalogue import AgentsWanted


@pytest.fixture
def make_agent(tenant, clock):
    def make(agent_type="writer", owner=tenant, **said):
        given = {
            "id": uuid4(),
            "owner_id": "ana",
            "name": agent_type,
            "description": "",
            "created_at": clock(),
            "updated_at": clock(),
        }
        return Agent(**given | said, agent_type=agent_type, owner_tenant_id=owner)

    return make


async def kept(open_work, *agents):
    async with open_work() as work:
        for agent in agents:
            await work.agents.add(agent)


async def names(open_work, tenant, **wanted):
    async with open_work() as work:
        part = await work.agents.list(tenant, AgentsWanted(ask=PageAsk(), **wanted))
    return [agent.name for agent in part.items]


async def test_what_was_added_comes_back_whole(open_work, make_agent, tenant):
    agent = make_agent(
        name="Größer 更好 🙂",
        configuration_template={"a": [1, {"b": None}]},
        card={"name": "x"},
        version=7,
        status=AgentStatus.INACTIVE,
    )
    await kept(open_work, agent)
    async with open_work() as work:
        assert await work.agents.find(tenant, agent.id) == agent
        assert await work.agents.take(tenant, agent.id) == agent


async def test_another_organizations_agent_is_nowhere(open_work, make_agent, tenant):
    tag = uuid4().hex
    own, foreign = make_agent(f"own-{tag}"), make_agent(f"foreign-{tag}", uuid4())
    free = make_agent(f"free-{tag}", None)
    await kept(open_work, own, foreign, free)
    assert await names(open_work, tenant, search=tag) == [free.name, own.name]
    assert await names(open_work, tenant, search=tag, free=True) == [free.name]
    assert await names(open_work, tenant, search=tag, owner_id="bob") == [free.name]
    every = [agent.id for agent in (own, foreign, free)]
    async with open_work() as work:
        assert await work.agents.find(tenant, foreign.id) is None
        assert await work.agents.take(tenant, foreign.id) is None
        assert await work.agents.known(tenant, every) == {own.id, free.id}
        types = {own.agent_type, foreign.agent_type, free.agent_type}
        assert {a.id for a in await work.agents.active(tenant, types)} == {own.id, free.id}


async def test_types_and_looks_are_unique_per_owner_among_the_active(open_work, make_agent):
    first = make_agent(f"t-{uuid4()}", None, name=f"scope {uuid4()}")
    await kept(open_work, first)
    with pytest.raises(AgentTypeTaken):
        await kept(open_work, replace(first, id=uuid4(), name="another"))
    twin = first.name.replace("o", "о")  # noqa: RUF001 - a Cyrillic letter
    with pytest.raises(AgentNameTaken):
        await kept(open_work, replace(first, id=uuid4(), agent_type="another", name=twin))
    await kept(open_work, replace(first, id=uuid4(), owner_tenant_id=uuid4()))
    second = replace(first, id=uuid4(), status=AgentStatus.INACTIVE)
    await kept(open_work, second)
    with pytest.raises(AgentTypeTaken):
        async with open_work() as work:
            await work.agents.put(replace(second, status=AgentStatus.ACTIVE))


async def test_of_many_who_take_one_type_at_once_one_has_it(open_work, make_agent, tenant):
    async def one(n):
        await kept(open_work, make_agent(name=f"name {n}"))

    got = await asyncio.gather(*(one(n) for n in range(8)), return_exceptions=True)
    assert sum(isinstance(it, AgentTypeTaken) for it in got) == 7
    assert len(await names(open_work, tenant, free=False)) == 1
