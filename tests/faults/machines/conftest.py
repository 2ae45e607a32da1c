"""A site for each test, where a guest runs at all."""

import tempfile
from pathlib import Path

import pytest

from chassis.db import database
from compute.clients.images import Images
from compute.clients.trial import Trial
from compute.usecases.offers import Offers
from tests.faults.machines.stage import IMAGES, Site


@pytest.fixture(scope="session")
def compute_url(service_url):
    return service_url("compute")


@pytest.fixture
async def site(compute_url):
    trial = Trial(IMAGES, Images((IMAGES,)), "tcg")
    if not (await trial.look()).ran:
        pytest.skip(f"no guest runs here: {trial.found.trouble}")
    with tempfile.TemporaryDirectory(prefix="switchyard-faults-") as folder:
        async with database(compute_url, "compute") as sessions:
            made = Site(compute_url, sessions, Path(folder), trial)
            await Offers(made.work, made.host).refresh()
            yield made
            await made.close()
