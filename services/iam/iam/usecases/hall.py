"""The hall: how many are connected to this process at once, and how many may be."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from iam.domain.socket_errors import SocketsFull, TooManySockets


@dataclass(slots=True)
class Hall:
    """Counts WebSockets, and streams of authority to other services."""

    per_account: int = 20
    per_process: int = 2000
    sockets: int = 0
    streams: int = 0
    _taken: Counter[str] = field(default_factory=Counter[str])

    @contextmanager
    def seat(self, account: str) -> Generator[None]:
        """Hold a WebSocket of an account; TooManySockets or SocketsFull if there is no place for one more."""
        if self._taken[account] >= self.per_account:
            raise TooManySockets(
                f"{self.per_account} WebSockets of this account are open; close one", retry_after=5
            )
        if self.sockets >= self.per_process:
            raise SocketsFull("this replica can hold no more WebSockets", retry_after=2)
        self.sockets += 1
        self._taken[account] += 1
        try:
            yield
        finally:
            self.sockets -= 1
            self._taken[account] -= 1
            if not self._taken[account]:
                del self._taken[account]

    @contextmanager
    def stream(self) -> Generator[None]:
        """Hold a stream."""
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1
