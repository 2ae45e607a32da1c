"""A tenant that asks and asks, whatever it is told: a process of its own, so that nobody else waits for it.

    python -m tests.faults.noise NICE KEY RATE URL…

It asks RATE times a second in all, evenly at the gates. As soon as the quota is used up it prints a line; when its
input ends, what it was told (JSON). `Noise` runs it with what is left of the processor (nice 19), or where that is too
little to use up a quota, with as much as anybody.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

from tests.faults.asking import BODY, EVALUATE, SOON

STARVED = 30  # seconds without a refusal
CALLERS = 16  # that may wait for an answer at the same time
CUT = 0  # in the place of a status
KEPT = 20  # refusals that are told in full


class Noise:
    """The process, while it asks; afterwards `told` is what it was told."""

    def __init__(self, gates, key, rate):
        self._words = (key, str(rate), *(gate.url for gate in gates))

    async def __aenter__(self):
        if not await self._loud(nice=19):
            self._process.kill()
            await self._process.communicate()
            assert await self._loud(nice=0)
        return self

    async def _loud(self, nice):
        """Start it; tell whether the quota was soon used up."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.noise", str(nice)),
            *self._words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(STARVED if nice else SOON):
                return await self._process.stdout.readline() == b"refused\n"
        except TimeoutError:
            return False

    async def __aexit__(self, *_):
        said, _ = await self._process.communicate(b"")  # ends its input
        assert self._process.returncode == 0
        self.told = json.loads(said)


class Caller:
    """Asks one gate, one request after the other, on one connection as long as the gate keeps it.

    Over HTTP/1.1 Envoy ends it with each refusal of a request whose body it has not read.
    """

    def __init__(self, url, key):
        self._at, self._writer = urlsplit(url), None
        body = json.dumps(BODY)
        head = f"POST {EVALUATE} HTTP/1.1\r\nhost: noise\r\nx-api-key: {key}\r\n"
        self._said = (
            f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
        )

    def hang_up(self):
        if self._writer:
            self._writer.transport.abort()
        self._writer = None

    async def ask(self):
        """Return status, header fields and body of an answer."""
        if not self._writer:
            at = self._at.hostname, self._at.port
            self._reader, self._writer = await asyncio.open_connection(*at)
        self._writer.write(self._said.encode())
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines)
        body = await self._reader.readexactly(int(fields["content-length"]))
        if fields.get("connection") == "close":
            self.hang_up()
        return int(status.split()[1]), fields, body.decode()


class Told:
    """What was answered, by status, and some refusals in full."""

    def __init__(self):
        self.begun, self.statuses, self.refusals = time.monotonic(), Counter(), []

    def note(self, status, fields=None, body=""):
        self.statuses[status] += 1
        if status == 429 and self.statuses[status] % 100 == 1 and len(self.refusals) < KEPT:
            self.refusals.append({"fields": fields, "body": body})
        if status == 429 and self.statuses[429] == CALLERS:
            print("refused", flush=True)

    def whole(self):
        took = time.monotonic() - self.begun
        return {"took": took, "statuses": self.statuses, "refusals": self.refusals}


async def call(url, key, pace, told):
    """Ask again and again, `pace` seconds apart where the answers come so soon."""
    caller, turn = Caller(url, key), time.monotonic()
    try:
        while True:
            try:
                told.note(*await caller.ask())
            except (ConnectionError, asyncio.IncompleteReadError):
                told.note(CUT)  # it was closed as we asked
                caller.hang_up()
            turn = max(turn + pace, time.monotonic() - 1)  # what was missed is not made up for long
            await asyncio.sleep(max(0, turn - time.monotonic()))
    finally:
        caller.hang_up()


async def main(nice, key, rate, *urls):
    os.nice(int(nice))
    told, pace = Told(), CALLERS / float(rate)
    tasks = [
        asyncio.create_task(call(urls[n % len(urls)], key, pace, told)) for n in range(CALLERS)
    ]
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    done, _ = await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()  # raises what ended a caller
    print(json.dumps(told.whole()))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
