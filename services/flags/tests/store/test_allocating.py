"""Experiments over flags, once on the memory and once on PostgreSQL."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from chassis.caller import Caller
from flags.domain.answers import Reason
from flags.domain.errors import (
    BadAllocation,
    BadDocument,
    BadRules,
    FlagNotFound,
    InExperiment,
    SegmentInUse,
    SegmentNotFound,
)
from flags.domain.flag import Change, Draft, Lifecycle
from flags.domain.ruleset import compile_all
from flags.usecases.allocations import Allocations, Wish
from flags.usecases.flags import Aim
from flags.usecases.projects import EnvironmentAim
from flags.usecases.rulesets import Rulesets
from flags.usecases.segments import SegmentAim


@pytest.fixture
def allocations(store, clock):
    return Allocations(store.work, clock, uuid7)


@pytest.fixture
def service(ana):
    return Caller(subject="experiments", tenant=ana.tenant, permissions=frozenset({"flag:update"}))


@pytest.fixture
async def flag(flags, ana, here):
    await flags.create(ana, here, Draft(key="f", name="F", off_variant="on"))
    return await flags.enable(ana, Aim(flag="f", place=here))


@pytest.fixture
def wish(here):
    def make(version, flag="f", experiment=5, **more):
        arms = more.pop("arms", (("control", ""), ("treatment", "")))
        document = {
            "experiment_id": str(UUID(int=experiment)),
            "experiment": f"e{experiment}",
            "phase": 1,
            "unit": "targetingKey",
            "salt": "s",
            "arms": [
                {"key": k, "weight": 100_000 if not i else 0, "serves": s}
                for i, (k, s) in enumerate(arms)
            ],
            **more,
        }
        return Wish(
            place=here,
            flag=flag,
            experiment_id=UUID(int=here.tenant.int ^ experiment),
            experiment=f"e{experiment}",
            version=version,
            document=document if more.get("phase", 1) else None,
        )

    return make


async def served(store, place, key="f"):
    reading = await store.shelf.read(place)
    ruleset, refused = compile_all(place, reading.revision, reading.rows, None, reading.segments)
    assert refused == {}
    return ruleset.ask(ruleset.flags[key], {"targetingKey": "u"}, 0.0)


async def test_what_is_put_is_served_and_announced(allocations, service, flag, wish, store, here):
    before = len(store.told)
    granted = await allocations.put(service, wish(3))
    assert (granted.version, granted.enabled, granted.made) == (3, True, False)
    answer = await served(store, here)
    assert (answer.variant, answer.reason, answer.value) == ("control", Reason.SPLIT, False)
    assert [place for place, _ in store.told[before:]] == [here]


async def test_the_newest_version_counts_in_whatever_order_they_come(
    allocations, service, flag, wish, store, here
):
    wishes = [wish(n, arms=((f"a{n}", "on"), ("b", "off"))) for n in range(1, 9)]
    for first in (wishes[3], wishes[1], wishes[3]):
        await allocations.put(service, first)
    await asyncio.gather(*(allocations.put(service, one) for one in reversed(wishes)))
    assert (await served(store, here)).variant == "a8"
    assert (await allocations.put(service, wishes[0])).version == 8


async def test_a_repeated_wish_changes_and_announces_nothing(
    allocations, service, flag, wish, store
):
    await allocations.put(service, wish(3))
    told = len(store.told)
    assert (await allocations.put(service, wish(3))).version == 3
    assert len(store.told) == told


async def test_what_is_withdrawn_is_served_no_more_and_stays_so(
    allocations, service, flag, wish, store, here
):
    await allocations.put(service, wish(3))
    await allocations.put(service, wish(4, phase=0))
    assert (await served(store, here)).reason is Reason.STATIC
    await allocations.put(service, wish(3))
    assert (await served(store, here)).reason is Reason.STATIC


async def test_a_flag_is_made_for_an_experiment_that_has_none(
    allocations, service, wish, store, here
):
    assert (await allocations.check(service, wish(1, flag="new"))).made
    granted = await allocations.put(service, wish(1, flag="new"))
    assert (granted.made, granted.enabled) == (True, True)
    assert (await served(store, here, "new")).variant == "control"
    three = wish(1, flag="three", experiment=6, arms=(("a", ""), ("b", ""), ("c", "")))
    await allocations.put(service, three)
    assert (await served(store, here, "three")).value == "a"


async def test_a_flag_is_not_made_where_an_arm_serves_a_variant_of_it(
    allocations, service, wish, flags, ana, here
):
    with pytest.raises(FlagNotFound, match="make it first"):
        await allocations.put(service, wish(1, flag="new", arms=(("a", "blue"), ("b", "red"))))


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"arms": (("a", "blue"), ("b", "on"))}, "/variants/0"),
        ({"when": {"op": "no"}}, "/targeting/op"),
        ({"when": {"op": "in_segment", "segments": ["gone"]}}, "/targeting"),
        ({"when": {"op": "flag", "flag": "f", "variants": ["on"]}}, "/targeting"),
    ],
)
async def test_what_cannot_be_served_is_refused_with_a_pointer(
    allocations, service, flag, wish, store, here, more, pointer
):
    for verb in (allocations.check, allocations.put):
        with pytest.raises(BadAllocation) as refused:
            await verb(service, wish(1, **more))
        assert refused.value.errors[0].pointer.startswith(pointer)
    assert (await served(store, here)).reason is Reason.STATIC


async def test_what_an_experiment_needs_stays(
    allocations, service, flag, wish, flags, segments, ana, here
):
    swiss = {"op": "eq", "attribute": "country", "value": "CH"}
    await segments.create(ana, "default", {"key": "beta", "name": "Beta", "when": swiss})
    beta = {"op": "in_segment", "segments": ["beta"]}
    await allocations.put(service, wish(1, when=beta))
    aim = Aim(flag="f", place=here)
    with pytest.raises(InExperiment, match="e5"):
        await flags.delete(ana, aim)
    with pytest.raises(InExperiment, match="serves variant 'off'"):
        await flags.update(ana, Aim(flag="f", place=here), Change(flag={"variants": {"on": True}}))
    with pytest.raises(InExperiment, match="e5"):
        await flags.update(ana, aim, Change(flag={"lifecycle": Lifecycle.ARCHIVED}))
    await flags.update(ana, aim, Change(flag={"lifecycle": Lifecycle.STALE}))
    assert (await allocations.check(service, wish(2))).enabled
    in_default = SegmentAim(segment="beta", project="default")
    with pytest.raises(SegmentInUse, match="experiment 'e5'"):
        await segments.delete(ana, in_default)
    await allocations.put(service, wish(2, phase=0))
    await flags.update(ana, aim, Change(flag={"lifecycle": Lifecycle.ARCHIVED}))
    assert not (await allocations.check(service, wish(3))).enabled
    await flags.delete(ana, aim)
    await segments.delete(ana, in_default)


@pytest.fixture
async def beta(segments, ana):
    swiss = {"op": "eq", "attribute": "country", "value": "CH"}
    return await segments.create(ana, "default", {"key": "beta", "name": "Beta", "when": swiss})


BETA = {"op": "in_segment", "segments": ["beta"]}
IN_DEFAULT = SegmentAim(segment="beta", project="default")


def asks(flag):
    return {"op": "flag", "flag": flag, "variants": ["on"]}


async def test_a_segment_cannot_ask_for_the_flag_of_an_experiment_that_asks_for_it(
    allocations, service, flag, wish, segments, beta, ana, store, here
):
    await allocations.put(service, wish(1, when=BETA))
    with pytest.raises(BadRules, match="ring") as refused:
        await segments.update(ana, IN_DEFAULT, {"when": asks("f")})
    assert refused.value.errors[0].code == "cycle"
    await served(store, here)
    await allocations.put(service, wish(2, phase=0))
    await segments.update(ana, IN_DEFAULT, {"when": asks("f")})


async def test_no_other_flag_closes_a_ring_through_an_experiment(
    allocations, service, flag, wish, flags, segments, beta, ana, store, here
):
    await flags.create(ana, here, Draft(key="g", name="G"))
    await segments.update(ana, IN_DEFAULT, {"when": asks("g")})
    await allocations.put(service, wish(1, when=BETA))
    first = Change(switch={"prerequisites": ({"flag": "f", "variants": ["on"]},)})
    with pytest.raises(BadRules, match="ring"):
        await flags.update(ana, Aim(flag="g", place=here), first)
    await served(store, here, "g")


async def test_an_import_closes_no_ring_through_an_experiment(
    allocations, service, flag, wish, exchange, beta, ana, store, here
):
    await allocations.put(service, wish(1, when=BETA))
    said = await exchange.export(ana, "default")
    said["segments"][0]["when"] = asks("f")
    with pytest.raises(BadDocument, match="ring"):
        await exchange.bring_about(ana, "default", said, prune=False)
    await served(store, here)


async def test_an_import_takes_no_segment_from_an_experiment(
    allocations, service, flag, wish, exchange, segments, beta, ana, here
):
    await allocations.put(service, wish(1, when=BETA))
    said = {**await exchange.export(ana, "default"), "segments": []}
    for verb in (exchange.diff, exchange.bring_about):
        with pytest.raises(SegmentInUse, match="experiment 'e5'"):
            await verb(ana, "default", said, prune=True)
    await segments.get(ana, IN_DEFAULT)
    await allocations.put(service, wish(2, phase=0))
    await exchange.bring_about(ana, "default", said, prune=True)
    with pytest.raises(SegmentNotFound):
        await segments.get(ana, IN_DEFAULT)


async def test_an_environment_stays_while_an_experiment_assigns_units_in_it(
    allocations, service, flags, wish, projects, store, ana, here
):
    there = replace(here, environment="development")
    aim = EnvironmentAim(project=None, key="development")
    await flags.create(ana, there, Draft(key="f", name="F", off_variant="on"))
    await allocations.put(service, replace(wish(1), place=there))
    with pytest.raises(InExperiment, match="e5"):
        await projects.delete_environment(ana, aim)
    await allocations.put(service, replace(wish(2, phase=0), place=there))
    before = (await store.shelf.read(there)).revision
    await projects.delete_environment(ana, aim)
    assert store.told[-1][0] == there
    assert store.told[-1][1] > before
    assert (await store.shelf.read(there)).revision == 0


async def test_a_new_environment_has_a_revision_that_nobody_holds(
    flags, projects, store, ana, here
):
    """Who asked before there was one holds nothing at revision 0, and reads again only what differs from that."""
    await flags.create(ana, here, Draft(key="f", name="F"))
    there = replace(here, environment="qa")
    assert (await store.shelf.read(there)).revision == 0
    await projects.add_environment(ana, None, "qa", "QA")
    assert (await store.shelf.revisions([there]))[there] > 0
    assert store.told[-1][0] == there


async def test_an_environment_that_comes_back_is_told_from_the_one_before_it(
    flags, projects, store, ana, here
):
    """A replica that heard of neither still holds the first, perhaps on its disk."""
    there = replace(here, environment="qa")
    aim = Aim(flag="f", place=there)
    await flags.create(ana, here, Draft(key="f", name="F"))
    await projects.add_environment(ana, None, "qa", "QA")
    await flags.enable(ana, aim)
    rulesets = Rulesets(store.shelf)
    held = await rulesets.open(replace(ana, environment="qa"))
    assert held.ruleset.flags["f"].answer.value is True
    await projects.delete_environment(ana, EnvironmentAim(project=None, key="qa"))
    await projects.add_environment(ana, None, "qa", "QA")
    off = Change(switch={"default_variant": "off"})
    await flags.update(ana, aim, off)  # the second revision of this one, too, is another
    await rulesets.poll()
    assert held.ruleset.flags["f"].answer.value is False
