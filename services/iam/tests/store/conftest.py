"""The stores that the contract is run on: the fake, and PostgreSQL."""

import asyncio

import pytest

from chassis.db import DatabaseAway, database, transaction
from iam.store.work import sql_work


async def _at_once(_):
    pass


async def lent(sessions):
    """Wait until the database lends a connection: on a crowded machine that takes longer than a request may wait."""
    async with asyncio.timeout(60):
        while True:
            try:
                async with transaction(sessions):
                    return
            except DatabaseAway:
                continue


@pytest.fixture(params=["fake", pytest.param("sql", marks=pytest.mark.store)])
async def work(request, iam, make):
    if request.param == "fake":
        yield iam.work
        return
    url = await asyncio.to_thread(request.getfixturevalue, "iam_url")
    async with database(url, "iam") as sessions:
        await lent(sessions)
        yield sql_work(sessions, make.issuer, lambda: None, lambda: None, _at_once)


@pytest.fixture(scope="session")
def iam_url(service_url):
    return service_url("iam")
