"""What people are told of flags and segments: in the log, before an edit, of the past, and when they are refused."""

from dataclasses import replace
from hashlib import sha256
from uuid import UUID

import pytest

from chassis.caller import Caller
from flags.domain.errors import ApprovalNeeded
from flags.domain.flag import Change, Draft, Lifecycle
from flags.domain.segment import Moves
from flags.usecases.allocations import Wish
from flags.usecases.explaining import Moment
from flags.usecases.flags import Aim
from flags.usecases.projects import EnvironmentAim
from flags.usecases.segments import SegmentAim

BETA = SegmentAim(segment="beta", project="default")


@pytest.fixture
async def beta(segments, ana):
    await segments.create(ana, "default", {"key": "beta", "name": "Beta"})
    await segments.move(ana, BETA, Moves(include=("a", "b"), exclude=("c",)))


@pytest.fixture
async def flag(flags, ana, here):
    await flags.create(ana, here, Draft(key="f", name="F"))
    return await flags.enable(ana, Aim(flag="f", place=here))


def listed(fact):
    return fact.before and fact.before.get("listed"), fact.after and fact.after.get("listed")


async def test_the_log_says_who_was_moved_from_where_to_where(segments, ana, work, beta):
    await segments.move(ana, BETA, Moves(include=("c", "d"), exclude=("a",)))
    assert listed(work.facts[-1]) == (
        {"included": ["a"], "excluded": ["c"]},
        {"included": ["c", "d"], "excluded": ["a"]},
    )
    await segments.move(ana, BETA, Moves(remove=("b",)))
    assert listed(work.facts[-1]) == (
        {"included": ["b"], "excluded": []},
        {"included": [], "excluded": []},
    )
    await segments.update(ana, BETA, {"name": "B"})
    assert listed(work.facts[-1]) == (None, None)


async def test_of_very_many_the_log_keeps_how_many_and_a_digest(segments, ana, work, beta):
    many = tuple(f"user-{n:05}" for n in range(1001))
    await segments.move(ana, BETA, Moves(include=many))
    digest = sha256("".join(f"{one}\n" for one in many).encode()).hexdigest()
    _, after = listed(work.facts[-1])
    assert after == {"included": {"count": 1001, "sha256": digest}, "excluded": []}


async def test_the_log_says_who_was_in_a_segment_that_is_gone(segments, ana, work, beta):
    await segments.delete(ana, BETA)
    assert listed(work.facts[-1]) == ({"included": ["a", "b"], "excluded": ["c"]}, None)


async def test_the_log_says_whom_an_import_moved(exchange, ana, work, beta):
    said = await exchange.export(ana, "default")
    said["segments"][0] |= {"included": ["a"], "excluded": ["b", "c"]}
    await exchange.bring_about(ana, "default", said, prune=False)
    assert listed(work.facts[-1]) == (
        {"included": ["b"], "excluded": []},
        {"included": [], "excluded": ["b"]},
    )


async def test_a_preview_moves_nobody_whom_an_experiment_has(
    explaining, allocations, flag, ana, here
):
    service = Caller(
        subject="experiments", tenant=ana.tenant, permissions=frozenset({"flag:update"})
    )
    arms = [{"key": k, "weight": 50_000, "serves": k} for k in ("on", "off")]
    document = {
        "experiment_id": str(UUID(int=5)),
        "experiment": "e",
        "phase": 1,
        "unit": "targetingKey",
        "salt": "s",
        "arms": arms,
    }
    units = [{"targetingKey": f"u{n}"} for n in range(100)]
    change = Change(switch={"default_variant": "off"})
    assert (await explaining.preview(ana, here, "f", change, units)).moves == {("on", "off"): 100}
    wish = Wish(
        place=here,
        flag="f",
        experiment_id=UUID(int=5),
        experiment="e",
        version=1,
        document=document,
    )
    await allocations.put(service, wish)
    assert (await explaining.preview(ana, here, "f", change, units)).moves == {}


async def test_of_the_past_is_told_what_was_then(explaining, flags, flag, ana, here, clock):
    async def told(**moment):
        got = await explaining.explain(ana, here, "f", {}, Moment(**moment))
        return got.answer.details

    early = replace_year(flag.created_at, 2020)
    assert await told(at=early) == "flag 'f': there was no such flag at 2020-01-01T00:00:00+00:00"
    archived = Change(flag={"lifecycle": Lifecycle.ARCHIVED})
    after = await flags.update(ana, Aim(flag="f", place=here), archived)
    assert "it was not served at 2026" in await told(revision=after.version)
    assert await told() == "flag 'f' is archived and is not served"
    assert await told(revision=after.version - 1) == ""


def replace_year(moment, year):
    return moment.replace(year=year, month=1, day=1, hour=0, minute=0, second=0)


async def test_who_has_to_wait_for_approvals_is_told_where_the_kill_switch_is(
    flags, projects, flag, ana, here
):
    ana = replace(ana, permissions=ana.permissions | {"environment:update"})
    aim = EnvironmentAim(project=None, key="production")
    await projects.change_environment(ana, aim, {"approvals": 1})
    with pytest.raises(ApprovalNeeded, match="/api/v1/feature-flags/f/kill"):
        await flags.toggle(ana, Aim(flag="f", place=here))
