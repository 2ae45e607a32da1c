"""Who comes on a working day: 70 % evaluations, 15 % reads, 10 % writes with a key, 5 % streams; of several tenants."""

import json
import random
import time
from dataclasses import dataclass
from uuid import uuid4

import requests
from locust import FastHttpUser, task
from websockets.sync.client import connect

from tests.newcomer import registration

FLAGS = 20
READS = (
    "/api/v1/feature-flags?limit=20",
    "/api/v1/audit-logs?limit=20",
    "/api/v1/users?limit=20",
    "/api/v1/experiments?limit=20",
)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant with flags that are on, an administrator's token and a key for evaluation."""

    token: dict[str, str]
    key: dict[str, str]
    flags: tuple[str, ...]


def tenants(url: str, count: int) -> list[Tenant]:
    """Register tenants and give each its flags."""
    return [_tenant(url) for _ in range(count)]


def _tenant(url: str) -> Tenant:
    with requests.Session() as web:

        def post(path: str, body: dict) -> dict:
            answer = web.post(f"{url}/api/v1{path}", json=body, timeout=30)
            answer.raise_for_status()
            return answer.json()

        token = post("/organizations/register", registration("load"))["access_token"]
        web.headers["authorization"] = f"Bearer {token}"
        flags = []
        for n in range(FLAGS):
            flags.append(post("/feature-flags", {"key": f"f{n}", "name": f"F{n}"})["id"])
            post(f"/feature-flags/{flags[-1]}/enable", {})
        key = post("/api-keys", {"name": "load"})["key"]
    return Tenant({"authorization": f"Bearer {token}"}, {"x-api-key": key}, tuple(flags))


class Day(FastHttpUser):
    """Somebody at work. `pace`: requests a second of each (0: as fast as the answers come)."""

    tenants: list[Tenant]
    pace = 0.0

    def on_start(self) -> None:
        self.me = random.choice(self.tenants)
        self.next = time.monotonic() + random.random() * (1 / self.pace if self.pace else 0)

    def wait_time(self) -> float:
        """Wait for the own place on the clock; who is late goes on at once and does not give up what is due."""
        if not self.pace:
            return 0.0
        self.next += 1 / self.pace
        return max(0.0, self.next - time.monotonic())

    @task(70)
    def evaluate(self) -> None:
        flag, body = random.randrange(FLAGS), {"context": {"targetingKey": uuid4().hex}}
        path = f"/ofrep/v1/evaluate/flags/f{flag}"
        self.client.post(path, json=body, headers=self.me.key, name="evaluate (OFREP)")

    @task(15)
    def read(self) -> None:
        path = random.choice(READS)
        self.client.get(path, headers=self.me.token, name=f"GET {path.partition('?')[0][7:]}")

    @task(10)
    def write(self) -> None:
        """Toggle; a second toggle of the same flag at the same moment waits for the row, it is not refused."""
        flag, headers = (
            random.choice(self.me.flags),
            self.me.token | {"idempotency-key": uuid4().hex},
        )
        path = f"/api/v1/feature-flags/{flag}/toggle"
        self.client.post(path, json={"reason": "load"}, headers=headers, name="toggle (with a key)")

    @task(5)
    def stream(self) -> None:
        """Open a stream, hear that it is ready, close it."""
        began, failure, heard, took = time.perf_counter(), None, b"", 0.0
        url = self.host.replace("http", "ws", 1) + "/ws"
        try:
            with connect(
                url, additional_headers=self.me.token, proxy=None, close_timeout=0.1
            ) as socket:
                heard = socket.recv(timeout=10)
                took = time.perf_counter() - began
                assert json.loads(heard)["type"] == "ready"
        except Exception as trouble:
            failure = trouble
        self.environment.events.request.fire(
            request_type="WS",
            name="stream, until ready",
            response_time=(took or time.perf_counter() - began) * 1000,
            response_length=len(heard),
            exception=failure,
        )
