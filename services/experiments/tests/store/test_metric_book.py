"""One contract for every metric book: the one in memory and the one in PostgreSQL."""

from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.db import database
from chassis.pages import PageAsk
from experiments.domain.errors import MetricKeyTaken
from experiments.domain.metric import Definition, Denominator, Metric, MetricKind, Winsorised
from experiments.ports import WantedMetrics
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
    def make(key="buy", **said):
        now = said.pop("at", clock())
        kind = said.pop("kind", MetricKind.MEAN)
        given = {"name": key.title(), "owner_id": "ana", "tenant": tenant, **said}
        given.setdefault("definition", Definition(kind=kind, event="purchase"))
        return Metric(id=uuid4(), key=key, created_at=now, updated_at=now, **given)

    return make


async def kept(open_work, *metrics):
    async with open_work() as work:
        for metric in metrics:
            await work.metrics.add(metric)


async def test_what_was_added_comes_back_whole(open_work, made, tenant):
    metric = made(
        description="更好",
        definition=Definition(
            kind=MetricKind.RATIO,
            event="purchase",
            denominator=Denominator("visit", summed=True),
            window_after=60,
            window_length=3600,
            lookback=86_400,
            low=-1.5,
            high=99.0,
            winsorised=Winsorised(0.01, 0.99),
            more_is_better=False,
        ),
        version=3,
    )
    await kept(open_work, metric)
    async with open_work() as work:
        assert await work.metrics.find(tenant, "buy") == metric
        assert await work.metrics.take(tenant, str(metric.id)) == metric
        assert await work.metrics.find(uuid4(), "buy") is None
        assert await work.metrics.running_with(metric) in ((), [])


async def test_a_key_is_kept_once_in_a_tenant(open_work, made):
    await kept(open_work, made(), made(tenant=uuid4()))
    with pytest.raises(MetricKeyTaken):
        await kept(open_work, made())


async def test_a_change_and_a_removal_last(open_work, made, tenant, clock):
    metric = made()
    await kept(open_work, metric)
    after = metric.changed({"name": "Other"}, clock.forward(hours=1))
    async with open_work() as work:
        await work.metrics.put(after)
    async with open_work() as work:
        assert await work.metrics.find(tenant, "buy") == after
        await work.metrics.remove(after)
    await kept(open_work, made())


async def test_lists_are_filtered_sorted_and_cut(open_work, made, tenant, clock):
    await kept(
        open_work,
        made("b", at=clock()),
        made("a", at=clock() + timedelta(seconds=1), owner_id="bob"),
        made("c", at=clock() + timedelta(seconds=2), kind=MetricKind.COUNT, name="50% off_"),
    )

    async def keys(**wanted):
        ask = wanted.pop("ask", PageAsk())
        async with open_work() as work:
            part = await work.metrics.list(tenant, WantedMetrics(ask=ask, **wanted))
        return [it.key for it in part.items], part

    assert (await keys())[0] == ["c", "a", "b"]
    assert (await keys(sort="key"))[0] == ["a", "b", "c"]
    assert (await keys(kind=MetricKind.COUNT))[0] == ["c"]
    assert (await keys(owner_id="bob"))[0] == ["a"]
    assert (await keys(search="% OFF_"))[0] == ["c"]
    for sort in ("key", "-created_at", "updated_at", "-name"):
        whole = (await keys(sort=sort))[0]
        first, part = await keys(sort=sort, ask=PageAsk(limit=2))
        rest, _ = await keys(sort=sort, ask=PageAsk(limit=2, after=part.next))
        assert first + rest == whole
        assert part.total == 3
