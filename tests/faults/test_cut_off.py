"""iam is silent: who is known goes on working for a quarter of an hour, who is not is told that nobody can say (R7).

`make faults FULL=1` lets it be silent for longer than that, on a platform of its own beside the others: nothing is
decided any more by what is a quarter of an hour old. Tokens of a throw-away platform live for an hour; elsewhere they
end after ten minutes, and only iam gives new ones.
"""

import asyncio
import time

import httpx
import pytest

from authz import apikeys
from tests.faults.lengths import FULL, shorter
from tests.faults.test_frozen import EVALUATE, evaluates, frozen
from tests.faults.test_frozen import org as org
from tests.waiting import until

pytestmark = pytest.mark.journey

QUARTER = 15 * 60  # seconds for which what iam said last is good
MARGIN = 15  # seconds around that in which either is right
SOON = 120


async def undecided(platform):
    """Return whether a key that nobody knows is undecidable rather than wrong."""
    stranger = {"x-api-key": apikeys.mint("server")[1]}
    async with httpx.AsyncClient(base_url=platform.url, headers=stranger, timeout=20) as web:
        answer = await web.post(EVALUATE, json={})
    assert answer.status_code in (401, 503)
    return answer.status_code == 503


async def works_on(platform, org, end):
    """Ask with a known key and a known token, and with an unknown key, until the end; return how often."""
    asked = 0
    while time.monotonic() < end:
        await evaluates(org.sdk, 10)
        assert (await org.get(org.flag)).status_code == 200
        assert await undecided(platform)
        asked += 1
        await asyncio.sleep(1)
    return asked


async def nothing_is_decided(org):
    """Wait until what is known is too old: it is refused for now, and never as wrong."""

    async def refused():
        said = [await org.get(org.flag), await org.sdk.post(EVALUATE, json={})]
        assert {s.status_code for s in said} <= {200, 503}, [s.text for s in said]
        return all(s.status_code == 503 for s in said)

    await until(refused, 2 * MARGIN, "what is too old decides nothing")


async def test_known_credentials_work_while_iam_hangs_and_unknown_ones_are_undecided(
    platform, org, finding
):
    asked, began = 2, time.monotonic()
    with frozen(platform, "iam"):
        await evaluates(org.sdk)
        assert (await org.get(org.flag)).status_code == 200
        await until(lambda: undecided(platform), 40, "an unknown key is undecidable")
        await evaluates(org.sdk)
        if FULL:
            asked += await works_on(platform, org, began + QUARTER - MARGIN)
            long = time.monotonic() - began
            await asyncio.sleep(max(0, began + QUARTER - time.monotonic()))
            await nothing_is_decided(org)
    await until(platform.healthy, SOON)
    await until(lambda: works_again(org), SOON, "all works again")
    finding(
        "R7",
        f"SIGSTOP to iam{f' for {QUARTER // 60} min, and some seconds' if FULL else ''}",
        (
            f"for {long:.0f} s {asked} times ten evaluations with a known key and a read with a known token (an hour's;"
            " by default a token ends after ten minutes, and only iam renews it): 0 failed; an unknown key got 503;"
            " after a quarter of an hour all got 503, none 401, and 200 when iam was back"
            if FULL
            else "200 evaluations with a known key and a read with a known token: 0 failed; an unknown key got 503"
        ),
        partly=shorter("half a minute, not the 15"),
    )


async def works_again(org):
    said = [await org.get(org.flag), await org.sdk.post(EVALUATE, json={})]
    return all(s.status_code == 200 for s in said)
