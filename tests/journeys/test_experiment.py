"""From a draft to a decision, through the gateway: people evaluate with an OpenFeature client, a result is believed.

`EXPERIMENT_USERS=20000` plays as many people; without it a thousand, so that it stays quick. One flag has a true effect
of +10 %, one none at all, and of one the new page mostly breaks before it can say that it was seen.
"""

import asyncio
import os
from collections import defaultdict
from datetime import UTC, datetime

import pytest
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

pytestmark = pytest.mark.journey

USERS = int(os.environ.get("EXPERIMENT_USERS", "1000"))
BASE = 0.85  # how many of those who see the old page buy
FLAGS = {"true-effect": 1.1, "no-effect": 1.0, "broken-split": 1.0}
SAID = {
    "true-effect": "Ship treatment: it makes purchase better by",
    "no-effect": "Keep running: no success metric has become better so far",
    "broken-split": "Do not act: the traffic split is wrong",
}


@pytest.fixture
async def started(org):
    """Three experiments that run, each on a flag of its own."""
    metric = {"key": "purchase", "name": "Purchases", "kind": "proportion", "event": "bought"}
    made = await org.web.post("/api/v1/metrics", json=metric)
    assert made.status_code == 201, made.text
    for key in FLAGS:
        flag = await org.flag(key)
        await org.web.post(f"/api/v1/feature-flags/{flag['id']}/enable", json={"reason": "test"})
        body = {
            "key": key,
            "name": key,
            "metrics": [{"key": "purchase", "effect": 0.1}],
            "analysis": {"units": USERS},
        }
        made = await org.web.post("/api/v1/experiments", json=body)
        assert made.status_code == 201, made.text
        begun = await org.web.post(f"/api/v1/experiments/{key}/start")
        assert begun.status_code == 200, begun.text
    return org


async def play(client):
    """Let everybody evaluate every flag; return flag → variant → users, as the client was told."""
    seen = {key: defaultdict(list) for key in FLAGS}

    def evaluate(user):
        context = EvaluationContext(user)
        return {
            key: client.get_boolean_details(key, default_value=False, evaluation_context=context)
            for key in FLAGS
        }

    users = [f"user-{number}" for number in range(USERS)]
    for at in range(0, USERS, 16):
        some = users[at : at + 16]
        for user, found in zip(
            some, await asyncio.gather(*(asyncio.to_thread(evaluate, u) for u in some)), strict=True
        ):
            for key, details in found.items():
                assert details.error_code is None, details
                seen[key]["treatment" if details.value else "control"].append(user)
    return seen


def told(seen):
    """Return what the pages tell of it: exposures, and purchases by exact rates."""
    exposures, events = [], []
    now = datetime.now(UTC).isoformat()
    for key, arms in seen.items():
        for variant, users in arms.items():
            rate = BASE * (FLAGS[key] if variant == "treatment" else 1.0)
            breaks = key == "broken-split" and variant == "treatment"
            for at, user in enumerate(users):
                if breaks and at % 10:
                    continue
                unit = f"{key}/{user}"
                exposures.append(
                    {"experiment": key, "variant": variant, "unit": unit, "timestamp": now}
                )
                if int((at + 1) * rate) > int(at * rate):
                    events.append({"unit": unit, "name": "bought", "timestamp": now})
    return exposures, events


async def send(web, name, items):
    for at in range(0, len(items), 2000):
        answer = await web.post(f"/api/v1/{name}", json={name: items[at : at + 2000]})
        assert answer.status_code == 202, answer.text
        assert answer.json()["rejected"] == []


async def split(client):
    """Tell whether flags has heard of the experiments: then some see the new page, and some do not."""
    contexts = [EvaluationContext(f"somebody-{number}") for number in range(24)]
    for flag in FLAGS:
        asked = (
            asyncio.to_thread(
                client.get_boolean_value, flag, default_value=False, evaluation_context=context
            )
            for context in contexts
        )
        if len(set(await asyncio.gather(*asked))) < 2:
            return False
    return True


async def results(web, exposures, events):
    """Return flag → result once everything that was sent is in them; None before."""
    found = {}
    for flag in FLAGS:
        answer = await web.get(f"/api/v1/experiments/{flag}/results")
        assert answer.status_code == 200, answer.text
        found[flag] = answer.json()
    arms = [arm for said in found.values() for it in said["metrics"] for arm in it["arms"]]
    bought = sum(round((arm["value"] or 0) * arm["units"]) for arm in arms)
    units = sum(said["units"] for said in found.values())
    return found if (units, bought) == (len(exposures), len(events)) else None


async def test_what_people_saw_becomes_a_decision_that_can_be_believed(started, url, eventually):
    org = started
    key = await org.key()
    provider = OFREPProvider(url, headers_factory=lambda: {"X-API-Key": key})
    api.set_provider(provider, domain=org.slug)
    client = api.get_client(domain=org.slug)
    await eventually(lambda: split(client))

    exposures, events = told(await play(client))
    half = len(events) // 2
    await send(org.web, "events", events[:half])  # some come before their exposures
    await send(org.web, "exposures", exposures)
    await send(org.web, "events", events[half:])

    found = await eventually(lambda: results(org.web, exposures, events))
    for flag, sentence in SAID.items():
        assert found[flag]["decision"]["sentence"].startswith(sentence), found[flag]["decision"]
    shipped = found["true-effect"]["metrics"][0]["comparisons"][0]
    assert shipped["lift"] == pytest.approx(0.1, abs=0.02)
    assert shipped["lift_interval"]["low"] > 0
    picture = await org.web.get(
        "/api/v1/experiments/true-effect/results", headers={"accept": "image/svg+xml"}
    )
    assert picture.headers["content-type"] == "image/svg+xml"
    assert "<svg" in picture.text
