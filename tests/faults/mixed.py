"""The load of the design: 70 % evaluation, 15 % reads, 10 % writes with keys, 5 % streams, at a steady pace.

Requests begin when their time has come, however late the answers are, so that who waits is counted. Each write that was
acknowledged is remembered; one that was not is sent again later, with its key.
"""

import asyncio
import contextlib
import itertools
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from uuid import uuid4

import httpx

from tests.faults.asking import BODY, EVALUATE, problem
from tests.waiting import until

PACE = 40  # requests a second
TURNS = [*["evaluate"] * 7, "write", "read", *["evaluate"] * 7, "write", "read", "read", "stream"]
FLAGS = 8  # that are toggled, in turn
CALM = 3  # seconds without a failure, after which all is as before
RESTLESS = 30  # seconds, after which that is not waited for any more
ENOUGH = 5  # writes, after which writing goes on
PATIENCE = 40  # seconds of a client


@dataclass(slots=True)
class Answer:
    """What was answered to a request, and when it was asked and answered."""

    kind: str
    began: float
    ended: float
    status: int

    @property
    def took(self):
        return self.ended - self.began


@dataclass(slots=True)
class Write:
    """A toggle that is to be made once."""

    path: str
    reason: str
    key: str = field(default_factory=lambda: uuid4().hex)


class Mix:
    """All clients of one organization, through the gate."""

    def __init__(self, org):
        self._org, self._web = org, None
        self._token = {"authorization": org.headers["authorization"]}
        self.answers, self.changes, self._again = [], [], deque()
        self._numbers, self._under_way = itertools.count(), set()

    @contextlib.asynccontextmanager
    async def running(self):
        """Ask all the while; when it ends, each write has been acknowledged."""
        await self._flags()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        options = {"base_url": self._org.base_url, "timeout": PATIENCE, "limits": limits}
        async with httpx.AsyncClient(**options) as self._web:
            asking = asyncio.create_task(self._ask())
            try:
                yield self
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                trouble = await asyncio.gather(*self._under_way, return_exceptions=True)
            assert not [t for t in trouble if t], trouble
            await until(self._settled, 120, "each write is acknowledged")

    async def _flags(self):
        self._paths = []
        for n in range(FLAGS):
            made = await until(lambda n=n: self._made(f"w{n}"), 120, "a flag is made")
            self._paths.append(f"/api/v1/feature-flags/{made['id']}")

    async def _made(self, key):
        """Return a new flag, or nothing while it cannot be made."""
        said = await self._org.post("/api/v1/feature-flags", json={"key": key, "name": key})
        if said.status_code != 201:
            problem(said)
            return None
        return said.json()

    async def _ask(self):
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for n in itertools.count():
            await asyncio.sleep(begun + n / PACE - loop.time())
            task = loop.create_task(self._turn(TURNS[n % len(TURNS)]))
            self._under_way.add(task)
            task.add_done_callback(lambda t: t.exception() or self._under_way.discard(t))

    async def _turn(self, kind):
        began = time.monotonic()
        status = await getattr(self, f"_{kind}")()
        self.answers.append(Answer(kind, began, time.monotonic(), status))

    async def _evaluate(self):
        said = await self._web.post(EVALUATE, json=BODY, headers={"x-api-key": self._org.key})
        assert said.status_code != 200 or said.json()["value"] is True, said.text
        return self._status(said)

    async def _read(self):
        return self._status(await self._web.get(self._org.flag, headers=self._token))

    async def _stream(self):
        """Open a stream and hang up after the first line."""
        async with self._web.stream("GET", self._org.stream_of) as said:
            if said.status_code != 200:
                await said.aread()
                return self._status(said)
            async for _ in said.aiter_lines():
                return 200
        return 0

    async def _write(self):
        try:
            write = self._again.popleft()
        except IndexError:
            n = next(self._numbers)
            write = Write(f"{self._paths[n % FLAGS]}/toggle", f"no {n}")
        return await self._sent(write)

    async def _sent(self, write):
        headers = self._token | {"idempotency-key": write.key}
        said = await self._web.post(write.path, json={"reason": write.reason}, headers=headers)
        if said.status_code == 200:
            self.changes.append(write.reason)
        else:
            self._again.append(write)
        return self._status(said)

    @staticmethod
    def _status(said):
        """A refusal says what is the matter. 409: the one before with that key, or of that flag, is still under way."""
        return said.status_code if said.status_code in (200, 409) else problem(said)

    async def _settled(self):
        while self._again:
            if await self._sent(self._again.popleft()) != 200:
                return False
        return True

    async def calm(self, seconds):
        """Wait until writing goes on, and nothing failed for a moment; return when the last failure ended, or 0.0.

        On a machine that is busy with other things there is always something late: then it is given up soon.
        """
        begun = time.monotonic()

        def writes():
            later = self.of("write", begun, time.monotonic())
            return sum(a.status == 200 for a in later) >= ENOUGH

        def still():
            now, last = time.monotonic(), self.failed_last()
            return now - max(last, begun) > CALM or now - begun > RESTLESS

        await until(writes, seconds, "writing goes on")
        await until(still, seconds)
        return self.failed_last()

    def failed_last(self):
        return max((a.ended for a in self.answers if a.status >= 500), default=0.0)

    def of(self, kind, since, before):
        """Return what was answered to the requests of a kind that began in a span."""
        return [a for a in self.answers if a.kind == kind and since <= a.began < before]


def p99(answers):
    """Return the seconds within which 99 of 100 were answered."""
    return sorted(a.took for a in answers)[int(len(answers) * 0.99) - 1]


def statuses(answers):
    return Counter(a.status for a in answers)
