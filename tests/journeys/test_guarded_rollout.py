"""A rollout with a guard, through the gateway: held while nobody knows, grown while nothing is harmed, rolled back by harm."""

from datetime import UTC, datetime

import pytest

pytestmark = pytest.mark.journey

FLAGS, EXPERIMENTS = "/api/v1/feature-flags", "/api/v1/experiments"
PATIENCE = 60.0  # as long as three looks of the guard, on a machine that is busy


@pytest.fixture
async def guarded(org):
    """An experiment that runs with a guardrail, and a flag that is on."""
    metric = {"key": "errors", "name": "Errors", "kind": "proportion", "event": "failed"}
    made = await org.web.post("/api/v1/metrics", json={**metric, "direction": "decrease"})
    assert made.status_code == 201, made.text
    body = {"key": "checkout", "name": "Checkout", "metrics": [{"key": "errors", "role": "guardrail"}]}
    made = await org.web.post(EXPERIMENTS, json=body)
    assert made.status_code == 201, made.text
    begun = await org.web.post(f"{EXPERIMENTS}/checkout/start")
    assert begun.status_code == 200, begun.text
    flag = await org.flag("new-page", default_variant="off")
    assert (await org.web.post(f"{FLAGS}/new-page/enable")).status_code == 200
    return flag


async def told(web, name, items):
    answer = await web.post(f"/api/v1/{name}", json={name: items})
    assert answer.status_code == 202, answer.text
    assert answer.json()["rejected"] == []


def exposed(variant, units):
    now = datetime.now(UTC).isoformat()
    return [
        {"experiment": "checkout", "variant": variant, "unit": unit, "timestamp": now}
        for unit in units
    ]


async def test_what_an_experiment_finds_harmful_is_taken_back(org, guarded, eventually):
    guard = {"experiment": "checkout", "metric": "errors"}
    stages = [{"weight": 10_000, "hold_seconds": 3600}, {"weight": 100_000}]
    body = {"variant": "on", "stages": stages, "guard": guard}
    made = await org.web.post(f"{FLAGS}/new-page/rollouts", json=body)
    assert made.status_code == 201, made.text
    path = made.headers["location"]

    async def state():
        return (await org.web.get(path)).json()

    async def asked_again():
        """Ask the guard now, not at its next turn."""
        assert (await org.web.post(f"{path}/pause")).status_code == 200
        assert (await org.web.post(f"{path}/resume")).status_code == 200

    async def held():
        found = await state()
        return found if found["guard"]["held"] else None

    found = await eventually(held, PATIENCE)
    assert (found["status"], found["stage"]) == ("waiting", 0)
    assert found["trouble"] == "nobody was exposed to experiment 'checkout' yet"

    arms = {arm: [f"{arm}-{number}" for number in range(200)] for arm in ("control", "treatment")}
    for arm, units in arms.items():
        await told(org.web, "exposures", exposed(arm, units))

    async def counted(harmed):
        found = (await org.web.get(f"{EXPERIMENTS}/checkout/results")).json()
        [metric] = found["metrics"]
        return found["units"] == 400 and sum(arm["value"] for arm in metric["arms"]) == harmed

    await eventually(lambda: counted(0), PATIENCE)
    await asked_again()

    async def begun():
        return (await state())["stage"] == 1

    await eventually(begun, PATIENCE)
    [rule] = (await org.web.get(f"{FLAGS}/new-page")).json()["rules"]
    assert rule["split"]["weights"][0] == {"variant": "on", "weight": 10_000}

    now = datetime.now(UTC).isoformat()
    broken = [{"unit": unit, "name": "failed", "timestamp": now} for unit in arms["treatment"]]
    await told(org.web, "events", broken)
    await eventually(lambda: counted(1), PATIENCE)
    await asked_again()

    async def rolled_back():
        found = await state()
        return found if found["status"] == "rolled_back" else None

    found = await eventually(rolled_back, PATIENCE)
    assert found["trouble"] == "experiment 'checkout' shows harm to 'errors' in 'treatment'"
    assert found["guard"]["verdict"]["units"] == 400
    assert (await org.web.get(f"{FLAGS}/new-page")).json()["rules"] == []

    async def logged():
        params = {"entity_id": guarded["id"], "action": "flag.rollout_rolled_back"}
        return (await org.web.get("/api/v1/audit-logs", params=params)).json()["items"]

    [entry] = await eventually(logged, PATIENCE)
    assert entry["reason"] == found["trouble"]
