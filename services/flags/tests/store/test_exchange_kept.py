"""A project out and in, once on the memory and once on PostgreSQL."""

from dataclasses import replace

import pytest

from chassis.errors import Fault, Forbidden
from flags.domain.errors import ApprovalNeeded
from flags.domain.flag import Draft
from flags.domain.segment import Moves
from flags.usecases import exchange as module
from flags.usecases.changing import Aim
from flags.usecases.projects import EnvironmentAim
from flags.usecases.segments import SegmentAim

BETA = {"op": "in_segment", "segments": ["beta"]}


@pytest.fixture
async def filled(flags, segments, ana, here):
    made = {"key": "beta", "name": "Beta"}
    await segments.create(ana, "default", made)
    moves = Moves(include=("ana", "Ñandú"))
    await segments.move(ana, SegmentAim(segment="beta", project="default"), moves)
    await flags.create(
        ana, here, Draft(key="f", name="F", rules=({"when": BETA, "variant": "on"},))
    )
    await flags.enable(ana, Aim(flag="f", place=here))


async def test_a_project_is_brought_into_another_tenant_and_served_there(
    exchange, store, flags, filled, ana, here, new_id
):
    said = await exchange.export(ana, "default")
    assert (await exchange.diff(ana, "default", said, prune=True)).steps == []
    bob = replace(ana, tenant=new_id(), subject="bob")
    plan = await exchange.bring_about(bob, "default", said, prune=False)
    assert [(s.kind, s.key, s.action) for s in plan.steps] == [
        ("segment", "beta", "create"),
        ("flag", "f", "create"),
    ]
    assert await exchange.export(bob, "default") == said
    there = replace(here, tenant=bob.tenant)
    reading = await store.shelf.read(there)
    assert [row.key for row in reading.rows] == ["f"]
    assert sorted(reading.segments[0].included) == ["ana", "Ñandú"]
    assert (await flags.get(bob, there, "f")).owner_id == "bob"
    again = await exchange.bring_about(bob, "default", said, prune=True)
    assert again.steps == []


async def test_what_is_not_named_goes_and_new_environments_come(exchange, filled, ana, here, flags):
    said = await exchange.export(ana, "default")
    stage = {"key": "stage", "name": "Stage", "approvals": 0}
    said["environments"].append(stage)
    said["flags"][0]["environments"]["stage"] = said["flags"][0]["environments"]["production"]
    said["flags"][0]["name"] = "New"
    await flags.create(ana, here, Draft(key="gone", name="G"))
    plan = await exchange.bring_about(ana, "default", said, prune=True)
    assert [(s.key, s.action) for s in plan.steps] == [
        ("stage", "create"),
        ("f", "update"),
        ("gone", "delete"),
    ]
    after = await exchange.export(ana, "default")
    assert [f["key"] for f in after["flags"]] == ["f"]
    assert after["flags"][0]["environments"]["stage"]["status"] == "enabled"


async def test_all_of_it_or_nothing(exchange, filled, ana):
    said = await exchange.export(ana, "default")
    said["segments"][0]["name"] = "Renamed"
    said["flags"][0]["environments"]["production"]["default_variant"] = "nope"
    with pytest.raises(Fault):
        await exchange.bring_about(ana, "default", said, prune=False)
    after = await exchange.export(ana, "default")
    assert after["segments"][0]["name"] == "Beta"


async def test_each_step_takes_its_own_permission(exchange, filled, ana):
    said = await exchange.export(ana, "default")
    said["flags"][0]["environments"]["production"]["status"] = "disabled"
    reads = {"flag:read", "segment:read", "flag:update"}
    editor = replace(ana, permissions=frozenset(reads))
    assert len((await exchange.diff(editor, "default", said, prune=False)).steps) == 1
    with pytest.raises(Forbidden, match="flag:toggle"):
        await exchange.bring_about(editor, "default", said, prune=False)
    said["segments"][0]["name"] = "New"
    toggler = replace(ana, permissions=frozenset({*reads, "flag:toggle"}))
    with pytest.raises(Forbidden, match="segment:update"):
        await exchange.bring_about(toggler, "default", said, prune=False)


async def test_an_environment_that_wants_approvals_refuses_it(exchange, projects, filled, ana):
    said = await exchange.export(ana, "default")
    place = EnvironmentAim(project="default", key="production")
    await projects.change_environment(ana, place, {"approvals": 1})
    said["flags"][0]["name"] = "Only a name"
    await exchange.bring_about(ana, "default", said, prune=False)
    said["flags"][0]["environments"]["production"]["status"] = "disabled"
    assert len((await exchange.diff(ana, "default", said, prune=False)).steps) == 1
    with pytest.raises(ApprovalNeeded):
        await exchange.bring_about(ana, "default", said, prune=False)
    with pytest.raises(ApprovalNeeded):
        await exchange.bring_about(ana, "default", {**said, "flags": []}, prune=True)


async def test_what_is_too_much_for_one_document_is_said_so(exchange, filled, ana, monkeypatch):
    monkeypatch.setattr(module, "MOST_IDS", 1)
    with pytest.raises(Fault, match="more than"):
        await exchange.export(ana, "default")
