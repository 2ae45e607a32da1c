"""Programs started by a process that serves gRPC: grpc/grpc#43055 made one in some hundreds die of a SIGSEGV."""

import subprocess
import sys

PROGRAM = """
import asyncio
from compute.clients.images import run
import uvloop
from grpc import aio

async def main():
    server = aio.server()
    server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print((await run("echo", "done")).strip())
    await server.stop(0)

uvloop.run(main())
"""


def test_a_program_is_started_without_waking_grpc_in_the_child():
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (0, "done\n")
    assert "fork" not in ended.stderr, (
        "gRPC handles forks, and says here that it could not this time"
    )
