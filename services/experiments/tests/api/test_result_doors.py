"""The doors of results: the sentence and the numbers, pictures, tables, days, breakdowns, and planning."""

import csv
from datetime import timedelta
from io import StringIO

import pytest

from experiments.domain.analysis import Analysis, MetricRole, MetricUse
from experiments.domain.experiment import Status
from experiments.domain.inference import moments
from experiments.domain.inference.moments import Moments
from experiments.domain.metric import Definition, MetricKind
from experiments.domain.trial import Cell, Frozen, Span, Trial

PATH = "/api/v1/experiments/checkout/results"


@pytest.fixture
def trial(draft, work, clock):
    made = Trial(
        id=draft.id, tenant=draft.tenant, key=draft.key, owner_id="ana", status=Status.ACTIVE,
        variants=("control", "treatment"),
        spans=(Span(1, clock() - timedelta(days=9), None, (50_000, 50_000)),),
        uses=(
            MetricUse(key="buy", effect=0.1),
            MetricUse(key="wait", role=MetricRole.GUARDRAIL, margin=0.02, more_is_better=False),
            MetricUse(key="later"),
        ),
        analysis=Analysis(units=40_000),
    )  # fmt: skip
    work.trials.kept.append(made)
    return made


def laid(value, n, hits):
    flat = (0.0, 1.0, 0.0, 0.0)
    cells = []
    for at in (0, 1):
        cells.append(Cell(0, 1, at, value, 0, Moments(n, flat, (0.0,) * 10)))
        cells.append(Cell(1, 1, at, value, 0, moments.counted(hits[at], n)))
        cells.append(Cell(2, 1, at, value, 0, moments.valued(n, 5.0, 4.0 * n)))
    return cells


@pytest.fixture
def data(trial, work):
    work.trials.metrics = [
        Frozen(number=1, key="buy", definition=Definition(kind=MetricKind.PROPORTION, event="b")),
        Frozen(number=2, key="wait", definition=Definition(kind=MetricKind.MEAN, event="w")),
    ]
    work.trials.laid = {
        "": laid("", 20_000, (2000, 2600)),
        "day": [
            *laid("2026-05-30", 5_000, (500, 650)),
            *laid("2026-05-31", 15_000, (1500, 1950)),
        ],
        "country": [*laid("DE", 12_000, (1200, 1560)), *laid("Ö", 8_000, (800, 1040))],
    }
    return trial


async def test_before_there_are_data_there_is_a_sentence_and_no_number(client, trial):
    said = (await client.get(PATH)).json()
    assert said["decision"]["verdict"] == "keep running"
    assert "nobody has been exposed" in said["decision"]["sentence"]
    assert (said["units"], said["metrics"], said["split"], said["missing"]) == (0, [], None, [])


async def test_an_arm_that_nobody_is_in_shows_no_number(client, data, work):
    work.trials.laid[""] = [cell for cell in work.trials.laid[""] if cell.variant == 0]
    work.trials.laid["day"] = work.trials.laid[""]
    buy = (await client.get(PATH)).json()["metrics"][0]
    assert [arm["value"] for arm in buy["arms"]] == [0.1, None]
    [found] = buy["comparisons"]
    names = ("difference", "lift", "chance_to_win", "expected_loss")
    assert ([found[name] for name in names], found["state"]) == ([None] * 4, "open")
    table = (await client.get(PATH, headers={"accept": "text/csv"})).text
    row = next(csv.DictReader(StringIO(table)))
    assert (row["units"], row["value"], row["difference"], row["chance_to_win"]) == (
        "0",
        "",
        "",
        "",
    )
    [day] = (await client.get(f"{PATH}/timeseries")).json()["days"]
    assert {(point["difference"], point["lift"]) for point in day["points"]} == {(None, None)}


async def test_a_result_opens_with_its_sentence_and_shows_everything(client, data):
    said = (await client.get(PATH)).json()
    assert said["decision"]["verdict"] == "ship"
    assert said["decision"]["sentence"].startswith("Ship treatment: it makes buy better by 30.0%")
    assert (said["units"], said["planned_units"], said["missing"]) == (40_000, 40_000, ["later"])
    assert said["split"]["wrong"] is False
    assert said["split"]["expected"] == {"control": 20_000.0, "treatment": 20_000.0}
    buy, wait = said["metrics"]
    assert [(arm["variant"], arm["units"], arm["value"]) for arm in buy["arms"]] == [
        ("control", 20_000, 0.1),
        ("treatment", 20_000, 0.13),
    ]
    found = buy["comparisons"][0]
    assert found["lift"] == pytest.approx(0.3)
    assert found["lift_interval"]["low"] < 0.3 < found["lift_interval"]["high"]
    assert (found["significant"], found["state"]) == (True, "better")
    assert found["chance_to_win"] > 0.999
    assert 0 < found["power"] <= 1
    assert wait["comparisons"][0]["state"] == "not inferior"


