"""Whose an agent is, what it is called, and which one answers to a type."""

# ruff: noqa: RUF001 - that they are confusable is the point

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from compute.domain.agent import Agent, AgentStatus, agent_name, resolved
from compute.domain.agent_errors import AgentStale, BadAgentName

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 6, 2, tzinfo=UTC)


def agent(agent_type="writer", owner=None, **said):
    given = {
        "id": uuid4(),
        "owner_id": "ana",
        "name": agent_type,
        "description": "",
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Agent(**given | said, agent_type=agent_type, owner_tenant_id=owner)


def test_a_free_agent_is_for_all_and_a_proprietary_one_for_its_owner():
    home, abroad = uuid4(), uuid4()
    assert agent().usable_by(home)
    assert agent(owner=home).usable_by(home)
    assert not agent(owner=home).usable_by(abroad)


def test_a_change_is_one_version_more_and_no_change_is_none():
    one = agent()
    assert one.changed({"description": ""}, LATER) is one
    after = one.changed({"status": AgentStatus.INACTIVE}, LATER)
    assert (after.version, after.updated_at, after.status) == (2, LATER, AgentStatus.INACTIVE)
    with pytest.raises(AgentStale):
        after.expect(1)
    after.expect(None)


@pytest.mark.parametrize("twin", ["Writer", "wrіter", "ｗriter", "w\u0301riter", " writer"])
def test_names_that_look_alike_look_alike(twin):
    assert agent(name=twin).look == agent(name="writer").look


@pytest.mark.parametrize("name", ["\u202eretirw", "wri\u200bter", "a\nb", "\u0301"])
def test_a_name_that_hides_something_is_refused(name):
    with pytest.raises(BadAgentName):
        agent_name(name)


@pytest.mark.parametrize("name", ["writer", "Größe", "می\u200cخواهم", "更好 🙂"])
def test_a_name_in_any_script_is_kept(name):
    assert agent_name(name) == name


def test_each_type_is_answered_once_by_the_own_agent_before_the_free_one():
    home = uuid4()
    free, own, other = agent(), agent(owner=home), agent("reader")
    for usable in ([free, own, other], [other, own, free]):
        found = resolved(["reader", "writer", "writer", "nobody", "reader"], usable)
        assert (found.agents, found.unknown) == ([other, own], ["nobody"])
