"""A platform in a network namespace where there is nothing but loopback: it starts, works and asks nobody (R27)."""

import asyncio
import os
import sys

import pytest

from tests.faults.replicas import ROOT

# Inside the namespace: switch loopback on, start a platform, do the main job, and tell how often a way out was wanted
# (the kernel counts what has no route).
INSIDE = """
import fcntl, pathlib, socket, struct, subprocess, sys
with socket.socket() as it:
    fcntl.ioctl(it, 0x8914, struct.pack("16sH14x", b"lo", 1 | 64))  # SIOCSIFFLAGS: up, running
test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/journeys/test_main_job.py"]
done = subprocess.run([sys.executable, "-m", "yard", "with", "--", *test])
names, values = [line.split() for line in pathlib.Path("/proc/net/snmp").read_text().splitlines()][:2]
six = dict(line.split() for line in pathlib.Path("/proc/net/snmp6").read_text().splitlines())
out = int(dict(zip(names, values))["OutNoRoutes"]) + int(six["Ip6OutNoRoutes"])
print("passed" if done.returncode == 0 else "failed", "wanted out:", out, flush=True)
"""


async def test_it_starts_and_works_with_no_network_and_asks_nobody_outside(finding):
    if (why := await cannot_unshare()) is not None:
        pytest.skip(f"no network namespace can be made here: {why}")
    # A platform of its own: nothing of the one that this test runs beside.
    env = {k: v for k, v in os.environ.items() if "_URL" not in k and "SWITCHYARD" not in k}
    said = await run("unshare", "--net", sys.executable, "-c", INSIDE, env=env)
    assert said.splitlines()[-1] == "passed wanted out: 0", said[-3000:]
    finding(
        "R27",
        "a platform started where there is nothing but loopback, and the main job done on it",
        "all works; the kernel saw nobody ask for a way out",
    )


async def cannot_unshare():
    try:
        said = await run("unshare", "--net", sys.executable, "-c", "print('made')")
    except FileNotFoundError as missing:
        return str(missing)
    return None if said.strip() == "made" else said.strip()


async def run(*command, env=None):
    """Run a program to its end and return what it said."""
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
    process = await asyncio.create_subprocess_exec(*command, env=env, cwd=ROOT, **pipes)
    return (await process.communicate())[0].decode()
