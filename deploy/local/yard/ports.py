"""Ports that nobody has.

Internal ports are drawn from below the kernel's own range for outgoing connections: a port from
that range may be taken by any client between being chosen and being used. What was chosen is
remembered (`record`), so addresses are stable from start to start, and two platforms live side by
side.
"""

import secrets
import socket
from collections.abc import Iterable

FROM, TO = 12_000, 32_000


def free(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether a server could listen there (SO_REUSEADDR: old connections do not count,
    listeners do).
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError:
            return False
        return True


def draw(taken: Iterable[int]) -> int:
    """Return a free port that is not in `taken`."""
    known = set(taken)
    while True:
        port = FROM + secrets.randbelow(TO - FROM)
        if port not in known and free(port):
            return port


def assign(
    wanted: Iterable[tuple[str, str]], before: dict[str, dict[str, int]]
) -> dict[str, dict[str, int]]:
    """Give each (owner, door) a port: the one it had `before` if that is still free, else a new
    one.
    """
    given: dict[str, dict[str, int]] = {}
    used: set[int] = set()
    for owner, door in wanted:
        port = before.get(owner, {}).get(door, 0)
        if not port or port in used or not free(port):
            port = draw(used)
        used.add(port)
        given.setdefault(owner, {})[door] = port
    return given
