"""How failed logins slow down the next attempt on one account from one address. Others are not held up."""

from dataclasses import dataclass

FREE = 5  # attempts at full speed
LONGEST = 60.0  # seconds between two attempts, at most
FORGOTTEN = 15 * 60.0  # seconds without an attempt


@dataclass(frozen=True, slots=True)
class Attempts:
    """How often it was tried without success, and when (seconds) it may be tried again."""

    count: int = 0
    next: float = 0.0


def attempt(before: Attempts, now: float) -> tuple[Attempts, float]:
    """Return the attempts after one more, and how long to wait instead: 0 if it may go ahead."""
    if now - before.next > FORGOTTEN:
        before = Attempts()
    if now < before.next:
        return before, before.next - now
    count = before.count + 1
    return Attempts(count, now + pause(count)), 0.0


def pause(count: int) -> float:
    """Return how long to wait after so many attempts: nothing, then twice as long each time."""
    return 0.0 if count < FREE else min(LONGEST, float(2 ** min(count - FREE, 10)))
