"""The replica of iam's authority that every service holds: keys, subjects, ended sessions, signing keys, tenants.

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

from chassis.tokens import public_key
from switchyard.iam.v1 import iam_pb2 as pb
from switchyard.iam.v1 import iam_pb2_grpc

log = logging.getLogger(__name__)

FRESH = 5.0  # seconds since the last sign of life from iam
USABLE = 15 * 60.0
PRUNE = 1000  # ended sessions, from which on old ones are looked for
AGE = Gauge("authority_age_seconds", "How long ago iam was last heard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Somebody who can hold permissions, in one tenant."""

    id: str
    tenant: str
    active: bool
    name: str
    roles: tuple[str, ...]
    permissions: frozenset[str]
    platform: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One version of an API key; `expires` in seconds since the epoch, None for never."""

    hash: str
    id: str
    tenant: str
    kind: str
    environment: str
    project: str
    scopes: frozenset[str]
    expires: float | None
    subject: str
    name: str


@dataclass(slots=True)
class State:
    """Everything known, by id."""

    signing_keys: dict[str, ECKey] = field(default_factory=dict[str, ECKey])
    subjects: dict[str, Subject] = field(default_factory=dict[str, Subject])
    keys: dict[str, ApiKey] = field(default_factory=dict[str, ApiKey])
    ended: dict[str, float] = field(default_factory=dict[str, float])
    tenants: dict[str, pb.Tenant] = field(default_factory=dict[str, pb.Tenant])


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
            self.state, self._next = self._next, None
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

    async def follow(self, stub: "iam_pb2_grpc.IamAsyncStub") -> None:
        """Keep the replica fresh until cancelled; come back after every break."""
        pause = 0.05
        while True:
            self.begin()
            try:
                async for event in stub.Snapshot(pb.SnapshotRequest()):
                    await self.apply(event)
                    pause = 0.05
            except aio.AioRpcError as broken:
                if broken.code() is not grpc.StatusCode.UNAVAILABLE:
                    log.warning("iam's stream ended: %s", broken.details())
            AGE.set(min(self.age, 1e9))
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(pause * 2, 2.0)


def _touches_signing(event: pb.SnapshotEvent) -> bool:
    kind = event.WhichOneof("event")
    gone = kind == "gone" and event.gone.kind == pb.KIND_SIGNING_KEY
    return gone or kind in ("ready", "signing_key")


def put(state: State, event: pb.SnapshotEvent) -> None:
    """Enter one event into a state."""
    match event.WhichOneof("event"):
        case "signing_key":
            state.signing_keys[event.signing_key.kid] = public_key(event.signing_key.jwk)
        case "subject":
            state.subjects[event.subject.id] = _subject(event.subject)
        case "api_key":
            state.keys[event.api_key.hash] = key_of(event.api_key)
        case "session":
            state.ended[event.session.sid] = seconds(event.session.until)
        case "tenant":
            state.tenants[event.tenant.id] = event.tenant
        case "gone":
            _forget(state, event.gone)
        case _:
            return  # something a newer iam says


def key_of(key: pb.ApiKey) -> ApiKey:
    """Return a key as the wire describes it."""
    return ApiKey(
        hash=key.hash,
        id=key.id,
        tenant=key.tenant_id,
        kind=key.kind,
        environment=key.environment,
        project=key.project,
        scopes=frozenset(key.scopes),
        expires=seconds(key.expires_at) if key.HasField("expires_at") else None,
        subject=key.subject_id,
        name=key.name,
    )


def seconds(at: Timestamp) -> float:
    """Return a timestamp in seconds since the epoch."""
    return at.ToDatetime(UTC).timestamp()


def stamp(at: datetime) -> Timestamp:
    """Return an aware datetime as the wire's timestamp."""
    made = Timestamp()
    made.FromDatetime(at.astimezone(UTC))
    return made


def _subject(subject: pb.Subject) -> Subject:
    return Subject(
        id=subject.id,
        tenant=subject.tenant_id,
        active=subject.active,
        name=subject.name,
        roles=tuple(subject.roles),
        permissions=frozenset(subject.permissions),
        platform=subject.platform,
    )


def _forget(state: State, gone: pb.Gone) -> None:
    shelves = {
        pb.KIND_SIGNING_KEY: state.signing_keys,
        pb.KIND_SUBJECT: state.subjects,
        pb.KIND_API_KEY: state.keys,
        pb.KIND_SESSION: state.ended,
        pb.KIND_TENANT: state.tenants,
    }
    if (shelf := shelves.get(gone.kind)) is not None:
        shelf.pop(gone.id, None)
