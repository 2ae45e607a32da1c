"""The replica of iam's authority that every service holds: who holds what (see `authz.replica`), and what vouches.

`follow` keeps it fresh from iam's Snapshot stream; requests only read it. The first part of a stream is the whole state
and is taken over at once when it is complete, so a reader never sees half of it. When iam is away the replica goes on
with what it knows, for as long as `usable` allows; it says how old that is.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio
from joserfc.jwk import ECKey
from prometheus_client import Gauge

from authz.queue import Queue
from authz.replica import Replica
from authz.told import enter
from chassis.tokens import public_key
from switchyard.iam.v1 import iam_pb2 as pb
from switchyard.iam.v1 import iam_pb2_grpc

log = logging.getLogger(__name__)

FRESH = 5.0  # seconds since the last sign of life from iam
USABLE = 15 * 60.0
FAR = 10_000  # changes that we may be behind and still catch up within a second
PRUNE = 1000  # ended sessions, from which on old ones are looked for
AGE = Gauge("authority_age_seconds", "How long ago iam was last heard")


@dataclass(slots=True)
class State(Replica):
    """Everything known, by id."""

    signing_keys: dict[str, ECKey] = field(default_factory=dict[str, ECKey])


class Authority:
    """The replica. Reads are plain dictionary look-ups in `state`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.state = State()
        self.epoch = 0
        # Grow with each change, and with each that touches signing keys: what was derived before may be wrong.
        self.generation = 0
        self.signing_generation = 0
        self._prune_at = PRUNE
        self._clock = clock
        self._heard: float | None = None
        self._next: State | None = None
        self._changed = asyncio.Condition()
        self._queue = Queue()

    @property
    def age(self) -> float:
        """Seconds since iam was last heard; infinite before the first whole state."""
        return float("inf") if self._heard is None else self._clock() - self._heard

    @property
    def fresh(self) -> bool:
        """Whether what we do not know can be taken not to exist."""
        return self.age <= FRESH

    @property
    def usable(self) -> bool:
        """Whether decisions may still be made from this replica."""
        return self.age <= USABLE

    def begin(self) -> None:
        """Start taking a whole state; the present one stays in force until the new one is complete."""
        self._next = State()

    async def apply(self, event: pb.SnapshotEvent) -> None:
        """Take over one event of the stream."""
        kind = event.WhichOneof("event")
        if kind == "ready" and self._next is not None:
            self.state, self._next, self.epoch = self._next, None, 0
        elif kind not in ("ready", "heartbeat"):
            put(self._next or self.state, event)
        if self._next is None:
            self._heard = self._clock()
            self.epoch = max(self.epoch, event.epoch)
            if kind != "heartbeat":
                self.generation += 1
                self.signing_generation += _touches_signing(event)
                self._forget_old_sessions()
            async with self._changed:
                self._changed.notify_all()

    def _forget_old_sessions(self) -> None:
        """Forget ended sessions whose last token has expired, now and then."""
        if len(self.state.ended) >= self._prune_at:
            now = time.time()
            self.state.ended = {sid: at for sid, at in self.state.ended.items() if at > now}
            self._prune_at = max(PRUNE, 2 * len(self.state.ended))

    async def until(self, known: Callable[[State], bool], seconds: float = 1.0) -> bool:
        """Wait until something is known, but not longer than `seconds`; tell whether it is."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: known(self.state))
        except TimeoutError:
            return False
        return True

    async def reach(self, epoch: int, who: str) -> bool:
        """Wait until changes up to `epoch` are known; tell whether they are.

        A position that is far ahead is not waited for, nor are many by one credential: there may be no such change.
        """
        if self.epoch >= epoch:
            return True
        with self._queue.place(who) as free:
            near = free and epoch <= self.epoch + FAR
            return near and await self.until(lambda _: self.epoch >= epoch)

    async def follow(self, stub: "iam_pb2_grpc.IamAsyncStub") -> None:
        """Keep the replica fresh until cancelled; come back after every break."""
        pause = 0.05
        while True:
            self.begin()
            try:
                async for event in stub.Snapshot(pb.SnapshotRequest(batched=True)):
                    await self.apply(event)
                    pause = 0.05
            except aio.AioRpcError as broken:
                if broken.code() is not grpc.StatusCode.UNAVAILABLE:
                    log.warning("iam's stream ended: %s", broken.details())
            AGE.set(min(self.age, 1e9))
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(pause * 2, 2.0)


def _touches_signing(event: pb.SnapshotEvent) -> bool:
    gone = event.gone.kind == pb.KIND_SIGNING_KEY
    return gone or event.WhichOneof("event") in ("ready", "signing_key", "batch")


def put(state: State, event: pb.SnapshotEvent) -> None:
    """Enter one event, or each of a batch, into a state."""
    for one in event.batch.events or (event,):
        if one.WhichOneof("event") == "signing_key":
            state.signing_keys[one.signing_key.kid] = public_key(one.signing_key.jwk)
        elif one.gone.kind == pb.KIND_SIGNING_KEY:
            state.signing_keys.pop(one.gone.id, None)
        else:
            enter(state, one)


def stamp(at: datetime) -> Timestamp:
    """Return an aware datetime as the wire's timestamp."""
    made = Timestamp()
    made.FromDatetime(at.astimezone(UTC))
    return made
