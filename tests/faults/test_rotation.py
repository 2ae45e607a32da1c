"""Signing keys change while people work: nobody is sent away; in an emergency everybody is, at once."""

import asyncio
import json
import os
import sys
import time
from base64 import urlsafe_b64decode

import httpx
import pytest

from tests.faults.replicas import environment
from tests.faults.table import slower
from tests.newcomer import registered
from tests.waiting import until

REQUESTS = 2000
PATHS = ("/api/v1/users/me", "/api/v1/feature-flags", "/api/v1/experiments")


async def rotate(platform, *options):
    """Run the command as an operator does: beside iam, in its environment; return the new key's id."""
    env = environment(platform.pid("iam"))
    command = (sys.executable, "-m", "iam", "rotate-keys", *options)
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*command, env=os.environ | env, **pipes)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode().split()[0]


def kid(token):
    head = token.split(".")[0]
    return json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]


class Client:
    """Somebody who works: refreshes now and then, and uses the first token as well as the newest."""

    def __init__(self, web, login):
        self.web = web
        self.first = self.newest = login["access_token"]
        self.refresh_token = login["refresh_token"]
        self.refused = []
        self.asked = self.late = 0
        self.stop = False

    async def work(self):
        while not self.stop:
            await self.refresh()
            for path in PATHS * 3:
                for token in (self.first, self.newest):
                    await self.ask(path, token)

    async def refresh(self):
        body = {"refresh_token": self.refresh_token}
        said = await self.web.post("/api/v1/auth/refresh", json=body)
        if said.status_code == 503:  # a slow machine, which is not what this is about
            self.late += 1
        elif said.status_code != 200:
            self.refused.append(("refresh", said.status_code, said.text))
        if said.status_code != 200:
            return
        self.newest, self.refresh_token = said.json()["access_token"], said.json()["refresh_token"]

    async def ask(self, path, token):
        said = await self.web.get(path, headers={"authorization": f"Bearer {token}"})
        self.asked += 1
        if said.status_code == 503:
            self.late += 1
        elif said.status_code != 200:
            self.refused.append((path, said.status_code, said.text))


@pytest.mark.journey
async def test_a_rotation_under_load_sends_nobody_away(platform, finding):
    async with httpx.AsyncClient(base_url=platform.url, timeout=20) as web:
        clients = [Client(web, await registered(web)) for _ in range(4)]
        old = kid(clients[0].first)
        working = [asyncio.create_task(client.work()) for client in clients]
        made = await rotate(platform, "--now", "--reason", "a test")
        assert made != old

        def turned():
            return all(kid(client.newest) == made for client in clients)

        await until(turned, 60, "everybody has a token signed with the new key")
        since = sum(client.asked for client in clients)
        wanted = max(REQUESTS, since + REQUESTS // 2)
        await until(lambda: sum(c.asked for c in clients) >= wanted, 240, "requests were made")
        for client in clients:
            client.stop = True
        await asyncio.gather(*working)
    assert [refused for client in clients for refused in client.refused] == []
    assert {kid(client.first) for client in clients} == {old}
    asked = sum(client.asked for client in clients)
    late = sum(client.late for client in clients)
    figure = f"0 of {asked} were 401; {late} were 503 for a moment, all others 200"
    finding("R25", "rotation while four clients refresh and read", figure)


@pytest.mark.journey
async def test_in_an_emergency_no_old_token_opens_anything_soon(platform, finding):
    async with httpx.AsyncClient(base_url=platform.url, timeout=20) as web:
        login = await registered(web)
        old = {"authorization": f"Bearer {login['access_token']}"}
        for path in PATHS:
            assert (await web.get(path, headers=old)).status_code == 200
        made = await rotate(platform, "--now", "--revoke-old")
        begun = time.monotonic()
        for path in PATHS:
            while (await web.get(path, headers=old)).status_code == 200:
                assert time.monotonic() - begun < 20, path
        shut = time.monotonic() - begun
        body = {"refresh_token": login["refresh_token"]}
        said = (await web.post("/api/v1/auth/refresh", json=body)).raise_for_status().json()
        assert kid(said["access_token"]) == made
        new = {"authorization": f"Bearer {said['access_token']}"}
        statuses = set()
        while statuses != {200}:  # the gateway hears of the new key within seconds
            assert time.monotonic() - begun < 30
            statuses = {(await web.get(path, headers=new)).status_code for path in PATHS}
            await asyncio.sleep(0.1)
    finding(
        "R25",
        "in an emergency (`--revoke-old`)",
        f"no old token opened anything after {shut:.2f} s",
        partly=slower(shut, 1, "shutting out"),
    )
