"""One contract for the memory that the other tests run on, and for PostgreSQL."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from uuid_utils.compat import uuid7

from chassis.db import transaction
from chassis.errors import Unavailable
from chassis.pages import PageAsk
from flags.domain.errors import FlagKeyTaken
from flags.domain.flag import Change, Draft, Lifecycle
from flags.domain.listing import Order, Sought, Wanted
from flags.domain.place import Place
from flags.domain.values import FlagType
from flags.store.tables import Base
from flags.store.work import sql_work
from flags.usecases.flags import Aim
from schemas.addresses import driver_url


@pytest.fixture
async def three(flags, ana, here):
    drafts = [
        Draft(key="b/two", name="Two", tags=("ui",), description="the Second"),
        Draft(key="a-one", name="One 100%", type=FlagType.STRING, variants={"x": "ex", "y": "why"}),
        Draft(key="c_three", name="Three", lifecycle=Lifecycle.DRAFT),
    ]
    return [await flags.create(ana, here, draft) for draft in drafts]


async def keys(flags, caller, place, **wanted):
    ask = PageAsk(limit=10)
    part = await flags.page(caller, place, Wanted(environment="production", **wanted), ask)
    assert part.total == len(part.items)
    return [flag.key for flag in part.items]


class TestBooks:
    async def test_what_is_kept_comes_back_as_it_was(self, flags, ana, here):
        draft = Draft(
            key="limits",
            name="Größe",
            type=FlagType.JSON,
            variants={"z": {"b": 1, "a": [1.5, None, True]}, "a": []},
            tags=("x", "y"),
            client_side=True,
        )
        made = await flags.create(ana, here, draft)
        found = await flags.get(ana, here, "limits")
        assert found == made
        assert list(found.variants) == ["z", "a"]
        assert list(found.variants["z"]) == ["b", "a"]

    async def test_a_float_stays_a_float(self, flags, ana, here):
        draft = Draft(
            key="rate", name="Rate", type=FlagType.FLOAT, variants={"one": 1, "big": 1e15}
        )
        await flags.create(ana, here, draft)
        found = await flags.get(ana, here, "rate")
        assert [type(v) for v in found.variants.values()] == [float, float]

    async def test_a_change_is_kept(self, flags, ana, here, three):
        aim = Aim(flag="b/two", place=here)
        await flags.toggle(ana, aim)
        change = Change(
            flag={"tags": (), "lifecycle": Lifecycle.DRAFT}, switch={"off_variant": "on"}
        )
        changed = await flags.update(ana, aim, change)
        assert await flags.get(ana, here, "b/two") == changed
        assert (changed.version, changed.switch("production").version) == (3, 3)

    async def test_a_key_is_taken_once(self, flags, ana, here, three):
        with pytest.raises(FlagKeyTaken):
            await flags.create(ana, here, Draft(key="a-one", name="Again"))

    async def test_a_project_is_taken_once(self, projects, ana, store):
        first = await projects.create(ana, "shop", "Shop")
        async with store.work() as work:
            assert await work.projects.get(ana.tenant, "shop") == first
            assert not await work.projects.add(replace(first, id=uuid7()))

    async def test_a_deleted_flag_leaves_its_key_free(self, flags, ana, here, three):
        await flags.delete(ana, Aim(flag="a-one", place=here))
        assert (await flags.create(ana, here, Draft(key="a-one", name="New"))).version == 1

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({}, ["c_three", "a-one", "b/two"]),
            ({"order": Order("key", descending=False)}, ["a-one", "b/two", "c_three"]),
            ({"order": Order("name", descending=True)}, ["b/two", "c_three", "a-one"]),
            ({"search": "SECOND"}, ["b/two"]),
            ({"search": "0%"}, ["a-one"]),
            ({"search": "_"}, ["c_three"]),
            ({"tag": "ui"}, ["b/two"]),
            ({"type": FlagType.STRING}, ["a-one"]),
            ({"lifecycle": Lifecycle.DRAFT}, ["c_three"]),
            ({"enabled": True}, ["b/two"]),
            ({"owner_id": "somebody else"}, []),
            ({"enabled": False, "search": "one"}, ["a-one"]),
        ],
    )
    async def test_a_filter_finds_what_it_says(self, flags, ana, here, three, wanted, found):
        await flags.enable(ana, Aim(flag="b/two", place=here))
        wanted = {"order": Order("created_at", descending=True), **wanted}
        assert await keys(flags, ana, here, **wanted) == found

    async def test_pages_join_without_gap_or_overlap(self, flags, ana, here):
        for n in range(7):
            await flags.create(ana, here, Draft(key=f"f{n}", name="same name"))
        for field in ("name", "created_at", "key"):
            wanted = Wanted(environment="production", order=Order(field, descending=True))
            seen, ask = [], PageAsk(limit=3)
            while ask:
                part = await flags.page(ana, here, wanted, ask)
                seen += [f.key for f in part.items]
                ask = PageAsk(limit=3, after=part.next) if part.next else None
            assert sorted(seen) == [f"f{n}" for n in range(7)]
            numbered = [
                f.key
                for n in (1, 2, 3)
                for f in (await flags.page(ana, here, wanted, PageAsk(limit=3, page=n))).items
            ]
            assert numbered == seen

    async def test_projects_are_listed_by_key(self, projects, ana):
        await projects.create(ana, "shop", "Shop")
        first = await projects.page(ana, Sought(), PageAsk(limit=1))
        assert ([p.key for p in first.items], first.total) == (["default"], 2)
        rest = await projects.page(ana, Sought(), PageAsk(limit=1, after=first.next))
        assert ([p.key for p in rest.items], rest.next) == (["shop"], None)
        assert [e.key for e in rest.items[0].environments] == ["production", "development"]
        for sought in (Sought(key="shop"), Sought(search="SHO")):
            found = await projects.page(ana, sought, PageAsk(limit=1))
            assert ([p.key for p in found.items], found.next, found.total) == (["shop"], None, 1)
        assert (await projects.page(ana, Sought(key="sho"), PageAsk())).total == 0

    async def test_the_shelf_gives_what_is_active_at_its_revision(
        self, store, flags, ana, here, three
    ):
        await flags.enable(ana, Aim(flag="a-one", place=here))
        reading = await store.shelf.read(here)
        assert reading.revision == 4
        rows = {row.key: (row.enabled, row.default_variant) for row in reading.rows}
        assert rows == {"b/two": (False, "on"), "a-one": (True, "x")}
        there = replace(here, environment="development")
        assert (await store.shelf.read(there)).revision == 3
        nowhere = Place(uuid4(), "default", "production")
        assert (await store.shelf.read(nowhere)).revision == 0
        found = await store.shelf.revisions([here, there, nowhere])
        assert found == {here: 4, there: 3}

    async def test_a_change_is_announced_once_it_is_kept_and_not_before(
        self, store, flags, ana, here, three
    ):
        store.told.clear()
        with pytest.raises(RuntimeError):
            async with store.work() as work:
                project = await work.projects.get(ana.tenant, "default")
                await work.projects.bump(project, ["production"])
                raise RuntimeError("it did not come to that")
        assert store.told == []
        await flags.toggle(ana, Aim(flag="a-one", place=here))
        assert store.told == [(here, 4)]


@pytest.mark.store
class TestPostgres:
    @pytest.fixture
    def store(self, sessions):
        news = SimpleNamespace(tell=lambda place, revision: None)
        return SimpleNamespace(work=sql_work(sessions, lambda: None, news))

    async def test_ten_toggles_at_once_are_ten_toggles(self, flags, ana, here):
        await flags.create(ana, here, Draft(key="busy", name="Busy"))
        aim = Aim(flag="busy", place=here)
        after = await asyncio.gather(*(flags.toggle(ana, aim) for _ in range(10)))
        assert sorted(f.version for f in after) == list(range(2, 12))
        states = [f.switch("production").enabled for f in sorted(after, key=lambda f: f.version)]
        assert states == [True, False] * 5

    async def test_a_tenant_is_born_once_however_many_come_first(self, flags, projects, ana, here):
        async def create(
            n,
        ):  # what a busy database did not answer may be there: another key each time
            for attempt in range(9):
                with suppress(Unavailable):
                    return await flags.create(ana, here, Draft(key=f"f{n}-{attempt}", name="F"))
            return await flags.create(ana, here, Draft(key=f"f{n}", name="F"))

        made = await asyncio.gather(*map(create, range(8)))
        assert len({f.project_id for f in made}) == 1
        assert (await projects.page(ana, Sought(), PageAsk())).total == 1

    async def test_one_of_many_gets_a_key(self, flags, ana, here):
        many = (flags.create(ana, here, Draft(key="one", name="One")) for _ in range(6))
        done = await asyncio.gather(*many, return_exceptions=True)
        assert sorted(type(d).__name__ for d in done) == ["Flag", *["FlagKeyTaken"] * 5]

    async def test_changes_to_flags_and_switches_at_once_wait_for_each_other_in_turn(
        self, flags, ana, here
    ):
        for n in range(4):
            await flags.create(ana, here, Draft(key=f"f{n}", name="F"))
        there = replace(here, environment="development")
        await asyncio.gather(
            *(
                flags.toggle(ana, Aim(flag=f"f{n}", place=p))
                for n in range(4)
                for p in (here, there)
            ),
            *(
                flags.update(ana, Aim(flag=f"f{n}", place=here), Change(flag={"name": "G"}))
                for n in range(4)
            ),
        )
        assert [
            f.version
            for f in (
                await flags.page(ana, here, Wanted(environment="production"), PageAsk())
            ).items
        ] == [4] * 4

    async def test_a_fact_is_in_the_outbox_with_its_change(self, flags, ana, here, sessions):
        made = await flags.create(ana, here, Draft(key="told", name="Told"))
        async with transaction(sessions) as session:
            query = text("SELECT body FROM outbox WHERE body->'target'->>'id' = :id")
            [body] = (await session.scalars(query, {"id": str(made.id)})).all()
        assert (body["action"], body["actor"]["id"]) == ("flag.created", ana.subject)


@pytest.mark.store
async def test_the_migrations_make_the_tables_that_the_code_knows(flags_url):
    def differences(connection):
        ours = {"include_schemas": True, "include_name": _ours, "compare_type": True}
        context = MigrationContext.configure(connection, opts=ours)
        return compare_metadata(context, Base.metadata)

    engine = create_async_engine(driver_url(flags_url))
    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()
    assert found == []


def _ours(name, kind, parents):
    return name == "flags" if kind == "schema" else name != "alembic_version"
