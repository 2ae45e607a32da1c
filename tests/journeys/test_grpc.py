"""gRPC: with a token or a key through the gateway's one port; health and reflection at each service's own."""

import json
import os
import time
from pathlib import Path

import grpc
import pytest
import yaml
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from authz.mesh import sign
from switchyard.audit.v1 import audit_pb2, audit_pb2_grpc
from switchyard.flags.v1 import flags_pb2, flags_pb2_grpc
from switchyard.iam.v1 import iam_pb2, iam_pb2_grpc

pytestmark = pytest.mark.journey

SERVICES = ("iam", "flags", "experiments", "audit", "compute")
PATIENCE = 10  # seconds
GRAPH = Path(__file__).parents[2] / "deploy/service-graph.yaml"
INTERNAL = yaml.safe_load(GRAPH.read_text())["gateway"]["internal_rpcs"]


@pytest.fixture
async def gate(url):
    async with grpc.aio.insecure_channel(url.removeprefix("http://")) as channel:
        yield channel


@pytest.fixture(scope="session")
def ports():
    if not (state := os.environ.get("SWITCHYARD_STATE")):
        pytest.skip("SWITCHYARD_STATE is not set: `make test` starts a platform and sets it")
    return {
        name: ports["grpc"]
        for name, ports in json.loads(Path(state).read_text())["ports"].items()
        if name in SERVICES
    }


@pytest.fixture(scope="session")
def secret():
    site = Path(os.environ["SWITCHYARD_STATE"]).parents[1]
    return json.loads((site / "secrets.json").read_text())["mesh"]


@pytest.fixture(params=SERVICES)
async def service(request, ports):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{ports[request.param]}") as channel:
        yield request.param, channel


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


async def toggled(gate, flag, *metadata):
    request = flags_pb2.ToggleRequest(flag=flag, reason="by gRPC")
    toggle = flags_pb2_grpc.FlagsStub(gate).Toggle
    return await toggle(request, metadata=metadata, timeout=PATIENCE)


class TestAtTheGateway:
    async def test_a_flag_is_toggled_with_a_token(self, org, gate, eventually):
        flag = await org.flag("by-token")
        answer = await toggled(gate, "by-token", ("authorization", f"Bearer {org.token}"))
        assert (answer.id, answer.key) == (flag["id"], "by-token")
        assert (await org.web.get("/api/v1/feature-flags/by-token")).json()["status"] == "enabled"

        async def told():
            params = {"entity_id": flag["id"], "action_type": "toggle_enabled"}
            return (await org.web.get("/api/v1/audit-logs", params=params)).json()["items"]

        [entry] = await eventually(told)
        assert (entry["reason"], entry["user_email"]) == ("by gRPC", org.email)

    async def test_a_flag_is_toggled_with_an_api_key(self, org, gate, eventually):
        await org.flag("by-key")
        key = await org.key(kind="management", scopes=["flag:toggle"])

        async def known():
            try:
                return await toggled(gate, "by-key", ("x-api-key", key))
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                    return None  # the gateway learns of a new key within moments
                raise

        assert (await eventually(known)).key == "by-key"
        assert (await org.web.get("/api/v1/feature-flags/by-key")).json()["status"] == "enabled"

    async def test_without_a_credential_nobody_toggles(self, org, gate):
        await org.flag("shut")
        for metadata in ((), (("authorization", "Bearer x.y.z"),), (("x-api-key", "sy_srv_x"),)):
            error = await refused(toggled(gate, "shut", *metadata))
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert (await org.web.get("/api/v1/feature-flags/shut")).json()["status"] == "disabled"

    async def test_who_lacks_the_permission_is_refused_before_the_flag_is_looked_up(
        self, org, gate
    ):
        viewer = await org.person("viewer")
        token = ("authorization", viewer.headers["authorization"])
        error = await refused(toggled(gate, "no-such-flag", token))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert error.details() == "Insufficient permissions: flag:toggle required"

    async def test_another_tenants_flag_is_not_there(self, org, other, gate):
        flag = await other.flag()
        error = await refused(toggled(gate, flag["id"], ("authorization", f"Bearer {org.token}")))
        assert error.code() is grpc.StatusCode.NOT_FOUND

    async def test_what_services_ask_each_other_is_refused_from_outside(self, root, gate):
        metadata = (
            ("authorization", root.headers["authorization"]),
            ("x-mesh", "flags.9999999999.00"),
        )
        iam, audit = iam_pb2_grpc.IamStub(gate), audit_pb2_grpc.AuditStub(gate)
        calls = (
            iam.ResolveKey(iam_pb2.ResolveKeyRequest(hash="0" * 64), metadata=metadata),
            audit.Append(audit_pb2.AppendRequest(), metadata=metadata),
            iam.Snapshot(iam_pb2.SnapshotRequest(), metadata=metadata).read(),
        )
        for call in calls:
            assert (await refused(call)).code() is grpc.StatusCode.PERMISSION_DENIED

    async def test_health_and_reflection_are_not_shown_outside(self, root, gate):
        metadata = (("authorization", root.headers["authorization"]),)
        check = health_pb2_grpc.HealthStub(gate).Check(
            health_pb2.HealthCheckRequest(), metadata=metadata, timeout=PATIENCE
        )
        assert (await refused(check)).code() is grpc.StatusCode.UNIMPLEMENTED


