"""One contract for phases, plans, publications, layers and holdouts: in memory and in PostgreSQL."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from chassis.db import database
from chassis.errors import Unavailable
from chassis.pages import PageAsk
from experiments.domain.errors import HoldoutKeyTaken, LayerKeyTaken, RangeTaken
from experiments.domain.experiment import Experiment, Status
from experiments.domain.layers import Held, Holdout, Layer, Slot
from experiments.domain.phases import Phase
from experiments.domain.planned import Planned
from experiments.domain.publication import Publication
from experiments.ports.assigning import WantedNamed
from experiments.store.work import sql_work
from experiments.usecases.keeping import keep

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)  # before anything that tests of other files do


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.store)])
def url(request):
    return request.getfixturevalue("database_url") if request.param == "postgres" else ""


@pytest.fixture
async def open_work(url, work):
    if not url:
        yield work
        return
    async with database(url, "experiments", pool=10) as sessions:
        yield sql_work(sessions, lambda: None)


@pytest.fixture
def made(tenant, clock):
    def make(key="checkout", **said):
        words = {"name": key, "owner_id": "ana", "tenant": tenant, **said}
        return Experiment(id=uuid4(), key=key, created_at=clock(), updated_at=clock(), **words)

    return make


@pytest.fixture
async def it(open_work, made):
    experiment = made()
    async with open_work() as work:
        await work.experiments.add(experiment)
    return experiment


def named(kind, tenant, clock, key, **more):
    words = {"id": uuid4(), "tenant": tenant, "key": key, "name": key, "owner_id": "ana"}
    return kind(**words, created_at=clock(), updated_at=clock(), **more)


async def test_a_phase_comes_back_whole_and_is_closed_once(open_work, it, clock):
    phase = Phase(
        experiment_id=it.id,
        number=1,
        started_at=clock(),
        unit="account",
        variants=it.variants,
        traffic=5,
        targeting={"op": "present", "attribute": "größe"},
        slot=Slot(uuid4(), 1, 2),
        holdouts=(Held(uuid4(), 3),),
    )
    later = clock.forward(hours=1)
    second = replace(phase, number=2, started_at=later, slot=None, targeting=None, holdouts=())
    async with open_work() as work:
        await work.phases.open(phase)
    async with open_work() as work:
        await work.phases.close(it.id, later)
        await work.phases.open(second)
        await work.phases.close(uuid4(), later)
        assert await work.phases.of(it.id) == [phase.over(later), second]


async def test_plans_are_numbered_as_they_come(open_work, it, clock):
    plan = Planned(
        experiment_id=it.id,
        number=0,
        at=clock(),
        by="ana",
        reason="r",
        digest="d",
        document={"a": 1.0},
    )
    async with open_work() as work:
        await work.plans.add(plan)
        await work.plans.add(replace(plan, digest="e"))
        found = await work.plans.of(it.id)
    assert found == [replace(plan, number=1), replace(plan, number=2, digest="e")]


@pytest.fixture
async def alone(url):
    """Hold off the tests of this file that run beside, and what they left: a claim knows no tenants, nor tests."""
    if not url:
        yield
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT pg_advisory_lock(4712)")
        past = "UPDATE experiments.publication SET next_at = NULL WHERE next_at < $1"
        await connection.execute(past, LONG_AGO)
        yield
    finally:
        await connection.close()


@pytest.fixture
async def publication(alone, open_work, it, tenant, clock):
    """Something to tell, in a past of its own: what is due now, in other files, is not taken for it."""
    due = clock.at = LONG_AGO - timedelta(days=2)
    made = Publication(
        experiment_id=it.id, tenant=tenant, version=3, document={"n": 1}, next_at=due
    )
    async with open_work() as work:
        await work.publications.put(made)
    return made


async def test_what_is_claimed_is_nobody_elses_until_then(open_work, publication, clock):
    until = clock() + timedelta(seconds=10)
    async with open_work() as work:
        assert await work.publications.claim(clock() - timedelta(seconds=1), until) is None
        assert await work.publications.claim(clock(), until) == publication
    async with open_work() as work:
        assert await work.publications.claim(clock(), until) is None
    async with open_work() as work:
        again = await work.publications.claim(until, until + timedelta(days=1))
        assert (again.experiment_id, again.attempts) == (publication.experiment_id, 1)


async def test_what_was_sent_is_known_and_what_came_since_stays_due(open_work, publication, clock):
    async with open_work() as work:
        await work.publications.put(replace(publication, version=4, document={"n": 2}))
        await work.publications.sent(publication, clock())
        found = await work.publications.of(publication.experiment_id)
    assert (found.sent, found.version, found.next_at) == (3, 4, clock())
    async with open_work() as work:
        await work.publications.failed(publication, "old news", clock())
        await work.publications.sent(found, clock())
        found = await work.publications.of(publication.experiment_id)
    assert (found.sent, found.next_at, found.trouble) == (4, None, "")


async def test_what_failed_says_why_and_when_again(open_work, publication, clock):
    async with open_work() as work:
        await work.publications.failed(publication, "no", clock.forward(seconds=5))
        found = await work.publications.of(publication.experiment_id)
        assert (found.trouble, found.next_at, found.sent) == ("no", clock(), 0)
        assert await work.publications.of(uuid4()) is None


@pytest.mark.parametrize(
    ("book", "kind", "taken", "more"),
    [
        ("layers", Layer, LayerKeyTaken, {}),
        ("holdouts", Holdout, HoldoutKeyTaken, {"share": 5}),
    ],
)
async def test_layers_and_holdouts_are_kept_under_their_keys(
    open_work, tenant, clock, book, kind, taken, more
):
    first, second = (named(kind, tenant, clock, key, **more) for key in ("a", "b"))
    async with open_work() as work:
        for one in (second, first):
            await getattr(work, book).add(one)
    with pytest.raises(taken):
        async with open_work() as work:
            await getattr(work, book).add(named(kind, tenant, clock, "a", **more))
    async with open_work() as work:
        kept = getattr(work, book)
        assert await kept.find(tenant, "a") == await kept.take(tenant, str(first.id)) == first
        assert await kept.find(uuid4(), "a") is None
        for sort, one, other in (("key", first, second), ("-key", second, first)):
            page = await kept.page(tenant, WantedNamed(ask=PageAsk(limit=1), sort=sort))
            assert (list(page.items), page.total) == ([one], 2)
            after = PageAsk(limit=1, after=page.next)
            rest = await kept.page(tenant, WantedNamed(ask=after, sort=sort))
            assert (list(rest.items), rest.next) == ([other], None)
        sought = WantedNamed(ask=PageAsk(), search=second.key.upper(), sort="-created_at")
        assert list((await kept.page(tenant, sought)).items) == [second]
        await kept.put(first.changed({"name": "Other"}, clock()))
        await kept.remove(second)
    async with open_work() as work:
        page = await getattr(work, book).page(tenant, WantedNamed(ask=PageAsk()))
        assert [(one.name, one.version) for one in page.items] == [("Other", 2)]


async def test_places_are_taken_by_those_that_are_not_over(open_work, tenant, clock, made):
    layer = named(Layer, tenant, clock, "a")
    slots = [Slot(layer.id, start, start + 5) for start in (20, 10, 0)]
    running, paused, over = (
        made(key, slot=slot, status=status)
        for key, slot, status in zip(
            "xyz", slots, (Status.ACTIVE, Status.PAUSED, Status.COMPLETED), strict=True
        )
    )
    async with open_work() as work:
        await work.layers.add(layer)
        for one in (running, paused, over):
            await work.experiments.add(one)
    async with open_work() as work:
        assert await work.layers.slots(layer.id, clock()) == [("y", slots[1]), ("x", slots[0])]
        assert await work.layers.named_by(layer.id) == ["x", "y", "z"]


@pytest.mark.store
async def test_of_many_who_want_the_same_places_at_once_one_gets_them(
    database_url, tenant, clock, made
):
    layer = named(Layer, tenant, clock, "a")

    async def wants(number):
        """Ask again when the database is too busy to answer, as whoever is told so does."""
        experiment = made(f"e{number}", slot=Slot(layer.id, number, number + 50))
        while True:
            with suppress(Unavailable):
                async with sql_work(sessions, lambda: None)() as work:
                    await keep(work, None, experiment, "ana")
                return

    async with database(database_url, "experiments", pool=10) as sessions:
        async with sql_work(sessions, lambda: None)() as work:
            await work.layers.add(layer)
        found = await asyncio.gather(*(wants(n) for n in range(8)), return_exceptions=True)
        async with sql_work(sessions, lambda: None)() as work:
            taken = await work.layers.slots(layer.id, clock())
    assert [type(one) for one in found if one].count(RangeTaken) == 7
    assert len(taken) == 1
