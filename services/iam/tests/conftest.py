"""iam on fakes of everything that it asks of the world (see `fakes/`)."""

import pytest

from services.iam.tests.fakes.makers import Makers
from services.iam.tests.fakes.service import Service


@pytest.fixture(scope="session")
def make():
    return Makers()


@pytest.fixture
def iam():
    return Service()