class TestAtEachServicesOwnPort:
    async def test_health_is_serving(self, service):
        name, channel = service
        check = health_pb2_grpc.HealthStub(channel).Check
        for what in ("", f"switchyard.{name}.v1.{name.capitalize()}"):
            request = health_pb2.HealthCheckRequest(service=what)
            answer = await check(request, timeout=PATIENCE)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING

    async def test_reflection_tells_of_the_service_and_its_methods(self, service):
        name, channel = service
        full = f"switchyard.{name}.v1.{name.capitalize()}"
        ask = reflection_pb2.ServerReflectionRequest
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([ask(list_services=""), ask(file_containing_symbol=full)])
        call = stub.ServerReflectionInfo(asked, timeout=PATIENCE)
        listed, described = [answer async for answer in call]
        assert full in [s.name for s in listed.list_services_response.service]
        files = described.file_descriptor_response.file_descriptor_proto
        read = [descriptor_pb2.FileDescriptorProto.FromString(file) for file in files]
        declared = {s.name: s.method for file in read for s in file.service}
        assert declared[name.capitalize()]

    async def test_a_call_without_a_credential_is_unauthenticated_there_too(self, ports):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports['flags']}") as channel:
            error = await refused(toggled(channel, "any"))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED

    async def test_what_is_internal_wants_a_services_signature(self, ports):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports['iam']}") as channel:
            ask = iam_pb2_grpc.IamStub(channel).ResolveKey
            error = await refused(ask(iam_pb2.ResolveKeyRequest(hash="0" * 64), timeout=PATIENCE))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


SENTENCES = {
    "unsigned": "own services",
    "of nobody's secret": "own services",
    "signed for another method": "own services",
    "expired": "clock",
}


def signatures(secret, method, now):
    """Return what a call that is not a service's, or not now, or not this one, would show."""
    stranger = "a secret of nobody's that is forty letters"
    return {
        "unsigned": "",
        "of nobody's secret": sign(stranger, "flags", method, now),
        "signed for another method": sign(secret, "flags", f"{method}s", now),
        "expired": sign(secret, "flags", method, now - 3600),
    }


class TestBetweenServices:
    """What `internal_rpcs` of the service graph lists, asked at the services' own ports."""

    @pytest.mark.parametrize("rpc", sorted(INTERNAL))
    @pytest.mark.parametrize("how", SENTENCES)
    async def test_a_call_that_is_not_signed_for_it_now_is_refused(self, ports, secret, rpc, how):
        method, name = f"/{rpc}", rpc.split(".")[1]
        shown = signatures(secret, method, time.time())[how]
        metadata = (("x-mesh", shown),) if shown else ()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports[name]}") as channel:
            if rpc.endswith("/Snapshot"):
                call = channel.unary_stream(method)(b"", metadata=metadata, timeout=PATIENCE).read()
            else:
                call = channel.unary_unary(method)(b"", metadata=metadata, timeout=PATIENCE)
            error = await refused(call)
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert SENTENCES[how] in error.details()

    async def test_a_signed_call_is_heard(self, ports, secret):
        method = "/switchyard.iam.v1.Iam/ResolveKey"
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports['iam']}") as channel:
            request = iam_pb2.ResolveKeyRequest(hash="0" * 64)
            metadata = (("x-mesh", sign(secret, "flags", method, time.time())),)
            call = iam_pb2_grpc.IamStub(channel).ResolveKey(request, metadata=metadata, timeout=10)
            error = await refused(call)
        assert error.code() is grpc.StatusCode.NOT_FOUND
