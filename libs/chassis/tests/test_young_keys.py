import grpc
import pytest
from grpc import aio

from authz.apikeys import mint
from chassis.authority import Authority
from chassis.frame import tell_usage
from chassis.identity import BadKey, Identity, NoAuthority
from chassis.tokens import Verifier


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


async def test_while_iam_is_away_the_use_of_keys_waits(iam, identity):
    identity.used.seen.add("a")
    iam.trouble = grpc.StatusCode.UNAVAILABLE
    await tell_usage(identity)
    iam.trouble = None
    await tell_usage(identity)
    await tell_usage(identity)
    assert iam.told == [["a"]]


async def test_iam_is_asked_once_about_a_key_that_it_does_not_know(iam, identity, clock):
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
