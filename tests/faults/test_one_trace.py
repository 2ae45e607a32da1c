"""A request whose caller samples it is one trace: from Envoy through the service to database and log, by OTLP."""

import asyncio
import os
from uuid import uuid4

import httpx
import pytest
from grpc import aio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc


class Collector(rpc.TraceServiceServicer):
    """Keeps every span with the name of the service that sent it."""

    def __init__(self):
        self.spans = []

    async def Export(self, request, context):
        for resource in request.resource_spans:
            names = [
                a.value.string_value
                for a in resource.resource.attributes
                if a.key == "service.name"
            ]
            for scope in resource.scope_spans:
                self.spans += [(names[0], span) for span in scope.spans]
        return pb.ExportTraceServiceResponse()


@pytest.fixture
async def collector():
    if not (endpoint := os.environ.get("SWITCHYARD_OTLP_ENDPOINT")):
        pytest.skip("SWITCHYARD_OTLP_ENDPOINT is not set: `make faults` sets it")
    made, server = Collector(), aio.server()
    rpc.add_TraceServiceServicer_to_server(made, server)
    server.add_insecure_port(endpoint)
    await server.start()
    yield made
    await server.stop(0)


@pytest.mark.journey
async def test_a_sampled_request_is_one_trace_from_the_gate_to_the_database(platform, collector):
    trace, read, planted = uuid4().hex, uuid4().hex, f"in-the-query-{uuid4().hex}"
    async with httpx.AsyncClient(base_url=platform.url, timeout=10) as web:
        body = {"username": "root", "password": os.environ["SWITCHYARD_ADMIN_PASSWORD"]}
        login = await web.post("/api/v1/auth/login", json=body)
        web.headers["authorization"] = f"Bearer {login.raise_for_status().json()['access_token']}"
        answer = await web.post(
            "/api/v1/feature-flags",
            json={"key": f"traced-{trace[:8]}", "name": "Traced"},
            headers={"traceparent": f"00-{trace}-{'1' * 16}-01"},
        )
        assert answer.status_code == 201, answer.text
        answer = await web.get(
            "/api/v1/feature-flags",
            params={"access_token": planted},
            headers={"traceparent": f"00-{read}-{'1' * 16}-01"},
        )
        assert answer.status_code == 200, answer.text

    def of_this_trace(which=trace):
        return [(name, s) for name, s in collector.spans if s.trace_id.hex() == which]

    async with asyncio.timeout(30):
        while {"gateway", "flags", "audit"} - {n for n, _ in of_this_trace()} or not any(
            attribute.key.startswith("db.")
            for _, s in of_this_trace()
            for attribute in s.attributes
        ):
            await asyncio.sleep(0.1)
        while {"gateway", "flags"} - {n for n, _ in of_this_trace(read)}:
            await asyncio.sleep(0.1)
    ours = of_this_trace()
    ids = {s.span_id for _, s in ours}
    parents = [s.parent_span_id for _, s in ours]
    assert sum(p in ids for p in parents) == len(ours) - 1  # one root, the rest hang below it
    told = str([s for _, s in ours])
    assert "/api/v1/feature-flags" in told
    assert login.json()["access_token"] not in told
    assert [(name, s.name) for name, s in collector.spans if planted in str(s)] == []
