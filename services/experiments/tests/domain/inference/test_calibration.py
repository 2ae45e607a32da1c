"""A small run of the calibration: every row is counted, simulation and engine agree, and no limit is broken."""

import importlib.util
import sys
from argparse import Namespace
from pathlib import Path

import pytest

PLACE = Path(__file__).parents[5] / "benchmarks/calibrate.py"

FEW = (
    "proportion, 10 %",
    "mean, normal",
    "revenue, heavy tail",
    "ratio, clicks per view",
    "mean, regression",
)


@pytest.fixture(scope="module")
def calibrate():
    spec = importlib.util.spec_from_file_location("calibrate", PLACE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["calibrate"] = module
    spec.loader.exec_module(module)
    module.LOOKS, module.CHUNK = 56, 40
    module.SCENARIOS = tuple(s for s in module.SCENARIOS if s.name in FEW)
    yield module
    del sys.modules["calibrate"]


@pytest.fixture(scope="module")
def rows(calibrate):
    jobs = calibrate.jobs(Namespace(experiments=30, seed=3))
    return {key: [row(job) for job in todo] for key, (row, todo) in jobs.items()}


def test_no_limit_is_broken(calibrate, rows):
    assert calibrate.broken(rows, 30) == []


def test_every_kind_of_metric_has_its_row_on_the_page(calibrate, rows):
    text = calibrate.page(rows, Namespace(experiments=30, seed=3), 1.0)
    names = [s.name for s in calibrate.SCENARIOS]
    assert len(names) == len(FEW)
    assert all(f"| {name} |" in text for name in names)
    assert "Seed 3, 30 experiments" in text
    assert "nan" not in text


def test_a_broken_limit_is_told(calibrate, rows):
    spoiled = {**rows, "watched": [{**rows["watched"][0], "difference": 0.4}, *rows["watched"][1:]]}
    (told,) = calibrate.broken(spoiled, 30)
    assert told.startswith("proportion, 10 %: difference 0.4")


def test_a_simulation_that_leaves_the_engine_fails(calibrate, monkeypatch):
    monkeypatch.setattr(calibrate.contrasts, "plain", calibrate.contrasts.cuped)
    scenario = calibrate.Scenario("past unused", calibrate.with_past, 1.0)
    with pytest.raises(SystemExit, match="disagree"):
        calibrate.drawn(scenario, calibrate.np.random.default_rng(1), 2, 0.0, check=True)


def test_the_same_seed_counts_the_same(calibrate, rows):
    assert calibrate.watched((0, 30, 3)) == rows["watched"][0]
