"""After random wishes and random faults the books and the host agree."""

import os
import random
import time

from tests.faults.machines.loop import Loop


async def test_after_random_wishes_and_faults_the_books_and_the_host_agree(site):
    """A few rounds; SWITCHYARD_MACHINE_FAULTS=100 for more, SWITCHYARD_SEED to repeat a run."""
    seed = int(os.environ.get("SWITCHYARD_SEED", "0")) or time.time_ns() % 10**6
    rounds = int(os.environ.get("SWITCHYARD_MACHINE_FAULTS", "3"))
    print(f"seed {seed}")
    loop = Loop(site, random.Random(seed))
    await loop.begin()
    began = time.monotonic()
    for number in range(rounds):
        await loop.once()
        print(f"round {number + 1} held: {loop.round}", flush=True)
    await loop.end()
    took = (time.monotonic() - began) / rounds
    load = os.getloadavg()[2] / (os.cpu_count() or 1)
    said = f"{took:.1f} s each, the slowest {loop.slowest:.1f} s, seed {seed}, load {load:.1f} a processor"
    print(f"{rounds} rounds held, {said}: {dict(loop.done)}")
    if rounds >= 100 and load < 2:  # a guest without KVM boots as slowly as its neighbours let it
        assert loop.slowest <= 60, "a machine was on its way for longer than a minute"
