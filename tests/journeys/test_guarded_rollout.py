"""A guarded rollout, through the gateway: held while nobody knows, begun while all is well, taken back for harm."""

from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import pytest

pytestmark = pytest.mark.journey

FLAG, EXPERIMENT = "/api/v1/feature-flags/new-page", "/api/v1/experiments/checkout"
PATIENCE = 60.0  # four looks of the guard: it looks by itself every 15 seconds
ARMS = {arm: [f"{arm}-{number}" for number in range(200)] for arm in ("control", "treatment")}


def now():
    return datetime.now(UTC).isoformat()


async def made(web, path, body=None):
    answer = await web.post(path, json=body or {})
    assert answer.is_success, answer.text
    return answer


async def told(web, name, items):
    answer = await made(web, f"/api/v1/{name}", {name: items})
    assert answer.json()["rejected"] == []


@dataclass
class Guarded:
    """A rollout whose guard is an experiment that runs, and what pages tell of that."""

    web: httpx.AsyncClient
    path: str
    flag_id: str

    async def rollout(self):
        return (await self.web.get(self.path)).json()

    async def rules(self):
        return (await self.web.get(FLAG)).json()["rules"]

    async def ask(self):
        """Have the guard asked now, not at its next turn; if that has come already, both are refused."""
        await self.web.post(f"{self.path}/pause")
        await self.web.post(f"{self.path}/resume")

    async def expose(self):
        for arm, units in ARMS.items():
            exposures = [
                {"experiment": "checkout", "variant": arm, "unit": unit, "timestamp": now()}
                for unit in units
            ]
            await told(self.web, "exposures", exposures)

    async def fail(self):
        events = [{"unit": u, "name": "failed", "timestamp": now()} for u in ARMS["treatment"]]
        await told(self.web, "events", events)

    async def counted(self, failed):
        """Tell whether everybody is exposed and so many have failed, as far as the results know."""
        found = (await self.web.get(f"{EXPERIMENT}/results")).json()
        arms = [arm for metric in found["metrics"] for arm in metric["arms"]]
        known = sum(round((arm["value"] or 0) * arm["units"]) for arm in arms)
        return (found["units"], known) == (400, failed)

    async def entries(self):
        params = {"entity_id": self.flag_id, "action_type": "flag.rollout_rolled_back"}
        return (await self.web.get("/api/v1/audit-logs", params=params)).json()["items"]


@pytest.fixture
async def guarded(org):
    """A rollout of a flag, guarded by an experiment of another one to which nobody was exposed yet."""
    metric = {"key": "errors", "name": "Errors", "kind": "proportion", "event": "failed"}
    await made(org.web, "/api/v1/metrics", metric)
    use = {"key": "errors", "role": "guardrail", "more_is_better": False}
    body = {"key": "checkout", "name": "Checkout", "metrics": [use]}
    await made(org.web, "/api/v1/experiments", body)
    await made(org.web, f"{EXPERIMENT}/start")
    flag = await org.flag("new-page", default_variant="off")
    await made(org.web, f"{FLAG}/enable")
    guard = {"experiment": "checkout", "metric": "errors"}
    stages = [{"weight": 10_000, "hold_seconds": 3600}, {"weight": 100_000}]
    body = {"variant": "on", "stages": stages, "guard": guard}
    rollout = await made(org.web, f"{FLAG}/rollouts", body)
    return Guarded(org.web, rollout.headers["location"], flag["id"])


async def test_what_an_experiment_finds_harmful_is_taken_back(guarded, eventually):
    async def rollout(fits):
        found = await guarded.rollout()
        return found if fits(found) else None

    nobody = "nobody was exposed to experiment 'checkout' yet"
    held = await eventually(lambda: rollout(lambda one: one["trouble"] == nobody), PATIENCE)
    assert (held["status"], held["stage"], held["guard"]["held"]) == ("waiting", 0, True)

    await guarded.expose()
    await eventually(lambda: guarded.counted(0), PATIENCE)
    await guarded.ask()
    await eventually(lambda: rollout(lambda one: one["stage"] == 1), PATIENCE)
    [rule] = await guarded.rules()
    assert rule["split"]["weights"][0] == {"variant": "on", "weight": 10_000}

    await guarded.fail()
    await eventually(lambda: guarded.counted(200), PATIENCE)
    await guarded.ask()
    over = await eventually(lambda: rollout(lambda one: one["status"] == "rolled_back"), PATIENCE)
    assert over["trouble"] == "experiment 'checkout' shows harm to 'errors' in 'treatment'"
    assert over["guard"]["verdict"]["units"] == 400
    assert await guarded.rules() == []
    [entry] = await eventually(guarded.entries, PATIENCE)
    assert entry["reason"] == over["trouble"]
