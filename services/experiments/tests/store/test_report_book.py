"""One contract for reports: in memory and in PostgreSQL."""

from uuid import uuid4

import pytest

from chassis.db import database
from chassis.pages import PageAsk
from experiments.domain.report import Access, Report, hashed
from experiments.ports.reporting import WantedReports
from experiments.store.work import sql_work


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.store)])
def url(request):
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
    def make(title, **said):
        now = clock.forward(seconds=1)
        words = {"experiment_key": "e", "owner_id": "ana", "result": {"a": [1.5, None]}}
        words |= {"experiment_id": uuid4(), "plan_hash": "h", **said}
        return Report(
            id=uuid4(), tenant=tenant, title=title, created_at=now, updated_at=now, **words
        )

    return make


async def test_a_report_is_kept_found_changed_and_forgotten(open_work, made, tenant, clock):
    report = made("Größe", access=Access.LINK, link=hashed(str(uuid4())), note="n")
    async with open_work() as work:
        await work.reports.add(report)
    async with open_work() as work:
        assert await work.reports.find(tenant, report.id) == report
        assert await work.reports.find(uuid4(), report.id) is None
        assert await work.reports.linked(report.link) == report
        after = report.changed({"access": Access.TENANT, "approved_by": "bea"}, clock())
        assert (after.link, after.version) == (None, 2)
        await work.reports.put(after)
        assert await work.reports.take(tenant, report.id) == after
        assert await work.reports.linked(report.link) is None
        await work.reports.remove(after)
        assert await work.reports.find(tenant, report.id) is None


async def test_a_list_holds_what_one_may_see_newest_first(open_work, made, tenant):
    mine = made("mine", owner_id="vera")
    private = made("private")
    shared = made("shared", access=Access.TENANT)
    approved = made("approved", access=Access.TENANT, approved_by="bea")
    async with open_work() as work:
        for one in (mine, private, shared, approved):
            await work.reports.add(one)

    async def titles(**wanted):
        said = {"ask": PageAsk(), "owner_id": "vera", **wanted}
        async with open_work() as work:
            page = await work.reports.page(tenant, WantedReports(**said))
        assert page.total == len(page.items) or said["ask"].limit == 1
        return [it.title for it in page.items], page.next

    assert (await titles())[0] == ["approved", "mine"]
    assert (await titles(all_shared=True))[0] == ["approved", "shared", "mine"]
    assert (await titles(everything=True))[0] == ["approved", "shared", "private", "mine"]
    assert (await titles(everything=True, sort="title"))[0] == [
        "approved", "mine", "private", "shared",
    ]  # fmt: skip
    assert (await titles(everything=True, search="VAT"))[0] == ["private"]
    async with open_work() as work:
        found = await work.reports.page(tenant, WantedReports(ask=PageAsk(), everything=True))
    assert {len(it.result) for it in found.items} == {0}
    of_it = await titles(everything=True, experiment=shared.experiment_id)
    assert of_it[0] == ["shared"]
    first, after = await titles(ask=PageAsk(limit=1))
    rest, last = await titles(ask=PageAsk(limit=1, after=after))
    assert (first, rest, last) == (["approved"], ["mine"], None)
