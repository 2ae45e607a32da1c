"""How many may wait for news at once: few with one credential, not too many together."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

EACH, TOGETHER = 8, 256


@dataclass(slots=True)
class Queue:
    """Places to wait in."""

    _waiting: Counter[str] = field(default_factory=Counter[str])

    @contextmanager
    def place(self, who: str) -> Generator[bool]:
        """Take a place while the block runs; False if there is none left for them."""
        if self._waiting[who] >= EACH or self._waiting.total() >= TOGETHER:
            yield False
            return
        self._waiting[who] += 1
        try:
            yield True
        finally:
            self._waiting[who] -= 1
            self._waiting += Counter()  # forget who waits no more
