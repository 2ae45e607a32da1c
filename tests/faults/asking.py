"""Clients who evaluate while something is broken, and what a refusal has to look like."""

import asyncio
import contextlib
import time

from tests.waiting import until

EVALUATE = "/ofrep/v1/evaluate/flags/f"
BODY = {"context": {"targetingKey": "u"}}
PATIENT = 60  # seconds of a client: more than anything here takes on the slowest machine
SOON = 120  # seconds within which what must happen does, on the slowest machine


class Asking:
    """A client who evaluates again and again, and notes what was answered and how long the slowest took."""

    def __init__(self, web, key):
        self._web, self._key = web, {"x-api-key": key}
        self.served, self.refused, self.took = 0, [], []

    async def ask(self):
        begun = time.monotonic()
        said = await self._web.post(EVALUATE, json=BODY, headers=self._key)
        self.took.append(time.monotonic() - begun)
        if said.status_code == 200:
            assert (said.json()["value"], said.json()["reason"]) == (True, "STATIC"), said.text
            self.served += 1
        else:
            self.refused.append(problem(said))
        return said.status_code == 200

    async def times(self, count):
        for _ in range(count):
            await self.ask()

    @contextlib.asynccontextmanager
    async def always(self, clients):
        """Ask all the while."""
        tasks = [asyncio.create_task(self.times(10**9)) for _ in range(clients)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(e, asyncio.CancelledError) for e in ended), ended

    def slowest(self, share=1.0):
        return sorted(self.took)[max(0, int(len(self.took) * share) - 1)]


def problem(said):
    """Return the status of a refusal, which says what is the matter, and when to come again if that helps."""
    assert said.status_code in (503, 504), said.text
    assert said.headers["content-type"] == "application/problem+json"
    assert said.json()["code"]
    assert said.json()["detail"]
    if said.status_code == 503:
        assert int(said.headers["retry-after"]) >= 1
    return said.status_code


async def known(web, org):
    """Wait until a replica knows an organization, and its key."""

    async def both():
        key = await web.post(EVALUATE, json=BODY, headers={"x-api-key": org.key})
        person = await web.get(org.flag, headers=token(org))
        return (key.status_code, person.status_code) == (200, 200)

    await until(both, SOON, "the replica knows the organization")


def token(org):
    return {"authorization": org.headers["authorization"]}
