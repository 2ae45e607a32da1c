"""Clients inside a cluster: they evaluate, read and write through the gateway's Service until they are asked to end.

    python -m tests.load.clients http://gateway.switchyard.svc.cluster.local

deploy/trial/k8s.sh runs it as a Pod (this file and tests/newcomer.py, nothing else). Registers an organization, says
`running`, asks until SIGTERM, reads in the audit log whether each acknowledged change is there once, and prints a line
of JSON. Ends with 1 when an evaluation or a read failed, or a change is missing or double. A broken connection
is a failure like any other; only who writes sends again, with the same idempotency key.
"""

import asyncio
import itertools
import json
import signal
import sys
import time
from collections import Counter
from uuid import uuid4

import httpx

from tests.newcomer import registered, registration

EVALUATORS, READERS, WRITERS = 6, 2, 1
RENEWAL = 240.0  # seconds after which a person logs in anew; a token lives for ten minutes
PATIENCE = 20.0  # seconds that a client waits for an answer
READS = (
    "/api/v1/users/me",
    "/api/v1/feature-flags",
    "/api/v1/experiments",
    "/api/v1/vms",
    "/api/v1/audit-logs",
)
EVALUATE = "/ofrep/v1/evaluate/flags/f"


class Clients:
    """An organization, its flag `f`, and what its clients were told."""

    def __init__(self, web, boss):
        self.web, self.boss = web, boss
        self.flag, self.token, self.key = "", {}, {}
        self.told = Counter()
        self.changes = []
        self.ended = asyncio.Event()
        self.again = 0

    async def run(self):
        """Ask until SIGTERM."""
        kinds = (
            [self.evaluate] * EVALUATORS
            + [self.read] * READERS
            + [self.write] * WRITERS
            + [self.renew]
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.ended.set)
        print("running", flush=True)
        await asyncio.gather(*(kind() for kind in kinds))

    async def evaluate(self):
        body = {"context": {"targetingKey": "u"}}
        while not self.ended.is_set():
            await self.ask("evaluation", "POST", EVALUATE, headers=self.key, json=body)

    async def read(self):
        for path in itertools.cycle((f"/api/v1/feature-flags/{self.flag}", *READS)):
            if self.ended.is_set():
                return
            await self.ask("read", "GET", path, headers=self.token)

    async def ask(self, kind, verb, path, **what):
        """Ask once and count the answer, or what came instead."""
        said = await self.said(verb, path, **what)
        self.told[f"{kind} {said}"] += 1
        if said != "200":
            print(kind, path, said, flush=True)

    async def said(self, verb, path, **what):
        """Return the status, with the problem's code if there is one, or the transport's failure."""
        try:
            answer = await self.web.request(verb, path, **what)
        except httpx.HTTPError as error:
            return type(error).__name__
        return (
            "200" if answer.status_code == 200 else f"{answer.status_code} {answer.json()['code']}"
        )

    async def renew(self):
        """Log in anew before the token ends; again when that was refused for a moment."""
        due = time.monotonic() + RENEWAL
        while not self.ended.is_set():
            if time.monotonic() > due:
                self.token = await self.logged_in()
                due = time.monotonic() + RENEWAL
            await asyncio.sleep(0.5)

    async def write(self):
        """Toggle with a key, again with the same key until it is acknowledged."""
        for n in itertools.count():
            if self.ended.is_set():
                return
            headers = self.token | {"idempotency-key": uuid4().hex}
            body, path = {"reason": f"no {n}"}, f"/api/v1/feature-flags/{self.flag}/toggle"
            while await self.said("POST", path, headers=headers, json=body) != "200":
                self.again += 1
                await asyncio.sleep(0.1)
            self.changes.append(f"no {n}")
            await asyncio.sleep(0.2)

    async def logged(self):
        """Return the reasons of all logged changes, as soon as there are as many as were acknowledged."""
        for _ in range(300):
            if len(found := await self.reasons()) >= len(self.changes):
                return found
            await asyncio.sleep(0.2)
        return await self.reasons()

    async def logged_in(self):
        """Return the header with a new token of the administrator."""
        body = {
            "username": self.boss["admin_email"],
            "password": self.boss["admin_password"],
            "tenant_subdomain": self.boss["subdomain"],
        }
        return {"authorization": f"Bearer {(await self.made('/auth/login', body))['access_token']}"}

    async def made(self, path, body):
        """Post until it is taken: a service may not have heard of the organization yet."""
        while True:
            answer = await self.web.post(f"/api/v1{path}", json=body, headers=self.token)
            if answer.status_code not in (401, 403, 503, 504):
                return answer.raise_for_status().json()
            await asyncio.sleep(0.5)

    async def reasons(self):
        found, where = [], {"entity_type": "feature_flag", "limit": "100"}
        while True:
            answer = await self.web.get("/api/v1/audit-logs", params=where, headers=self.token)
            page = answer.raise_for_status().json()
            found += [
                entry["reason"]
                for entry in page["items"]
                if (entry["reason"] or "").startswith("no ")
            ]
            if not (cursor := page.get("next_cursor")):
                return found
            where["cursor"] = cursor


async def settled(web):
    """Register an organization with a flag that is on and a key, both known to every replica."""
    clients = Clients(web, registration("trial"))
    await registered(web, clients.boss)
    del web.headers["authorization"]
    clients.token = await clients.logged_in()
    clients.flag = (await clients.made("/feature-flags", {"key": "f", "name": "F"}))["id"]
    await clients.made(f"/feature-flags/{clients.flag}/enable", {})
    clients.key = {"x-api-key": (await clients.made("/api-keys", {"name": "trial"}))["key"]}
    await known(clients)
    return clients


async def known(clients):
    """Ask until forty in a row are answered: every replica has heard of the organization."""
    row = 0
    while row < 40:
        body = {"context": {"targetingKey": "u"}}
        said = [await clients.said("POST", EVALUATE, headers=clients.key, json=body)]
        said += [await clients.said("GET", path, headers=clients.token) for path in READS]
        row = row + 1 if set(said) == {"200"} else 0


async def main(url):
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as web:
        clients = await settled(web)
        await clients.run()
        logged = Counter(await clients.logged())
    failed = sum(n for said, n in clients.told.items() if not said.endswith(" 200"))
    found = {
        "asked": clients.told.total(),
        "failed": failed,
        "told": clients.told,
        "writes": len(clients.changes),
        "sent_again": clients.again,
        "logged_once": logged == Counter(clients.changes),
    }
    print(json.dumps(found))
    return 0 if not failed and logged == Counter(clients.changes) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
