"""Password hashes: argon2id in a bounded pool of threads, so that logins cannot starve everything else.

bcrypt hashes (`$2b$`) from older systems are accepted and, being outdated, replaced at the next login.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chassis.errors import Unavailable
from iam.domain.password import Profile

T = TypeVar("T")
MOST_WAITING = 256
REST_SECONDS = 10.0
_BCRYPT_MOST_BYTES = 72


class TooBusy(Unavailable):
    """More passwords wait to be checked than can be checked in reasonable time."""

    code = "iam.too_busy"


def hasher_for(profile: Profile) -> PasswordHasher:
    """Return argon2id as OWASP's password storage cheat sheet has it (m = 19 MiB, t = 2, p = 1); cheap for tests."""
    if profile == "test":
        return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def give_back() -> None:
    """Return freed memory to the system: the C library keeps what argon2 filled, 19 MiB a thread (glibc only)."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


class PooledPasswords:
    """Hashes and verifies in threads; argon2 and bcrypt let go of the interpreter while they work.

    After `rest` seconds in which nobody asked, the memory that hashing took goes back to the system.
    """

    def __init__(
        self, hasher: PasswordHasher, threads: int | None = None, *, rest: float = REST_SECONDS
    ) -> None:
        self._rest = rest
        self._resting: asyncio.TimerHandle | None = None
        self._hasher = hasher
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, "passwords")
        self._waiting = 0
        self._nobody = hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """Return the hash of a password."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Tell whether a password has this hash; with None it takes as long and says no."""
        if hashed is None:
            await self._run(lambda: self._matches(password, self._nobody))
            return False
        return await self._run(lambda: self._matches(password, hashed))

    def outdated(self, hashed: str) -> bool:
        """Tell whether a hash was made in a way that we would not use today."""
        return not hashed.startswith("$argon2") or self._hasher.check_needs_rehash(hashed)

    def close(self) -> None:
        """End the threads."""
        if self._resting:
            self._resting.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _matches(self, password: str, hashed: str) -> bool:
        if hashed.startswith("$2"):
            raw = password.encode()
            return len(raw) <= _BCRYPT_MOST_BYTES and bcrypt.checkpw(raw, hashed.encode())
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise TooBusy("too many passwords are being checked; try again", retry_after=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1
            self._rest_later()

    def _rest_later(self) -> None:
        if self._resting:
            self._resting.cancel()
        self._resting = asyncio.get_running_loop().call_later(self._rest, give_back)