async def test_pictures_are_svg(client, data):
    for plot in ("forest", "cumulative", "exposures", "posterior"):
        answer = await client.get(
            PATH, params={"plot": plot}, headers={"accept": "image/svg+xml,*/*"}
        )
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.text.startswith("<svg")
    empty = await client.get(
        PATH,
        params={"plot": "posterior", "metric": "nope"},
        headers={"accept": "image/svg+xml"},
    )
    assert (empty.status_code, empty.json()["code"]) == (404, "experiments.not_plottable")


async def test_a_table_has_a_row_for_each_metric_and_treatment(client, data):
    answer = await client.get(PATH, headers={"accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert [(row["metric"], row["variant"], row["units"]) for row in rows] == [
        ("buy", "treatment", "20000"),
        ("wait", "treatment", "20000"),
    ]
    assert float(rows[0]["lift"]) == pytest.approx(0.3)


async def test_days_add_up_to_the_whole(client, data):
    days = (await client.get(f"{PATH}/timeseries")).json()["days"]
    assert [day["day"] for day in days] == ["2026-05-30", "2026-05-31"]
    assert [day["units"]["control"] for day in days] == [5_000, 20_000]
    assert days[-1]["points"][0]["lift"] == pytest.approx(0.3)


async def test_a_dimension_breaks_the_result_down(client, data):
    said = (await client.get(PATH, params={"dimension": "country"})).json()["breakdown"]
    assert [(part["value"], part["units"]) for part in said["parts"]] == [
        ("DE", 24_000),
        ("Ö", 16_000),
    ]
    assert said["heterogeneity"][0]["p_value"] > 0.5
    unknown = await client.get(PATH, params={"dimension": "planet"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "experiments.unknown_dimension")
    assert "country" in unknown.json()["detail"]


async def test_who_may_read(client, data):
    for who, status in (("nobody", 401), ("nora", 403), ("otto", 404), ("vera", 200)):
        headers = {"authorization": f"Bearer {who}"}
        for path in (PATH, f"{PATH}/timeseries"):
            assert (await client.get(path, headers=headers)).status_code == status, (who, path)
    assert (await client.get("/api/v1/experiments/none/results")).status_code == 404


async def test_a_plan_says_how_many_units_and_days(client):
    body = {"baseline": 0.1, "effect": 0.1, "method": "fixed", "units_per_day": 2000}
    said = (await client.post("/api/v1/experiments/plan", json=body)).json()
    assert said["units_per_variant"] == pytest.approx(14_750, rel=0.01)
    assert said["units"] == 2 * said["units_per_variant"]
    assert said["days"] == 21
    assert said["inflation"] == pytest.approx(1.0)
    watched = (
        await client.post("/api/v1/experiments/plan", json={**body, "method": "watched"})
    ).json()
    assert watched["units"] > said["units"]


async def test_units_on_offer_say_what_they_can_show(client):
    body = {"baseline": 20, "variance": 400, "kind": "mean", "effect": 0.05, "units": 20_000,
            "treatments": 2, "guardrails": 3, "explained": 0.5}  # fmt: skip
    said = (await client.post("/api/v1/experiments/plan", json=body)).json()
    assert 0 < said["power"] < 1
    assert 0 < said["detectable_effect"] < 0.2


@pytest.mark.parametrize(
    "change",
    [
        {"effect": 0},
        {"baseline": 1.5},
        {"kind": "mean"},
        {"power": 0.01},
        {"alpha": 0.9},
        {"effect": -1.5},
        {"units_per_day": 0},
        {"alpha": 1e-9},
        {"power": 0.999999},
        {"baseline": 1e-9},
        {"kind": "mean", "baseline": 1e-300, "variance": 1},
        {"kind": "mean", "effect": 1e-300, "variance": 1e30},
        {"surprise": 1},
    ],
)
async def test_a_plan_that_makes_no_sense_is_refused(client, change):
    body = {"baseline": 0.1, "effect": 0.1, **change}
    assert (await client.post("/api/v1/experiments/plan", json=body)).status_code == 422
