"""Agents: who makes which, who sees which, who changes which."""

from dataclasses import replace
from uuid import uuid4

import pytest

from authz.decision import Binding, Who, compile_subject
from authz.standing import Standing
from authz.verbs import masks
from chassis.errors import Forbidden
from chassis.pages import PageAsk
from compute.domain.agent import AgentStatus
from compute.domain.agent_errors import (
    AgentNameTaken,
    AgentNotFound,
    AgentStale,
    AgentTypeTaken,
    CardNotFound,
    FreeAgentForbidden,
)
from compute.ports.catalogue import AgentsWanted
from compute.usecases.agents import AgentAim, NewAgent


def new(agent_type="writer", **said):
    return NewAgent(
        **{"name": agent_type, "configuration_template": {}} | said, agent_type=agent_type
    )


async def names(agents, caller, **wanted):
    part = await agents.list(caller, AgentsWanted(ask=PageAsk(), **wanted))
    return [agent.name for agent in part.items]


async def test_an_agent_is_the_organizations_own_unless_it_is_said_to_be_free(agents, ana, work):
    made = await agents.create(ana, new(configuration_template={"api_key": "s3cret"}))
    assert (made.owner_tenant_id, made.is_free_agent, made.version) == (ana.tenant, False, 1)
    [fact] = work.facts
    assert (fact.action, fact.target.id, fact.tenant) == ("agent.created", str(made.id), ana.tenant)
    assert "s3cret" not in str(fact)


async def test_only_the_platform_makes_an_agent_that_is_free_for_all(agents, ana, root, otto, work):
    with pytest.raises(FreeAgentForbidden):
        await agents.create(ana, new(is_free_agent=True))
    assert (work.agents.kept, work.facts) == ({}, [])
    made = await agents.create(root, new(is_free_agent=True))
    assert made.owner_tenant_id is None
    assert await agents.read(otto, made.id) == made


async def test_a_foreign_agent_is_seen_nowhere(agents, ana, otto):
    made = await agents.create(ana, new())
    aim = AgentAim(agent=made.id)
    calls = [
        agents.read(otto, made.id),
        agents.card(otto, made.id),
        agents.update(otto, aim, {"description": "mine"}),
        agents.deactivate(otto, aim),
    ]
    for call in calls:
        with pytest.raises(AgentNotFound, match=str(made.id)):
            await call
    assert await names(agents, otto) == []
    assert (await agents.resolve(otto, ["writer"])).unknown == ["writer"]


async def test_a_free_agent_is_read_by_all_and_changed_by_the_platform_alone(agents, root, ana):
    made = await agents.create(root, new(is_free_agent=True))
    aim = AgentAim(agent=made.id)
    for call in (agents.update(ana, aim, {"description": "x"}), agents.deactivate(ana, aim)):
        with pytest.raises(FreeAgentForbidden):
            await call
    assert (await agents.update(root, aim, {"description": "x"})).version == 2


async def test_names_and_types_are_the_owners_own(agents, ana, otto, root):
    await agents.create(ana, new(name="Schreiber"))
    await agents.create(otto, new(name="Schreiber"))
    await agents.create(root, new(name="Schreiber", is_free_agent=True))
    with pytest.raises(AgentTypeTaken):
        await agents.create(ana, new(name="another"))
    with pytest.raises(AgentNameTaken):
        await agents.create(ana, new("scribe", name="Sсhreiber"))  # noqa: RUF001 - a Cyrillic letter
    with pytest.raises(AgentTypeTaken):
        await agents.create(root, new(name="another", is_free_agent=True))


async def test_deactivating_frees_the_type_and_happens_once(agents, ana, work):
    first = await agents.create(ana, new())
    aim = AgentAim(agent=first.id)
    assert (await agents.deactivate(ana, aim)).status is AgentStatus.INACTIVE
    assert (await agents.deactivate(ana, aim)).version == 2
    assert [fact.action for fact in work.facts] == ["agent.created", "agent.deactivated"]
    assert (await agents.resolve(ana, ["writer"])).agents == []
    second = await agents.create(ana, new())
    assert await names(agents, ana, status=AgentStatus.ACTIVE) == [second.name]
    with pytest.raises(AgentTypeTaken):
        await agents.update(ana, aim, {"status": AgentStatus.ACTIVE})
    assert (await agents.read(ana, first.id)).status is AgentStatus.INACTIVE


async def test_a_change_for_an_older_version_is_refused(agents, ana, work):
    made = await agents.create(ana, new())
    await agents.update(ana, AgentAim(agent=made.id, version=1, reason="why"), {"name": "W"})
    assert work.facts[-1].reason == "why"
    with pytest.raises(AgentStale):
        await agents.update(ana, AgentAim(agent=made.id, version=1), {"name": "V"})


async def test_a_card_is_what_was_given_or_said_to_be_missing(agents, ana):
    made = await agents.create(ana, new())
    with pytest.raises(CardNotFound, match="PATCH"):
        await agents.card(ana, made.id)
    after = await agents.update(ana, AgentAim(agent=made.id), {"card": {"name": "W"}})
    assert await agents.card(ana, made.id) == (after, {"name": "W"})


async def test_without_permission_nothing_is_told_or_done(agents, ana, vera, nora, work):
    made = await agents.create(ana, new())
    aim = AgentAim(agent=made.id)
    calls = [
        (nora, agents.read(nora, uuid4())),
        (nora, agents.list(nora, AgentsWanted(ask=PageAsk()))),
        (nora, agents.resolve(nora, ["writer"])),
        (vera, agents.create(vera, new("b"))),
        (vera, agents.update(vera, aim, {"name": "b"})),
        (vera, agents.deactivate(vera, aim)),
    ]
    for _, call in calls:
        with pytest.raises(Forbidden):
            await call
    assert work.agents.kept == {made.id: made}


async def test_whoever_may_make_agents_sees_and_changes_their_own_and_the_free_ones(
    agents, ana, root, clock
):
    """`agent:create` alone: full rights over what one made oneself."""
    held = Binding(role="r", masks=masks({"agent:create"}), level="tenant", where=str(ana.tenant))
    who = Who(id="mia", tenant=str(ana.tenant), scope=None)
    mia = replace(
        ana,
        subject="mia",
        permissions=frozenset(),
        standing=Standing(compile_subject(who, (held,), clock()), ("mia",)),
    )
    await agents.create(ana, new("anas"))
    free = await agents.create(root, new("free", is_free_agent=True))
    own = await agents.create(mia, new("mias"))
    assert await names(agents, mia) == ["free", "mias"]
    assert await agents.read(mia, free.id) == free
    assert (await agents.update(mia, AgentAim(agent=own.id), {"description": "d"})).version == 2
