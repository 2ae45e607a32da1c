"""A tenant that asks and asks, from a process of its own that takes only the time which nobody else wants.

It stands for clients elsewhere, so what they cost themselves is not to be felt here; what they cost the gate is.

    python -m tests.faults.noise KEY A_SECOND URL…    says "loud" once it is refused; at SIGTERM, what it was answered
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

from tests.faults.asking import BODY, EVALUATE

CONNECTIONS = 24  # to each gate
LOUD = 16  # refusals
KEPT = 20  # refusals of which all is told
REQUEST = (
    "POST {path} HTTP/1.1\r\nhost: gate\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n"
    "content-length: {length}\r\n\r\n{body}"
)


class Noise:
    """All connections; each asks when its time has come, or later when the answer is late."""

    def __init__(self, key, rate, urls):
        body = json.dumps(BODY)
        self._request = REQUEST.format(path=EVALUATE, key=key, length=len(body), body=body).encode()
        self._urls, self._every = urls, CONNECTIONS * len(urls) / rate
        self.told, self.kept = Counter(), []

    async def make(self):
        """Ask until cancelled."""
        callers = [self._call(url, n) for url in self._urls for n in range(CONNECTIONS)]
        await asyncio.gather(*callers)

    async def _call(self, url, number):
        where, loop = urlsplit(url), asyncio.get_running_loop()
        begun = loop.time() + self._every * number / CONNECTIONS
        turns = itertools.count()
        while True:  # the gate hangs up on who is refused before his body was read
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection(where.hostname, where.port)
                with contextlib.closing(writer):
                    for n in turns:
                        await asyncio.sleep(begun + n * self._every - loop.time())
                        writer.write(self._request)
                        self._hear(*await answer(reader))

    def _hear(self, status, head, body):
        self.told[status] += 1
        if status != 200 and len(self.kept) < KEPT:
            self.kept.append({"status": status, "headers": head, "body": body})
        if status == 429 and self.told[429] == LOUD:
            print("loud", flush=True)


async def answer(reader):
    """Read an answer: status, headers by their small names, body."""
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    head = {k.lower(): v for k, _, v in (line.partition(": ") for line in rest)}
    body = await reader.readexactly(int(head["content-length"]))
    return int(first.split()[1]), head, body.decode()


async def main():
    os.nice(19)
    noise = Noise(sys.argv[1], float(sys.argv[2]), sys.argv[3:])
    making, begun = asyncio.create_task(noise.make()), time.monotonic()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, making.cancel)
    await asyncio.wait({making})
    if not making.cancelled():
        making.result()
    seconds = time.monotonic() - begun
    print(json.dumps({"told": noise.told, "kept": noise.kept, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
