"""How long it takes from a power action to the state that was asked for, through the gateway, with a real guest.

    python -m yard with -- python benchmarks/compute_power.py [--times 10]

Target: at most 1 s beyond the guest's own time. A guest takes no time of its own to pause and to go on, so those show
what the platform takes: the request, the reconciler, QEMU's monitor, and the operation's end, waited for with `?wait=`.
Of a stop, the guest's own time is until its QEMU has ended it; of a start, until it says that it is up. Printed are
milliseconds, and the load of the machine, on which other work may run.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.machines import VMS, act, gone, order, shown
from tests.newcomer import Patient, registered
from tests.waiting import until

LONG = 300


async def main(times):
    """Print a line for each action."""
    url = os.environ["SWITCHYARD_URL"]
    async with httpx.AsyncClient(base_url=url, timeout=60, transport=Patient()) as web:
        await registered(web)
        org = SimpleNamespace(web=web)

        async def offered():
            return (await web.get("/api/v1/vm-templates")).json()["items"]

        vm = await order(org, (await until(offered, LONG))[0], until)
        try:
            await shown(org, vm["id"], "RUNNING", until, LONG)
            await measured(org, vm, ("pause", "resume"), times)
            await measured(org, vm, ("stop", "start"), max(2, times // 5))
        finally:
            await gone(org, vm, until)


async def measured(org, vm, actions, times):
    """Do two actions in turn, and print how long each took."""
    taken = {action: [] for action in actions}
    for _ in range(times):
        for action in actions:
            begun = time.perf_counter()
            await act(org, vm, action)
            taken[action].append(1000 * (time.perf_counter() - begun))
            assert (await org.web.get(f"{VMS}/{vm['id']}")).json()["status_detail"] in SHOWN
    for action, all_ in taken.items():
        figures = f"{statistics.median(all_):7.0f} ms median {max(all_):7.0f} ms at most"
        print(f"{action:8} {figures} of {times}, load {os.getloadavg()[0]:.1f}", flush=True)


SHOWN = (None, "paused")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10)
    asyncio.run(main(parser.parse_args().times))
