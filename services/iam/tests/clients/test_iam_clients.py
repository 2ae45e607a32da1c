import asyncio
import os
import subprocess
import sys
from uuid import uuid4

import bcrypt
import pytest

from iam.clients.bell import Bell, redis_at
from iam.clients.passwords import PooledPasswords, TooBusy, hasher_for
from iam.clients.seal import AesSealer
from iam.clients.throttle import MemoryThrottle, RedisThrottle
from iam.domain.throttle import FREE


@pytest.fixture
def passwords():
    made = PooledPasswords(hasher_for("test"), threads=2)
    yield made
    made.close()


async def test_a_password_matches_its_own_hash_only(passwords):
    hashed = await passwords.hash("correct horse")
    assert hashed.startswith("$argon2id$")
    assert await passwords.verify("correct horse", hashed)
    assert not await passwords.verify("correct horsf", hashed)
    assert not await passwords.verify("correct horse", None)
    assert not await passwords.verify("x", "no hash at all")
    assert not passwords.outdated(hashed)


async def test_an_old_bcrypt_hash_is_accepted_and_outdated(passwords):
    hashed = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()
    assert await passwords.verify("correct horse", hashed)
    assert not await passwords.verify("wrong", hashed)
    assert passwords.outdated(hashed)


async def test_no_password_is_cut_to_what_bcrypt_can_see(passwords):
    hashed = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert await passwords.verify("x" * 72, hashed)
    assert not await passwords.verify("x" * 73, hashed)


def test_hashes_in_production_cost_what_the_design_says():
    hasher = hasher_for("standard")
    assert (hasher.time_cost, hasher.memory_cost, hasher.parallelism) == (2, 19 * 1024, 1)


async def test_a_flood_of_logins_is_refused_before_it_piles_up(passwords, monkeypatch):
    monkeypatch.setattr("iam.clients.passwords.MOST_WAITING", 2)
    said = await asyncio.gather(*(passwords.hash("x") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(answer, TooBusy) for answer in said) == 3
    assert await passwords.hash("x")


HASHING = """
import asyncio
from iam.clients.passwords import PooledPasswords, hasher_for
from tests.waiting import until

def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) * 4 >> 10

async def main():
    passwords = PooledPasswords(hasher_for("standard"), threads=2, rest=1)
    await asyncio.gather(*(passwords.hash("x") for _ in range(8)))
    empty = resident_mib()
    await until(lambda: resident_mib() <= empty - 15, what="memory has gone back")
    passwords.close()

asyncio.run(main())
"""


def test_what_hashing_filled_goes_back_when_nobody_logs_in():
    environment = os.environ | {"MALLOC_ARENA_MAX": "1"}  # as services are started
    subprocess.run([sys.executable, "-c", HASHING], env=environment, check=True, timeout=60)


@pytest.fixture(params=["memory", "redis", "redis away"])
async def throttle(request):
    if request.param == "memory":
        yield MemoryThrottle()
        return
    away = request.param == "redis away"
    url = "redis://127.0.0.1:1/0" if away else request.getfixturevalue("redis_url")
    async with redis_at(url) as redis:
        yield RedisThrottle(redis)


async def test_attempts_are_counted_per_account_and_address(throttle):
    account = uuid4().hex
    for _ in range(FREE):
        assert await throttle.attempt(account, "10.0.0.1") == 0
    assert 0 < await throttle.attempt(account.upper(), "10.0.0.1") <= 1
    assert await throttle.attempt(account, "10.0.0.2") == 0
    assert await throttle.attempt(account + "x", "10.0.0.1") == 0
    await throttle.clear(account, "10.0.0.1")
    assert await throttle.attempt(account, "10.0.0.1") == 0


async def test_attempts_at_once_cannot_slip_past_the_count(throttle):
    account = uuid4().hex
    waits = await asyncio.gather(*(throttle.attempt(account, "10.0.0.1") for _ in range(20)))
    assert sum(wait == 0 for wait in waits) == FREE


def test_what_is_sealed_opens_with_its_secret_and_for_its_purpose_only():
    sealer = AesSealer("secret", "keys")
    sealed = sealer.seal(b"private", "kid")
    assert b"private" not in sealed
    assert sealer.unseal(sealed, "kid") == b"private"
    assert sealer.unseal(sealed, "other") is None
    assert AesSealer("other", "keys").unseal(sealed, "kid") is None
    assert AesSealer("secret", "other").unseal(sealed, "kid") is None
    assert sealer.unseal(b"short", "kid") is None


async def test_the_bell_of_one_replica_is_heard_by_the_others(redis_url):
    heard = asyncio.Event()
    async with redis_at(redis_url) as one, redis_at(redis_url) as two:
        here, there = Bell(one, lambda: None), Bell(two, heard.set)
        tasks = [asyncio.create_task(here.tell()), asyncio.create_task(there.listen())]
        async with asyncio.timeout(10):
            while not heard.is_set():
                here.ring()
                await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
