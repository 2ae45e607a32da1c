"""The key log, and the agent that fills it from iam's stream."""

import asyncio
import hashlib
import time

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.mesh import sign, verify
from gate import agent
from gate import keylog as module
from gate.keylog import Key, KeyLog
from switchyard.iam.v1 import iam_pb2 as pb
from switchyard.iam.v1 import iam_pb2_grpc as rpc


def hash_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def key(name: str, **fields) -> Key:
    return Key(hash_of(name), name, **{"tenant": "acme", **fields})


def lines(folder) -> list[str]:
    return (folder / (folder / "epoch").read_text().strip()).read_text().splitlines()


def known(folder) -> set[str]:
    """Read the log as the Lua does: the ids of the keys it says."""
    table: dict[str, str] = {}
    for line in lines(folder):
        op, words = line[0], line[1:].split()
        if op == "+":
            table[words[0]] = words[1]
        elif op == "-":
            table.pop(words[0], None)
    return set(table.values())


def test_a_log_says_what_it_was_told(tmp_path):
    log = KeyLog(tmp_path, clock=lambda: 12.5)
    log.replace({k.hash: k for k in (key("a"), key("b", expires=7, scopes=("x:y", "z:w")))})
    assert lines(tmp_path) == [
        f"+{hash_of('a')} a acme 0 -",
        f"+{hash_of('b')} b acme 7 x:y,z:w",
        "@12500",
    ]
    log.drop(hash_of("a"))
    log.put(key("c"))
    assert known(tmp_path) == {"b", "c"}
    log.drop(hash_of("never heard of"))
    assert known(tmp_path) == {"b", "c"}


def test_replacing_appends_only_what_differs(tmp_path):
    log = KeyLog(tmp_path)
    log.replace({k.hash: k for k in (key("a"), key("b"))})
    epoch, before = (tmp_path / "epoch").read_text(), len(lines(tmp_path))
    log.replace({k.hash: k for k in (key("b"), key("c"))})
    assert (tmp_path / "epoch").read_text() == epoch
    assert len(lines(tmp_path)) == before + 3
    assert known(tmp_path) == {"b", "c"}


def test_a_long_log_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SPARE_LINES", 10)
    log = KeyLog(tmp_path)
    log.replace({hash_of("a"): key("a")})
    first = (tmp_path / "epoch").read_text()
    for _ in range(20):
        log.put(key("b"))
    log.drop(hash_of("a"))
    assert (tmp_path / "epoch").read_text() != first
    assert known(tmp_path) == {"b"}
    assert len(lines(tmp_path)) < 20
    assert len(list(tmp_path.glob("log.*"))) == 1


def test_after_a_failed_write_a_new_log_is_begun(tmp_path):
    log = KeyLog(tmp_path)
    log.replace({hash_of("a"): key("a")})
    first = (tmp_path / "epoch").read_text()
    log.close()
    with pytest.raises(OSError, match="descriptor"):
        log.put(key("b"))
    log.replace({hash_of("b"): key("b")})
    assert (tmp_path / "epoch").read_text() != first
    assert known(tmp_path) == {"b"}


@pytest.mark.parametrize(
    "bad",
    [
        key("a b"),
        key("a\n+"),
        key("a", tenant=""),
        key("a", scopes=("x\ty",)),
        Key("f" * 63, "a", "acme"),
        Key("F" * 64, "a", "acme"),
    ],
)
def test_what_would_not_survive_in_a_line_is_refused(bad):
    with pytest.raises(ValueError, match="does not fit"):
        bad.line()


class Iam(rpc.IamServicer):
    """An iam of the test's own: streams the events that it is given, connection by connection."""

    def __init__(self):
        self.streams: list[asyncio.Queue] = []
        self.metadata: list[dict] = []
        self.kinds: list[list[int]] = []
        self.batched: list[bool] = []
        self.first: list[pb.SnapshotEvent] = [ready()]

    async def Snapshot(self, request, context):
        queue = asyncio.Queue()
        self.streams.append(queue)
        self.metadata.append(dict(context.invocation_metadata()))
        self.kinds.append(list(request.kinds))
        self.batched.append(request.batched)
        for event in list(self.first):
            yield event
        while event := await queue.get():
            yield event


def ready():
    return pb.SnapshotEvent(ready=pb.Ready())


def heartbeat():
    return pb.SnapshotEvent(heartbeat=pb.Heartbeat())


def wire(name: str, **fields):
    given = {"tenant_id": "acme", "scopes": ["flag:evaluate"], **fields}
    return pb.SnapshotEvent(api_key=pb.ApiKey(hash=hash_of(name), id=name, **given))


