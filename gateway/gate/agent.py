"""The agent beside Envoy: API keys from iam's snapshot stream into the key log.

Subscribe, take the whole state up to `ready`, then each change; a heart-beat of iam becomes one in the
log. When the stream breaks the heart-beats stop, the log goes stale, and the Lua answers
accordingly; the agent connects again and appends what has changed meanwhile.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from gate.keylog import Key, KeyLog
from switchyard.iam.v1 import iam_pb2 as pb
from switchyard.iam.v1 import iam_pb2_grpc as rpc

# iam beats every second; a stream that has been silent for this long is taken for dead.
SILENCE = 5.0
PAUSES = (0.1, 2.0)
KEEPALIVE = (("grpc.keepalive_time_ms", 10_000), ("grpc.keepalive_timeout_ms", 2_000))
Events = AsyncIterator[pb.SnapshotEvent]
Sign = Callable[[str, str, str, float], str]
SNAPSHOT = "/switchyard.iam.v1.Iam/Snapshot"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where iam is, where the log goes, and the secret that proves who is asking."""

    iam: str
    folder: Path
    secret: str
    silence: float = SILENCE


def settings(environment: Mapping[str, str]) -> Settings:
    """Read the agent's settings; `KeyError` names what is missing."""
    shared = environment.get("SWITCHYARD_IAM_ADDRESS")
    return Settings(
        iam=environment.get("GATE_IAM_ADDRESS") or shared or environment["GATE_IAM_ADDRESS"],
        folder=Path(environment["GATE_KEYLOG_DIR"]),
        secret=environment["SWITCHYARD_MESH_SECRET"],
    )


async def main(environment: Mapping[str, str]) -> None:
    """Replicate until SIGTERM."""
    from chassis.mesh import sign

    place = settings(environment)
    task = asyncio.create_task(replicate(place, sign, KeyLog(place.folder)))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def replicate(place: Settings, sign: Sign, log: KeyLog) -> None:
    """Follow iam for ever, through broken streams and failed writes."""
    pause = PAUSES[0]
    while True:
        began = time.monotonic()
        try:
            await _connected(place, sign, log)
        except (grpc.aio.AioRpcError, TimeoutError) as error:
            _say("iam is away", error)
        except OSError as error:
            # The last line may be torn: nothing may be appended to this log any more.
            log.close()
            _say("the key log cannot be written", error)
        pause = PAUSES[0] if time.monotonic() - began > SILENCE else min(pause * 2, PAUSES[1])
        await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter, not a secret


async def _connected(place: Settings, sign: Sign, log: KeyLog) -> None:
    async with grpc.aio.insecure_channel(place.iam, options=KEEPALIVE) as channel:
        proof = sign(place.secret, "gateway", SNAPSHOT, time.time())
        request = pb.SnapshotRequest(kinds=[pb.KIND_API_KEY], batched=True)
        stream = rpc.IamStub(channel).Snapshot(request, metadata=(("x-mesh", proof),))
        await follow(aiter(stream), log, place.silence)


async def follow(events: Events, log: KeyLog, silence: float = SILENCE) -> None:
    """Write one stream's events into the log until the stream ends or falls silent."""
    log.replace(await _whole(events, silence))
    while event := await _next(events, silence):
        _apply(event, log)


async def _whole(events: Events, silence: float) -> dict[str, Key]:
    """Return the keys of the initial state, by hash."""
    keys: dict[str, Key] = {}
    while event := await _next(events, silence):
        match event.WhichOneof("event"):
            case "api_key":
                _keep(event.api_key, keys)
            case "batch":
                for one in event.batch.events:
                    _keep(one.api_key, keys)
            case "gone":
                keys.pop(event.gone.id, None)
            case "ready":
                return keys
            case _:
                pass
    raise TimeoutError("the stream ended before the state was whole")


def _keep(key: pb.ApiKey, keys: dict[str, Key]) -> None:
    known = to_key(key)
    if known:
        keys[known.hash] = known


def _apply(event: pb.SnapshotEvent, log: KeyLog) -> None:
    match event.WhichOneof("event"):
        case "api_key":
            if key := to_key(event.api_key):
                log.put(key)
            else:
                log.drop(event.api_key.hash)
        case "gone" if event.gone.kind == pb.KIND_API_KEY:
            log.drop(event.gone.id)
        case "heartbeat":
            log.beat()
        case _:
            pass


async def _next(events: Events, silence: float) -> pb.SnapshotEvent | None:
    """Return the next event, None at the end; `TimeoutError` when iam has fallen silent."""
    async with asyncio.timeout(silence):
        return await anext(events, None)


def to_key(key: pb.ApiKey) -> Key | None:
    """Return what the gate keeps of a key; None (and a word in the log) if it cannot be kept."""
    expires = int(key.expires_at.ToMilliseconds()) if key.HasField("expires_at") else 0
    known = Key(key.hash, key.id, key.tenant_id, expires, tuple(key.scopes))
    try:
        known.line()
    except ValueError as error:
        _say("a key was left out", error)
        return None
    return known


def _say(what: str, error: BaseException) -> None:
    reason = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
    line = {"level": "warning", "logger": "gate.agent", "message": what, "reason": reason}
    print(json.dumps({**line, "at": time.time(), "pid": os.getpid()}), file=sys.stderr, flush=True)
