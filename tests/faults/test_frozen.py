"""What goes on while a part hangs (SIGSTOP: it keeps its connections and is silent), and what is said of the rest."""

import contextlib
import os
import signal
import time

import httpx
import pytest

from tests.faults.replicas import family
from tests.faults.table import slower
from tests.newcomer import REGISTER, registration
from tests.waiting import until

pytestmark = pytest.mark.journey

EVALUATE = "/ofrep/v1/evaluate/flags/f"


@contextlib.contextmanager
def frozen(platform, name):
    """Stop a process and its children, and let them go on afterwards."""
    pids = family(platform.pid(name))
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.fixture
async def org(platform):
    """An organization with a flag that is on, and clients with a token and with a key that is known everywhere."""
    await until(platform.healthy, 30)
    async with httpx.AsyncClient(base_url=platform.url, timeout=15) as web:

        async def there():
            answer = await web.post(REGISTER, json=registration())
            return answer.json() if answer.status_code == 201 else None

        web.headers["authorization"] = f"Bearer {(await until(there))['access_token']}"
        flag = await web.post("/api/v1/feature-flags", json={"key": "f", "name": "F"})
        web.flag = f"/api/v1/feature-flags/{flag.raise_for_status().json()['id']}"
        (await web.post(f"{web.flag}/enable", json={})).raise_for_status()
        key = (
            (await web.post("/api/v1/api-keys", json={"name": "k"}))
            .raise_for_status()
            .json()["key"]
        )
        async with httpx.AsyncClient(
            base_url=platform.url, timeout=15, headers={"x-api-key": key}
        ) as sdk:
            web.sdk = sdk
            await until(lambda: served(sdk, True), 20)
            yield web


async def served(sdk, value):
    answer = await sdk.post(EVALUATE, json={"context": {"targetingKey": "u"}})
    return answer.status_code == 200 and answer.json()["value"] is value


async def evaluates(sdk, times=100):
    """Evaluate again and again without one failure; return the slowest hundredth, in seconds."""
    took = []
    for _ in range(times):
        begun = time.monotonic()
        assert await served(sdk, True)
        took.append(time.monotonic() - begun)
    return sorted(took)[int(times * 0.99) - 1]


async def test_changes_are_served_while_valkey_hangs(platform, org, finding):
    with frozen(platform, "valkey"):
        begun = time.monotonic()
        switched = await org.post(f"{org.flag}/disable", json={"reason": "no news"})
        assert switched.status_code == 200
        answered = time.monotonic() - begun
        await until(lambda: served(org.sdk, False), 20)
        visible = time.monotonic() - begun
    finding(
        "R6",
        "SIGSTOP to Valkey, a toggle",
        f"answered after {answered:.2f} s, served after {visible:.2f} s",
        partly=slower(visible, 10, "the change"),
    )


async def test_nothing_is_changed_by_old_authority_while_iam_hangs(platform, org):
    """Reading goes on; after five seconds of silence whatever changes something asks iam, and has no answer."""
    with frozen(platform, "iam"):
        before = (await org.get(org.flag)).raise_for_status().json()

        async def undecidable():
            begun = time.monotonic()
            answer = await org.patch(org.flag, json={"description": f"at {begun}"})
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 200:
                before["version"] = answer.json()["version"]
                return False
            assert answer.json()["code"] == "authority_unavailable"
            assert int(answer.headers["retry-after"]) >= 1
            return time.monotonic() - begun < 3

        await until(undecidable, 30)
        for path in ("feature-flags", "experiments", "vms"):
            body = {"key": "new", "name": "new"}
            refused = await org.post(f"/api/v1/{path}", json=body)
            assert (refused.status_code, refused.json()["code"]) == (503, "authority_unavailable")
        assert (await org.get(org.flag)).json()["version"] == before["version"]
        await evaluates(org.sdk)

    async def changes():
        return (await org.patch(org.flag, json={"description": "again"})).status_code == 200

    await until(changes, 30)