def gone(name: str):
    return pb.SnapshotEvent(gone=pb.Gone(kind=pb.KIND_API_KEY, id=hash_of(name)))


async def until(condition, within: float = 8):
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def iam():
    servicer, server = Iam(), grpc.aio.server()
    rpc.add_IamServicer_to_server(servicer, server)
    servicer.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield servicer
    for queue in servicer.streams:
        queue.put_nowait(None)
    await server.stop(0)


class Disk(KeyLog):
    """A log on a disk that may be full."""

    full = False

    def beat(self):
        if self.full:
            raise OSError(28, "No space left on device")
        super().beat()


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)


@pytest.fixture
async def replica(iam, disk, tmp_path):
    """A running agent; the folder of its log."""
    place = agent.Settings(f"127.0.0.1:{iam.port}", tmp_path, "secret" * 8, silence=0.5)
    task = asyncio.create_task(agent.replicate(place, sign, disk))
    yield tmp_path
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def keeps(folder, names) -> bool:
    return (folder / "epoch").exists() and known(folder) == names


async def test_the_agent_keeps_the_whole_state_and_follows_it(iam, replica):
    iam.first = [wire("a"), wire("b"), ready()]
    await until(lambda: keeps(replica, {"a", "b"}))
    assert verify("secret" * 8, iam.metadata[0]["x-mesh"], agent.SNAPSHOT, time.time()) == "gateway"
    assert iam.kinds[0] == [pb.KIND_API_KEY]
    iam.streams[0].put_nowait(wire("c", expires_at=Timestamp(seconds=9)))
    iam.streams[0].put_nowait(gone("a"))
    await until(lambda: keeps(replica, {"b", "c"}))
    assert f"+{hash_of('c')} c acme 9000 flag:evaluate" in lines(replica)


async def test_the_agent_takes_the_whole_state_in_batches(iam, replica):
    batch = pb.SnapshotEvent(batch=pb.Batch(events=[wire("a"), wire("b")]))
    iam.first = [batch, wire("c"), ready()]
    await until(lambda: keeps(replica, {"a", "b", "c"}))
    assert iam.batched == [True]


async def test_a_key_that_fits_no_line_is_left_out_and_the_rest_kept(iam, replica):
    iam.first = [wire("a"), wire("evil\n+id"), ready()]
    await until(lambda: keeps(replica, {"a"}))
    iam.streams[0].put_nowait(wire("a", tenant_id="no good"))
    await until(lambda: keeps(replica, set()))


async def test_heart_beats_are_iams_and_stop_with_them(iam, replica):
    await until(lambda: (replica / "epoch").exists())
    before = len(lines(replica))
    iam.streams[0].put_nowait(heartbeat())
    await until(lambda: len(lines(replica)) == before + 1)
    await until(lambda: len(iam.streams) == 2)


async def test_a_broken_stream_is_taken_up_again_with_the_differences(iam, replica):
    iam.first = [wire("a"), wire("b"), ready()]
    await until(lambda: keeps(replica, {"a", "b"}))
    epoch = (replica / "epoch").read_text()
    iam.first = [wire("b"), wire("c"), ready()]
    iam.streams[0].put_nowait(None)
    await until(lambda: keeps(replica, {"b", "c"}))
    assert (replica / "epoch").read_text() == epoch


async def test_half_a_state_replaces_nothing(iam, replica):
    iam.first = [wire("a"), ready()]
    await until(lambda: keeps(replica, {"a"}))
    iam.first = [wire("b")]
    iam.streams[0].put_nowait(None)
    await until(lambda: len(iam.streams) >= 3)
    assert keeps(replica, {"a"})


async def test_the_log_may_be_lost_and_is_made_again(iam, disk, replica):
    iam.first = [wire("a"), ready()]
    await until(lambda: keeps(replica, {"a"}))
    epoch = (replica / "epoch").read_text()
    disk.full = True
    iam.streams[0].put_nowait(heartbeat())
    await until(lambda: len(iam.streams) >= 2)
    iam.first = [wire("b"), ready()]
    disk.full = False
    iam.streams[-1].put_nowait(None)
    await until(lambda: keeps(replica, {"b"}))
    assert (replica / "epoch").read_text() != epoch


def test_the_agent_says_which_setting_is_missing(tmp_path):
    with pytest.raises(KeyError, match="GATE_KEYLOG_DIR"):
        agent.settings({"GATE_IAM_ADDRESS": "iam:9001"})
    full = {"GATE_KEYLOG_DIR": str(tmp_path), "SWITCHYARD_MESH_SECRET": "s"}
    assert agent.settings({**full, "SWITCHYARD_IAM_ADDRESS": "iam:1"}).iam == "iam:1"
