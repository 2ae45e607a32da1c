"""One contract for every experiment book: the one in memory and the one in PostgreSQL."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from chassis.db import database
from chassis.facts import Actor, Fact, Target
from chassis.pages import PageAsk
from experiments.domain.analysis import Analysis, MetricRole, MetricUse
from experiments.domain.errors import ChangedMeanwhile, KeyTaken
from experiments.domain.experiment import Experiment, Status, Variant
from experiments.domain.inference.plans import Method
from experiments.domain.moves import settled
from experiments.domain.schedule import Moment, Plan, Schedule
from experiments.ports import Wanted
from experiments.store.tables import Outbox
from experiments.store.work import sql_work


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.store)])
def url(request):
    """Where the book is kept; empty for memory."""
    return request.getfixturevalue("database_url") if request.param == "postgres" else ""


@pytest.fixture
async def open_work(url, work):
    if not url:
        yield work
        return
    async with database(url, "experiments") as sessions:
        yield sql_work(sessions, lambda: None)


@pytest.fixture
def made(tenant, clock):
    def make(key="checkout", **said):
        now = said.pop("at", clock())
        given = {"name": key.title(), "owner_id": "ana", "tenant": tenant, **said}
        return Experiment(id=uuid4(), key=key, created_at=now, updated_at=now, **given)

    return make


async def kept(open_work, *experiments):
    async with open_work() as work:
        for experiment in experiments:
            await work.experiments.add(experiment)


async def keys(open_work, tenant, clock, **wanted):
    ask = wanted.pop("ask", PageAsk())
    async with open_work() as work:
        part = await work.experiments.list(tenant, Wanted(ask=ask, now=clock(), **wanted))
    return [it.key for it in part.items]


async def test_what_was_added_comes_back_whole(open_work, made, tenant, clock):
    schedule = Plan(
        start="2026-10-25T02:30", end="2026-11-01T02:30", zone="Europe/Berlin", fold="second"
    ).scheduled(clock())
    experiment = made(
        description="Größer ist 更好 🙂",
        hypothesis="h",
        unit="account.id",
        flag_key="flag",
        project="shop",
        environment="development",
        variants=(Variant("a", 1, "blue"), Variant("b", 99_999)),
        traffic=12_345,
        targeting={"op": "eq", "attribute": "plan", "value": "größer"},
        metrics=(
            MetricUse(key="signup", effect=0.05),
            MetricUse(key="latency", role=MetricRole.GUARDRAIL, margin=0.02, more_is_better=False),
        ),
        analysis=Analysis(method=Method.GROUPED, looks=(0.5, 1.0), units=40_000),
        tags=("größe", "b"),
        phase=2,
        plan_hash="f" * 64,
        schedule=schedule,
        status=Status.PAUSED,
        started_at=clock(),
        completed_at=clock(),
        version=7,
    )
    await kept(open_work, experiment)
    async with open_work() as work:
        assert await work.experiments.find(tenant, "checkout") == experiment
        assert await work.experiments.take(tenant, str(experiment.id)) == experiment


async def test_nothing_is_found_in_another_tenant(open_work, made):
    experiment = made()
    await kept(open_work, experiment)
    async with open_work() as work:
        assert await work.experiments.find(uuid4(), "checkout") is None
        assert await work.experiments.find(uuid4(), str(experiment.id)) is None


async def test_a_key_is_taken_once_a_tenant(open_work, made):
    await kept(open_work, made(), made(tenant=uuid4()))
    with pytest.raises(KeyTaken):
        await kept(open_work, made())


async def test_a_taken_key_does_not_spoil_the_transaction(open_work, made, tenant):
    await kept(open_work, made())
    async with open_work() as work:
        with pytest.raises(KeyTaken):
            await work.experiments.add(made())
        await work.experiments.add(made("other"))
    async with open_work() as work:
        assert await work.experiments.find(tenant, "other")


async def test_an_experiment_that_was_changed_meanwhile_is_not_overwritten(
    open_work, made, tenant, clock
):
    first = made()
    await kept(open_work, first)
    second = replace(first, name="Second").touched(clock())
    async with open_work() as work:
        await work.experiments.put(first, second)
    with pytest.raises(ChangedMeanwhile):
        async with open_work() as work:
            await work.experiments.put(first, replace(first, name="Late").touched(clock()))
    async with open_work() as work:
        assert await work.experiments.find(tenant, "checkout") == second


async def test_what_was_removed_is_gone(open_work, made, tenant):
    experiment = made()
    await kept(open_work, experiment)
    async with open_work() as work:
        await work.experiments.remove(experiment)
    async with open_work() as work:
        assert await work.experiments.find(tenant, "checkout") is None


async def test_a_failed_work_leaves_nothing(open_work, made, tenant):
    with pytest.raises(RuntimeError):
        async with open_work() as work:
            await work.experiments.add(made())
            raise RuntimeError
    async with open_work() as work:
        assert await work.experiments.find(tenant, "checkout") is None


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("-created_at", ["c", "b", "a"]),
        ("created_at", ["a", "b", "c"]),
        ("key", ["a", "b", "c"]),
        ("-key", ["c", "b", "a"]),
        ("name", ["b", "c", "a"]),
        ("-updated_at", ["c", "b", "a"]),
    ],
)
async def test_cursors_and_numbered_pages_show_the_same_list(
    open_work, made, tenant, clock, sort, expected
):
    await kept(open_work, made("a", name="Z"), made("b", name="X", at=clock.forward(seconds=1)))
    await kept(open_work, made("c", name="Y", at=clock.forward(seconds=1)))
    await kept(open_work, made("elsewhere", tenant=uuid4()))
    walked, after = [], None
    for page in (1, 2, 3):
        async with open_work() as work:
            ask = PageAsk(limit=1, after=after)
            part = await work.experiments.list(tenant, Wanted(ask=ask, now=clock(), sort=sort))
        assert part.total == 3
        numbered = PageAsk(limit=1, page=page)
        assert [it.key for it in part.items] == await keys(
            open_work, tenant, clock, sort=sort, ask=numbered
        )
        walked += [it.key for it in part.items]
        after = part.next
    assert (walked, after) == (expected, None)


async def test_experiments_of_the_same_moment_are_each_shown_once(open_work, made, tenant, clock):
    await kept(open_work, *(made(f"k{i}") for i in range(5)))
    seen, after = [], None
    for _ in range(3):
        async with open_work() as work:
            ask = PageAsk(limit=2, after=after)
            part = await work.experiments.list(tenant, Wanted(ask=ask, now=clock()))
        seen += [it.key for it in part.items]
        after = part.next
    assert sorted(seen) == ["k0", "k1", "k2", "k3", "k4"]


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("CHECK", ["checkout"]),
        ("price", ["pricing"]),
        ("100%", ["pricing"]),
        ("%", ["pricing"]),
        ("_", []),
        ("nothing", []),
        ("", ["checkout", "pricing"]),
    ],
)
async def test_a_search_looks_at_words_and_takes_them_literally(
    open_work, made, tenant, clock, search, expected
):
    await kept(open_work, made("checkout"), made("pricing", description="All prices 100%"))
    assert await keys(open_work, tenant, clock, search=search, sort="key") == expected


async def test_the_state_in_a_list_is_the_state_that_the_clock_has(open_work, made, tenant, clock):
    """SQL says again what the domain says; here both are asked about every combination."""
    times = [None, *(clock() + timedelta(hours=h) for h in (-2, 0, 2))]
    for status in Status:
        for begun in (False, True):
            for start in times:
                for end in times:
                    schedule = Schedule(
                        start=start and Moment(at=start, wall=start.replace(tzinfo=None)),
                        end=end and Moment(at=end, wall=end.replace(tzinfo=None)),
                        set_at=clock() - timedelta(hours=3),
                        begun=begun,
                    )
                    await kept(
                        open_work, made(f"k{uuid4().hex}x", status=status, schedule=schedule)
                    )
    async with open_work() as work:
        every = []
        for page in (1, 2):
            ask = PageAsk(limit=100, page=page)
            every += (await work.experiments.list(tenant, Wanted(ask=ask, now=clock()))).items
    assert len(every) == 160
    for status in Status:
        expected = {it.key for it in every if settled(it, clock()).status is status}
        found = await keys(open_work, tenant, clock, status=status, ask=PageAsk(limit=100))
        assert set(found) == expected
        assert expected


async def test_a_due_experiment_is_found_and_one_that_is_not_is_not(open_work, made, tenant, clock):
    schedule = Plan(start="2026-06-01T13:00").scheduled(clock())
    await kept(open_work, made("never"), made("soon", schedule=schedule))
    async with open_work() as work:
        assert await work.experiments.take_due(clock(), tenant) is None
        assert await work.experiments.next_due() <= schedule.start.at
    clock.forward(hours=1)
    async with open_work() as work:
        due = await work.experiments.take_due(clock(), tenant)
        assert due.key == "soon"
        await work.experiments.put(due, settled(due, clock()))
        assert await work.experiments.take_due(clock(), tenant) is None


@pytest.mark.store
async def test_a_fact_is_kept_with_its_change_or_not_at_all(database_url, made, tenant):
    fact = Fact(
        tenant=tenant,
        actor=Actor("user", "ana"),
        action="experiment.created",
        target=Target("experiment", "1"),
    )
    async with database(database_url, "experiments") as sessions:
        work_of = sql_work(sessions, lambda: None)
        async with work_of() as work:
            work.record(fact)
        with pytest.raises(RuntimeError):
            async with work_of() as work:
                work.record(fact)
                raise RuntimeError
        async with sessions() as session:
            bodies = (await session.scalars(select(Outbox.body))).all()
    assert [b["action"] for b in bodies if b["tenant"] == str(tenant)] == ["experiment.created"]
