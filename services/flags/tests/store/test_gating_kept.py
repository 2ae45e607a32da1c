"""Segments where changes want approvals: once on the memory and once on PostgreSQL."""

import pytest

from flags.domain.errors import ApprovalNeeded
from flags.domain.flag import Draft
from flags.domain.segment import Moves
from flags.usecases.projects import EnvironmentAim
from flags.usecases.segments import SegmentAim

PRODUCTION = EnvironmentAim(project="default", key="production")
SWISS = {"op": "eq", "attribute": "country", "value": "CH"}
GERMAN = {"op": "eq", "attribute": "country", "value": "DE"}


def aim(key):
    return SegmentAim(segment=key, project="default")


@pytest.fixture
async def gated(flags, segments, projects, ana, here):
    """Production wants approvals; a flag asks there for `outer`, which asks for `inner`; nobody asks for `idle`."""
    await flags.create(ana, here, Draft(key="before", name="B"))
    for key, when in (
        ("inner", SWISS),
        ("outer", {"op": "in_segment", "segments": ["inner"]}),
        ("idle", SWISS),
    ):
        await segments.create(ana, "default", {"key": key, "name": key, "when": when})
    rule = {"when": {"op": "in_segment", "segments": ["outer"]}, "variant": "on"}
    await flags.create(ana, here, Draft(key="f", name="F", rules=(rule,)))
    await projects.change_environment(ana, PRODUCTION, {"approvals": 1})
    return segments


@pytest.mark.parametrize("key", ["inner", "outer"])
async def test_what_decides_there_is_not_changed_past_the_approvers(gated, key, ana):
    before = await gated.get(ana, aim(key))
    says = rf"segment '{key}' decides about flag 'f' in environment 'production'.*change-requests"
    with pytest.raises(ApprovalNeeded, match=says):
        await gated.update(ana, aim(key), {"when": GERMAN})
    with pytest.raises(ApprovalNeeded, match=says):
        await gated.move(ana, aim(key), Moves(include=("u1",)))
    assert await gated.get(ana, aim(key)) == before
    assert not (await gated.members(ana, aim(key))).included


async def test_names_and_what_changes_nothing_stay_free(gated, ana):
    renamed = await gated.update(ana, aim("inner"), {"name": "New", "when": SWISS})
    assert (renamed.name, renamed.version) == ("New", 2)
    assert (await gated.move(ana, aim("inner"), Moves(remove=("nobody",)))).version == 2


async def test_what_nobody_asks_for_there_is_free(gated, projects, ana):
    await gated.move(ana, aim("idle"), Moves(include=("u1",)))
    assert (await gated.update(ana, aim("idle"), {"when": GERMAN})).version == 3
    await projects.change_environment(ana, PRODUCTION, {"approvals": 0})
    assert (await gated.update(ana, aim("inner"), {"when": GERMAN})).version == 2


async def test_an_import_does_not_go_past_the_approvers_either(gated, exchange, ana):
    document = await exchange.export(ana, "default")
    [inner] = [one for one in document["segments"] if one["key"] == "inner"]
    inner["when"] = GERMAN
    with pytest.raises(ApprovalNeeded, match="'inner' decides about flag 'f'"):
        await exchange.bring_about(ana, "default", document, prune=False)
    inner["when"] = SWISS
    [idle] = [one for one in document["segments"] if one["key"] == "idle"]
    idle["when"] = GERMAN
    await exchange.bring_about(ana, "default", document, prune=False)
    assert (await gated.get(ana, aim("idle"))).when == GERMAN
    assert (await gated.get(ana, aim("inner"))).when == SWISS
