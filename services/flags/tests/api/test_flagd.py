"""flagd's protocols in process: values of every type, errors, bad input, streams, and the rules themselves."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import orjson
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from grpc import StatusCode, aio

from chassis.rpc import Guard
from flagd.evaluation.v1 import evaluation_pb2 as v1
from flagd.evaluation.v1 import evaluation_pb2_grpc as rpc1
from flagd.evaluation.v2 import evaluation_pb2 as v2
from flagd.evaluation.v2 import evaluation_pb2_grpc as rpc2
from flagd.sync.v1 import sync_pb2, sync_pb2_grpc
from flags.api.flagd import EvaluationV1, EvaluationV2
from flags.api.flagd_sync import FlagSync
from flags.domain.flag import Change
from flags.usecases.flags import Aim

DEEP = {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}}}


@pytest.fixture
async def channel(ofrep):
    server = aio.server(interceptors=[Guard("s" * 32)])
    rpc1.add_ServiceServicer_to_server(EvaluationV1(ofrep.desks), server)
    rpc2.add_ServiceServicer_to_server(EvaluationV2(ofrep.desks), server)
    sync_pb2_grpc.add_FlagSyncServiceServicer_to_server(FlagSync(ofrep.desks), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


@pytest.fixture(params=["x-api-key", "authorization", "flagd-selector"])
def metadata(request, keys):
    key = keys.mint()
    return ((request.param, f"Bearer {key}" if request.param == "authorization" else key),)


@pytest.fixture
def mine(keys):
    return (("x-api-key", keys.mint()),)


def struct(**said):
    made = Struct()
    made.update(said)
    return made


@asynccontextmanager
async def refused(code, said=""):
    with pytest.raises(aio.AioRpcError) as error:
        yield
    assert (error.value.code(), said in error.value.details()) == (code, True), error.value


@pytest.mark.parametrize(("pb", "rpc"), [(v1, rpc1), (v2, rpc2)], ids=["v1", "v2"])
async def test_each_type_is_answered_in_full(channel, metadata, shop, pb, rpc):
    stub = rpc.ServiceStub(channel)
    for method, key, value, variant in (
        ("Boolean", "shop/checkout.v2", True, "on"),
        ("String", "hello", "Grüezi", "de"),
        ("Int", "limit", 3, "few"),
        ("Float", "rate", 1.0, "one"),
        ("Float", "limit", 3.0, "few"),
        ("Object", "theme", {"b": 1.0, "a": []}, "dark"),
    ):
        request = getattr(pb, f"Resolve{method}Request")(flag_key=key)
        got = await getattr(stub, f"Resolve{method}")(request, metadata=metadata)
        told = MessageToDict(got.value) if method == "Object" else got.value
        assert (told, got.variant, got.reason) == (value, variant, "STATIC")
        assert MessageToDict(got.metadata)["environment"] == "production"


async def test_every_answer_is_counted(channel, mine, shop, usages, counting, ana, here):
    for pb, rpc in ((v1, rpc1), (v2, rpc2)):
        stub = rpc.ServiceStub(channel)
        for method, key in (
            ("Boolean", "shop/checkout.v2"),
            ("String", "hello"),
            ("Int", "limit"),
            ("Float", "rate"),
            ("Object", "theme"),
        ):
            request = getattr(pb, f"Resolve{method}Request")(flag_key=key)
            await getattr(stub, f"Resolve{method}")(request, metadata=mine)
    await rpc1.ServiceStub(channel).ResolveAll(v1.ResolveAllRequest(), metadata=mine)
    await counting.flush()
    for key, variant in (("shop/checkout.v2", "on"), ("hello", "de"), ("limit", "few")):
        found = await usages.of_flag(ana, here, key, "hour", (None, None))
        assert [(c.variant, c.reason, c.count) for c in found.counts] == [(variant, "STATIC", 3)]


async def test_all_flags_come_at_once(channel, mine, shop):
    got = await rpc1.ServiceStub(channel).ResolveAll(v1.ResolveAllRequest(), metadata=mine)
    values = {k: getattr(f, f.WhichOneof("value")) for k, f in got.flags.items()}
    assert MessageToDict(values.pop("theme")) == {"b": 1.0, "a": []}
    assert values == {"shop/checkout.v2": True, "rate": 1.0, "limit": 3.0, "hello": "Grüezi"}


async def test_errors_are_those_of_flagd(channel, mine, shop, flags, rulesets, ana, here):
    stub = rpc2.ServiceStub(channel)

    async def asked(key, **context):
        request = v2.ResolveStringRequest(flag_key=key, context=struct(**context))
        return await stub.ResolveString(request, metadata=mine)

    async with refused(StatusCode.NOT_FOUND, "no flag"):
        await asked("nope")
    async with refused(StatusCode.NOT_FOUND):
        await asked("ü" * 1000)
    async with refused(StatusCode.INVALID_ARGUMENT, "TYPE_MISMATCH"):
        await asked("limit")
    weights = [{"variant": "de", "weight": 50_000}, {"variant": "en", "weight": 50_000}]
    change = Change(switch={"rules": [{"split": {"weights": weights}}]})
    await flags.update(ana, Aim(flag="hello", place=here), change)
    await rulesets.poll()
    async with refused(StatusCode.FAILED_PRECONDITION, "TARGETING_KEY_MISSING"):
        await asked("hello")
    # On this wire a whole number is a double: as a unit it is the whole number that was meant.
    assert (await asked("hello", targetingKey=42)).value == (
        await asked("hello", targetingKey="42")
    ).value


@pytest.mark.parametrize(
    "context",
    [{}, {"x": float("nan")}, {"x": float("inf")}, DEEP, {"x": "ü" * 1000}, {"x": [None, [1.5]]}],
    ids=lambda c: str(c)[:20],
)
async def test_whatever_is_in_a_context_is_answered(channel, mine, shop, context):
    request = v1.ResolveBooleanRequest(flag_key="shop/checkout.v2", context=struct(**context))
    assert (await rpc1.ServiceStub(channel).ResolveBoolean(request, metadata=mine)).value is True


@pytest.mark.parametrize(
    "metadata", [(), (("x-api-key", "sy_srv_x"),), (("flagd-selector", "a=b"),)], ids=str
)
async def test_nobody_is_unauthenticated(channel, shop, metadata):
    async with refused(StatusCode.UNAUTHENTICATED):
        request = v1.ResolveBooleanRequest(flag_key="limit")
        await rpc1.ServiceStub(channel).ResolveBoolean(request, metadata=metadata)
    async with refused(StatusCode.UNAUTHENTICATED):
        await (
            rpc1.ServiceStub(channel).EventStream(v1.EventStreamRequest(), metadata=metadata).read()
        )


async def test_a_client_side_key_sees_only_what_is_marked_and_no_rules(channel, keys, shop):
    metadata = (("x-api-key", keys.mint("client")),)
    got = await rpc1.ServiceStub(channel).ResolveAll(v1.ResolveAllRequest(), metadata=metadata)
    assert list(got.flags) == ["shop/checkout.v2"]
    async with refused(StatusCode.NOT_FOUND):
        request = v1.ResolveIntRequest(flag_key="limit")
        await rpc1.ServiceStub(channel).ResolveInt(request, metadata=metadata)
    stub = sync_pb2_grpc.FlagSyncServiceStub(channel)
    async with refused(StatusCode.PERMISSION_DENIED):
        await stub.FetchAllFlags(sync_pb2.FetchAllFlagsRequest(), metadata=metadata)
    async with refused(StatusCode.PERMISSION_DENIED):
        await stub.SyncFlags(sync_pb2.SyncFlagsRequest(), metadata=metadata).read()


async def test_changes_are_told_with_the_flags_that_they_are_about(
    channel, mine, shop, flags, rulesets, ana, here
):
    stream = rpc2.ServiceStub(channel).EventStream(v2.EventStreamRequest(), metadata=mine)
    async with asyncio.timeout(10):
        assert (await stream.read()).type == "provider_ready"
        await flags.disable(ana, Aim(flag="limit", place=here))
        await rulesets.poll()
        event = await stream.read()
    assert event.type == "configuration_change"
    assert MessageToDict(event.data) == {"flags": {"limit": {"type": "update"}}}
    stream.cancel()


async def test_the_rules_are_sent_at_once_and_after_each_change(
    channel, mine, shop, flags, rulesets, ana, here
):
    stub = sync_pb2_grpc.FlagSyncServiceStub(channel)
    stream = stub.SyncFlags(sync_pb2.SyncFlagsRequest(), metadata=mine)
    async with asyncio.timeout(10):
        before = orjson.loads((await stream.read()).flag_configuration)
        await flags.disable(ana, Aim(flag="limit", place=here))
        await rulesets.poll()
        after = orjson.loads((await stream.read()).flag_configuration)
    assert before["flags"]["limit"]["defaultVariant"] == "few"
    assert after["flags"]["limit"]["defaultVariant"] == "many"
    assert after["metadata"]["flagSetId"] == "default/production"
    whole = await stub.FetchAllFlags(sync_pb2.FetchAllFlagsRequest(), metadata=mine)
    assert orjson.loads(whole.flag_configuration) == after
    stream.cancel()


async def test_streams_end_with_the_process(channel, mine, shop, rulesets):
    stream = rpc1.ServiceStub(channel).EventStream(v1.EventStreamRequest(), metadata=mine)
    async with asyncio.timeout(10):
        await stream.read()
        rulesets.close()
        assert await stream.read() is aio.EOF
    assert await stream.code() is grpc.StatusCode.OK
