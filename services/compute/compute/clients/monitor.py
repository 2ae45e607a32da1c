"""Short talks with a guest's QEMU over QMP. QEMU serves one client at a time, so nobody stays on the line."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient, QMPError
from qemu.qmp.qmp_client import ExecuteError

from compute.clients.home import MONITOR
from compute.ports.hypervisor import HostTrouble

PATIENCE = 2.0
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)  # what goes wrong is told by who asked


class Silent(Exception):
    """The monitor does not answer in time, or at all."""


async def ask(home: Path, command: str, **said: Any) -> Any:  # noqa: ANN401 - QMP is JSON
    """Return what QEMU answers to one command. Silent: it does not; HostTrouble: it refuses, and says why."""
    try:
        async with asyncio.timeout(PATIENCE), _talk(home) as client:
            return await client.execute(command, said or None)
    except ExecuteError as refused:
        raise HostTrouble(str(refused)) from refused
    except (QMPError, OSError, TimeoutError, EOFError) as error:
        raise Silent(f"{command}: {error}") from error


@asynccontextmanager
async def _talk(home: Path) -> AsyncGenerator[QMPClient]:
    client = QMPClient(home.name)
    line = dialled(home / MONITOR)
    await client.connect(line)
    try:
        yield client
    finally:
        with suppress(QMPError, OSError, EOFError):
            await client.disconnect()


def dialled(path: Path) -> socket.socket:
    """Return a connection to a Unix socket, however long the path is (the kernel takes 107 bytes of it)."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    line = socket.socket(socket.AF_UNIX)
    try:
        line.setblocking(False)
        line.connect(f"/proc/self/fd/{folder}/{path.name}")
    except BaseException:
        line.close()
        raise
    finally:
        os.close(folder)
    return line
