"""Rules, segments, revisions and environments, once on the memory and once on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from chassis.db import transaction
from chassis.pages import PageAsk
from flags.domain.errors import (
    BadRules,
    EnvironmentKept,
    EnvironmentKeyTaken,
    EnvironmentNotFound,
    FlagInUse,
    RevisionNotFound,
    SegmentInUse,
    SegmentKeyTaken,
    SegmentNotFound,
    StaleEnvironment,
    StaleSegment,
    TooManyMembers,
)
from flags.domain.flag import Change, Draft
from flags.domain.ruleset import compile_all
from flags.domain.segment import Moves
from flags.store.shelf import SqlShelf
from flags.store.work import sql_work
from flags.usecases.explaining import Moment
from flags.usecases.flags import Aim, Flags
from flags.usecases.projects import EnvironmentAim
from flags.usecases.segments import SegmentAim

SWISS = {"op": "eq", "attribute": "country", "value": "CH"}
BETA = {"op": "in_segment", "segments": ["beta"]}
ON_FOR_BETA = ({"when": BETA, "variant": "on"},)


def aim(key, place, **more):
    return Aim(flag=key, place=place, **more)


def in_default(key, **more):
    return SegmentAim(segment=key, project="default", **more)


@pytest.fixture
async def beta(segments, ana):
    return await segments.create(ana, "default", {"key": "beta", "name": "Beta", "when": SWISS})


@pytest.fixture
async def flag(flags, ana, here, beta):
    made = await flags.create(
        ana, here, Draft(key="f", name="F", rules=ON_FOR_BETA, default_variant="off")
    )
    return await flags.enable(ana, aim("f", here)) and made


async def variant(store, place, context, key="f"):
    reading = await store.shelf.read(place)
    ruleset, refused = compile_all(place, reading.revision, reading.rows, None, reading.segments)
    assert refused == {}
    return ruleset.ask(ruleset.flags[key], context, 0.0).variant


class TestRules:
    async def test_rules_are_kept_and_served_by_the_shelf(self, flags, ana, here, flag, store):
        found = await flags.get(ana, here, "f")
        assert found.switch("production").rules == ON_FOR_BETA
        assert found.switch("development").rules == ON_FOR_BETA
        assert (found.salt, found.bucketing) == ("f", 1)
        assert await variant(store, here, {"country": "CH"}) == "on"
        assert await variant(store, here, {"country": "FR"}) == "off"

    async def test_an_edit_is_about_one_environment(self, flags, ana, here, flag, store):
        change = Change(switch={"rules": (), "targets": ({"variant": "on", "values": ["eve"]},)})
        changed = await flags.update(ana, aim("f", here), change)
        assert await flags.get(ana, here, "f") == changed
        assert changed.switch("development").rules == ON_FOR_BETA
        assert await variant(store, here, {"country": "CH"}) == "off"
        assert await variant(store, here, {"targetingKey": "eve"}) == "on"

    async def test_what_could_not_be_served_is_refused_and_nothing_is_kept(
        self, flags, ana, here, flag
    ):
        for bad in (
            {"when": {"op": "in_segment", "segments": ["gone"]}, "variant": "on"},
            {"when": {"op": "flag", "flag": "f", "variants": ["on"]}, "variant": "on"},
            {"variant": "maybe"},
            {"when": {"op": "matches", "attribute": "a", "values": ["("]}, "variant": "on"},
        ):
            with pytest.raises(BadRules) as refused:
                await flags.update(ana, aim("f", here), Change(switch={"rules": (bad,)}))
            assert refused.value.errors[0].pointer in (
                "",
                "/rules/0/when",
                "/rules/0/variant",
                "/rules/0/when/values/0",
            )
        with pytest.raises(BadRules):
            await flags.update(
                ana, aim("f", here), Change(flag={"variants": {"off": False, "yes": True}})
            )
        assert (await flags.get(ana, here, "f")).version == 2
        with pytest.raises(BadRules):
            await flags.create(ana, here, Draft(key="g", name="G", rules=({"variant": "x"},)))

    async def test_a_ring_of_prerequisites_is_refused_however_long(self, flags, ana, here, flag):
        for key, before in (("g", "f"), ("h", "g")):
            needed = ({"flag": before, "variants": ["on"]},)
            await flags.create(ana, here, Draft(key=key, name=key, prerequisites=needed))
        with pytest.raises(BadRules) as refused:
            needs_h = ({"flag": "h", "variants": ["on"]},)
            await flags.update(ana, aim("f", here), Change(switch={"prerequisites": needs_h}))
        assert refused.value.errors[0].code == "cycle"
        assert "f" in refused.value.errors[0].message

    async def test_a_flag_that_others_ask_for_stays(self, flags, ana, here, flag):
        needed = ({"flag": "f", "variants": ["on"]},)
        await flags.create(ana, here, Draft(key="g", name="G", prerequisites=needed))
        users = await flags.used(ana, here, "f")
        assert [(u.kind, u.key, u.environment) for u in users] == [
            ("flag", "g", "development"),
            ("flag", "g", "production"),
        ]
        with pytest.raises(FlagInUse):
            await flags.delete(ana, aim("f", here))
        await flags.delete(ana, aim("g", here))
        await flags.delete(ana, aim("f", here))


class TestSegments:
    async def test_a_segment_is_kept_changed_and_found(self, segments, ana, beta):
        assert await segments.get(ana, in_default("beta")) == beta
        assert await segments.get(ana, in_default(str(beta.id))) == beta
        changed = await segments.update(ana, in_default("beta"), {"name": "ß", "when": None})
        assert (changed.name, changed.when, changed.version) == ("ß", None, 2)
        assert await segments.update(ana, in_default("beta"), {"name": "ß"}) == changed
        assert await segments.get(ana, in_default("beta")) == changed
        with pytest.raises(StaleSegment):
            await segments.update(ana, in_default("beta", version=1), {"name": "x"})
        with pytest.raises(SegmentKeyTaken):
            await segments.create(ana, "default", {"key": "beta", "name": "Again"})
        await segments.delete(ana, in_default("beta", version=2))
        with pytest.raises(SegmentNotFound):
            await segments.get(ana, in_default("beta"))

    async def test_segments_are_listed_by_key_and_found_by_words(self, segments, ana):
        for key in ("c", "a", "b"):
            await segments.create(ana, "default", {"key": key, "name": f"Name {key}"})
        first = await segments.page(ana, "default", None, PageAsk(limit=2))
        rest = await segments.page(ana, "default", None, PageAsk(limit=2, after=first.next))
        assert [s.key for s in (*first.items, *rest.items)] == ["a", "b", "c"]
        assert (first.total, rest.next) == (3, None)
        found = await segments.page(ana, "default", "NAME B", PageAsk())
        assert [s.key for s in found.items] == ["b"]

    async def test_lists_take_a_hundred_thousand_ids_and_no_more(
        self, segments, ana, beta, store, here
    ):
        many = [f"user-{n}" for n in range(100_000)]
        for part in (many[:60_000], many[60_000:]):
            moved = await segments.move(ana, in_default("beta"), Moves(include=tuple(part)))
        assert (moved.included, moved.version) == (100_000, 3)
        assert len((await segments.members(ana, in_default("beta"))).included) == 100_000
        with pytest.raises(TooManyMembers):
            await segments.move(ana, in_default("beta"), Moves(exclude=("one more",)))
        moved = await segments.move(
            ana, in_default("beta"), Moves(exclude=("user-7",), remove=("user-8",))
        )
        assert (moved.included, moved.excluded) == (99_998, 1)
        assert await segments.move(ana, in_default("beta"), Moves(include=("user-9",))) == moved
        [kept] = (await store.shelf.read(here)).segments
        assert (len(kept.included), list(kept.excluded)) == (99_998, ["user-7"])

    async def test_a_change_of_a_segment_is_served_in_every_environment(
        self, segments, ana, here, flag, store
    ):
        before = (await store.shelf.read(here)).revision
        await segments.move(ana, in_default("beta"), Moves(include=("eve",)))
        assert (await store.shelf.read(here)).revision == before + 1
        assert await variant(store, here, {"targetingKey": "eve"}) == "on"
        assert store.told[-1][1] in (before + 1, before)

    async def test_a_segment_in_use_stays_and_a_ring_is_refused(
        self, segments, flags, ana, here, flag
    ):
        await segments.create(ana, "default", {"key": "outer", "name": "O", "when": BETA})
        used = await segments.used(ana, in_default("beta"))
        assert [(u.kind, u.key) for u in used] == [
            ("flag", "f"),
            ("flag", "f"),
            ("segment", "outer"),
        ]
        with pytest.raises(SegmentInUse):
            await segments.delete(ana, in_default("beta"))
        for when in (
            {"op": "in_segment", "segments": ["outer"]},
            {"op": "flag", "flag": "f", "variants": ["on"]},
            {"op": "in_segment", "segments": ["gone"]},
        ):
            with pytest.raises(BadRules):
                await segments.update(ana, in_default("beta"), {"when": when})


class TestRevisions:
    async def test_every_change_is_a_revision_with_who_and_why(
        self, flags, revisions, ana, here, flag
    ):
        await flags.disable(ana, aim("f", here, reason="incident 7"))
        await flags.disable(ana, aim("f", here, reason="again"))
        part = await revisions.page(ana, here, "f", PageAsk(limit=2))
        assert [(r.number, r.action, r.reason) for r in part.items] == [
            (3, "flag.toggle_disabled", "incident 7"),
            (2, "flag.toggle_enabled", ""),
        ]
        rest = await revisions.page(ana, here, "f", PageAsk(limit=2, after=part.next))
        assert [(r.number, r.action, r.actor_id) for r in rest.items] == [
            (1, "flag.created", ana.subject)
        ]
        assert (part.total, rest.next) == (3, None)
        first = await revisions.get(ana, here, "f", 1)
        assert first.document["environments"]["production"]["rules"] == list(ON_FOR_BETA)
        with pytest.raises(RevisionNotFound):
            await revisions.get(ana, here, "f", 4)

    async def test_two_revisions_are_compared(self, flags, revisions, ana, here, flag):
        await flags.update(ana, aim("f", here), Change(flag={"name": "G"}, switch={"rules": ()}))
        found = await revisions.diff(ana, here, "f", (1, 3))
        assert {d.pointer: (d.before, d.after) for d in found} == {
            "/name": ("F", "G"),
            "/environments/production/rules": (list(ON_FOR_BETA), None),
            "/environments/production/status": ("disabled", "enabled"),
        }
        assert await revisions.diff(ana, here, "f", (2, 2)) == []

    async def test_a_flag_goes_back_to_what_it_was_as_a_revision_of_its_own(
        self, flags, revisions, ana, here, flag
    ):
        await flags.update(
            ana, aim("f", here), Change(flag={"name": "G", "tags": ("x",)}, switch={"rules": ()})
        )
        back = await flags.revert(ana, aim("f", here), 2)
        assert (back.name, back.tags, back.version) == ("F", (), 4)
        assert back.switch("production").rules == ON_FOR_BETA
        assert await flags.get(ana, here, "f") == back
        assert await revisions.diff(ana, here, "f", (2, 4)) == []
        assert await flags.revert(ana, aim("f", here), 4) == back
        with pytest.raises(RevisionNotFound):
            await flags.revert(ana, aim("f", here), 9)

    async def test_going_back_to_what_could_not_be_served_any_more_is_refused(
        self, flags, segments, ana, here, flag
    ):
        for place in (here, replace(here, environment="development")):
            await flags.update(ana, aim("f", place), Change(switch={"rules": ()}))
        await segments.delete(ana, in_default("beta"))
        with pytest.raises(BadRules):
            await flags.revert(ana, aim("f", here), 1)

    async def test_the_past_is_explained_with_the_neighbours_it_had(
        self, flags, explaining, ana, here, flag, clock
    ):
        await flags.create(ana, here, Draft(key="base", name="B", default_variant="on"))
        await flags.enable(ana, aim("base", here))
        needs_base = ({"flag": "base", "variants": ["on"]},)
        change = Change(switch={"prerequisites": needs_base, "rules": ({"variant": "on"},)})
        needing = await flags.update(ana, aim("f", here), change)
        await flags.disable(ana, aim("base", here))
        changed = await flags.update(ana, aim("base", here), Change(switch={"off_variant": "off"}))
        told = [
            (await explaining.explain(ana, here, "f", {}, moment)).answer.variant
            for moment in (
                Moment(),
                Moment(revision=needing.version),
                Moment(at=needing.updated_at + timedelta(microseconds=1)),
                Moment(at=changed.updated_at),
                Moment(revision=1),
            )
        ]
        assert told == ["off", "on", "on", "off", "off"]
        before = needing.created_at - timedelta(days=1)
        assert (
            await explaining.explain(ana, here, "f", {}, Moment(at=before))
        ).answer.trouble == "FLAG_NOT_FOUND"


@pytest.mark.store
class TestPoison:
    @pytest.mark.parametrize(
        "nonsense",
        ['{"rules": [{"variant": "gone"}]}', '{"rules": 7}', "[1]", '"x"', '{"rules": ["x"]}'],
    )
    async def test_a_row_spoilt_by_hand_spoils_only_itself_and_can_still_be_switched(
        self, sessions, clock, ana, here, nonsense
    ):
        news = SimpleNamespace(tell=lambda place, revision: None)
        flags = Flags(sql_work(sessions, lambda: None, news), clock, uuid7)
        for key in ("bad", "good"):
            made = await flags.create(
                ana, here, Draft(key=key, name=key, rules=({"variant": "on"},))
            )
            await flags.enable(ana, aim(key, here))
            if key == "bad":
                async with transaction(sessions) as session:
                    change = text(
                        "UPDATE switch SET targeting = CAST(:said AS json) WHERE flag_id = :id"
                    )
                    await session.execute(change, {"said": nonsense, "id": made.id})
        reading = await SqlShelf(sessions).read(here)
        ruleset, refused = compile_all(here, 1, reading.rows)
        assert list(refused) == ["bad"]
        told = [ruleset.ask(f, {}, 0.0) for f in ruleset.flags.values()]
        assert [(a.variant, a.reason) for a in told] == [("", "ERROR"), ("on", "TARGETING_MATCH")]
        assert (await flags.get(ana, here, "bad")).switch("production").enabled
        assert not (await flags.disable(ana, aim("bad", here))).switch("production").enabled


@pytest.mark.store
class TestAtOnce:
    @pytest.fixture
    def store(self, sessions):
        news = SimpleNamespace(tell=lambda place, revision: None)
        return SimpleNamespace(
            work=sql_work(sessions, lambda: None, news), shelf=SqlShelf(sessions)
        )

    async def test_environments_come_and_go_while_flags_and_segments_change(
        self, flags, segments, projects, ana, here, flag
    ):
        async def staging(n):
            await projects.add_environment(ana, None, f"s{n}", "S")
            await projects.delete_environment(ana, EnvironmentAim(project=None, key=f"s{n}"))

        async def edit(n):
            await flags.toggle(ana, aim("f", here))
            await flags.update(
                ana,
                aim("f", here),
                Change(flag={"name": f"F{n}"}, switch={"rules": ON_FOR_BETA[: n % 2]}),
            )
            await segments.move(ana, in_default("beta"), Moves(include=(f"u{n}",)))
            await flags.create(ana, here, Draft(key=f"new-{n}", name="N", rules=ON_FOR_BETA))

        await asyncio.gather(*(staging(n) for n in range(5)), *(edit(n) for n in range(5)))
        found = await flags.get(ana, here, "f")
        assert list(found.switches) == ["production", "development"]
        assert (await segments.get(ana, in_default("beta"))).included == 5

    async def test_two_who_would_close_a_ring_together_do_not_both_succeed(self, flags, ana, here):
        for key in ("a", "b"):
            await flags.create(ana, here, Draft(key=key, name=key))
        changes = [
            flags.update(
                ana,
                aim(key, here),
                Change(switch={"prerequisites": ({"flag": other, "variants": ["on"]},)}),
            )
            for key, other in ("ab", "ba")
        ]
        done = await asyncio.gather(*changes, return_exceptions=True)
        assert sorted(type(d).__name__ for d in done) == ["BadRules", "Flag"]


class TestEnvironments:
    async def test_a_new_environment_has_a_switch_for_every_flag(
        self, projects, flags, ana, here, flag
    ):
        made = await projects.add_environment(ana, None, "staging", "Staging")
        switch = (await flags.get(ana, replace(here, environment="staging"), "f")).switch("staging")
        assert (switch.enabled, switch.default_variant, switch.rules) == (False, "off", ())
        there = replace(here, environment="staging")
        assert (await flags.enable(ana, aim("f", there))).switch("staging").enabled
        with pytest.raises(EnvironmentKeyTaken):
            await projects.add_environment(ana, None, "staging", "Again")
        found = EnvironmentAim(project=None, key="staging")
        renamed = await projects.change_environment(ana, found, {"name": "Stage"})
        assert (renamed.name, renamed.version, renamed.id) == ("Stage", 2, made.id)
        assert await projects.change_environment(
            ana, found, {"name": "Stage"}
        ) == await projects.environment(ana, found)
        with pytest.raises(StaleEnvironment):
            await projects.delete_environment(ana, replace(found, version=1))
        await projects.delete_environment(ana, replace(found, version=2))
        with pytest.raises(EnvironmentNotFound):
            await projects.environment(ana, found)
        assert list((await flags.get(ana, here, "f")).switches) == ["production", "development"]
        with pytest.raises(EnvironmentKept):
            await projects.delete_environment(ana, EnvironmentAim(project=None, key="production"))
