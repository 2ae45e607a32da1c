import asyncio

import grpc
import pytest
from grpc import aio

from authz.apikeys import mint
from chassis.authority import Authority
from chassis.identity import BadKey, Identity, NoAuthority
from chassis.tokens import Verifier
from chassis.usage import AGAIN, MOST, Usage


class Iam:
    """What iam would answer; counts what it is asked."""

    def __init__(self):
        self.told = []
        self.asked = 0
        self.trouble = None

    async def NoteKeyUse(self, request, timeout):
        self._fail()
        self.told.append(list(request.key_ids))

    async def ResolveKey(self, request, timeout):
        self.asked += 1
        self._fail()

    def _fail(self):
        if self.trouble:
            raise aio.AioRpcError(self.trouble, None, None)


@pytest.fixture
def iam():
    return Iam()


@pytest.fixture
def clock():
    def now():
        return now.at

    now.at = 1000.0
    return now


@pytest.fixture
def identity(iam, clock):
    return Identity(Authority(), Verifier("i", "a"), iam, clock)


@pytest.fixture
def usage(identity, clock):
    return Usage(identity, clock)


async def test_a_key_is_told_of_once_a_minute_however_often_it_is_used(iam, identity, usage, clock):
    for second in range(130):
        identity.used.update({"a"} if second else {"a", "b"})
        await usage.tell()
        clock.at += 1
    assert iam.told == [["a", "b"], ["a"], ["a"]]


async def test_a_key_that_is_used_no_more_is_told_of_no_more(iam, identity, usage, clock):
    identity.used.add("a")
    await usage.tell()
    clock.at += AGAIN + 1
    await usage.tell()
    assert iam.told == [["a"]]


async def test_while_iam_is_away_what_was_noted_waits(iam, identity, usage):
    identity.used.add("a")
    iam.trouble = grpc.StatusCode.UNAVAILABLE
    await usage.tell()
    iam.trouble = None
    await usage.tell()
    assert iam.told == [["a"]]


async def test_more_than_one_message_holds_is_told_in_several(iam, identity, usage):
    identity.used.update(f"{n:05}" for n in range(MOST + 1))
    await usage.tell()
    await usage.tell()
    assert [len(told) for told in iam.told] == [MOST, 1]


async def test_what_is_noted_is_told_before_the_end(iam, identity, usage):
    job = asyncio.create_task(usage.run())
    await asyncio.sleep(0)
    identity.used.add("a")
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)
    assert iam.told == [["a"]]


async def test_iam_is_asked_once_about_a_key_that_it_does_not_know(iam, identity, clock):
    identity.authority.begin()
    _, key = mint("server")
    iam.trouble = grpc.StatusCode.NOT_FOUND
    for _ in range(3):
        with pytest.raises(BadKey):
            await identity._resolve(key)
    assert iam.asked == 1
    clock.at += 11
    with pytest.raises(BadKey):
        await identity._resolve(key)
    assert iam.asked == 2


async def test_an_iam_that_is_away_is_asked_again_at_once(iam, identity):
    _, key = mint("server")
    iam.trouble = grpc.StatusCode.UNAVAILABLE
    for _ in range(2):
        with pytest.raises(NoAuthority):
            await identity._resolve(key)
    assert iam.asked == 2
