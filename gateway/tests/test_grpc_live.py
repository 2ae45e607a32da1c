"""gRPC through the running gate: who is let in, and what is not there for anybody outside."""

import json

import grpc
import pytest

from switchyard.audit.v1 import audit_pb2, audit_pb2_grpc
from switchyard.flags.v1 import flags_pb2 as pb
from switchyard.flags.v1 import flags_pb2_grpc as rpc
from switchyard.iam.v1 import iam_pb2, iam_pb2_grpc


@pytest.fixture
def channel(world):
    with grpc.insecure_channel(f"127.0.0.1:{world.port}") as made:
        yield made


def denied(call, *arguments, **options) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as refused:
        call(*arguments, timeout=5, **options)
    return refused.value


def test_grpc_goes_through_with_a_token_or_a_key(channel, world):
    stub = rpc.FlagsStub(channel)
    for name, value in (*world.bearer().items(), ("x-api-key", world.key())):
        flag = stub.Get(pb.GetRequest(flag="f1"), metadata=((name, value),), timeout=5)
        assert flag.id == "f1"
        assert json.loads(flag.name)[name] == value


def test_grpc_metadata_cannot_claim_an_identity(channel, world):
    headers = (*world.bearer(sub="ada").items(), ("x-mesh", "iam.9.9"), ("x-key-id", "root"))
    flag = rpc.FlagsStub(channel).Get(pb.GetRequest(flag="f1"), metadata=headers, timeout=5)
    told = json.loads(flag.name)
    assert "x-mesh" not in told
    assert "x-key-id" not in told


def test_grpc_without_a_credential_is_unauthenticated(channel):
    error = denied(rpc.FlagsStub(channel).Get, pb.GetRequest(flag="f1"))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "{" not in error.details()


def test_internal_grpc_is_refused_whoever_asks(channel, world):
    mesh = (*world.bearer().items(), ("x-mesh", "flags.9999999999.00"))
    iam, audit = iam_pb2_grpc.IamStub(channel), audit_pb2_grpc.AuditStub(channel)
    for call, request in (
        (iam.ResolveKey, iam_pb2.ResolveKeyRequest(hash="0" * 64)),
        (audit.Append, audit_pb2.AppendRequest()),
    ):
        error = denied(call, request, metadata=mesh)
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    stream = iam.Snapshot(iam_pb2.SnapshotRequest(), metadata=mesh, timeout=5)
    with pytest.raises(grpc.RpcError) as refused:
        next(stream)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "method",
    [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/switchyard.flags.v1.Flags/Nothing",
        "/switchyard.flags.v1.Flags/",
    ],
)
def test_other_grpc_is_not_there(channel, world, method):
    call = channel.unary_unary(method)
    error = denied(call, b"", metadata=tuple(world.bearer().items()))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_plain_http_does_not_reach_grpc(client, world):
    response = client.post("/switchyard.flags.v1.Flags/Get", headers=world.bearer())
    assert response.status_code == 404


def test_grpc_web_is_translated(client, world):
    message = pb.GetRequest(flag="f1").SerializeToString()
    frame = b"\0" + len(message).to_bytes(4, "big") + message
    headers = {**world.bearer(), "content-type": "application/grpc-web+proto"}
    response = client.post("/switchyard.flags.v1.Flags/Get", content=frame, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/grpc-web+proto"
    assert b"grpc-status:0" in response.content.replace(b" ", b"")
