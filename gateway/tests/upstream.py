"""What stands behind the gate in its tests: a process that tells what reached it.

    python upstream.py HTTP_PORT GRPC_PORT JWKS_FILE

It answers every request with what it got, as JSON, and counts them; some paths misbehave on purpose.
"""

import asyncio
import json
import sys
from pathlib import Path

import grpc
import uvicorn
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from switchyard.flags.v1 import flags_pb2 as pb
from switchyard.flags.v1 import flags_pb2_grpc as rpc

counts: dict[str, int] = {}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    if scope["type"] == "websocket":
        return await socket(scope, receive, send)
    path = scope["path"]
    counts[path] = counts.get(path, 0) + 1
    return await DOORS.get(path, echo)(scope, receive, send)


async def lifespan(receive, send):
    for kind in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{kind}.complete"})


async def socket(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    seen = json.dumps({k.decode(): v.decode() for k, v in scope["headers"]})
    while (message := await receive())["type"] == "websocket.receive":
        text = seen if message["text"] == "headers" else message["text"]
        await send({"type": "websocket.send", "text": f"heard {text}"})


async def echo(scope, receive, send):
    body = await read(receive)
    told = {
        "method": scope["method"],
        "path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": [[k.decode(), v.decode()] for k, v in scope["headers"]],
        "length": len(body),
    }
    await answer(send, 200, json.dumps(told))


async def read(receive):
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def answer(send, status, text, headers=()):
    length = (b"content-length", b"%d" % len(text.encode()))
    given = [(b"content-type", b"application/json"), (b"x-upstream", b"1"), length, *headers]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": text.encode()})


def fixed(status, text='{"status":"ready"}', headers=()):
    async def door(scope, receive, send):
        await read(receive)
        await answer(send, status, text, headers)

    return door


async def slow(scope, receive, send):
    await asyncio.sleep(1.2)
    await answer(send, 200, '{"slow":true}')


async def counted(scope, receive, send):
    await answer(send, 200, json.dumps(counts))


async def only_get(scope, receive, send):
    allowed = scope["method"] == "GET"
    await (echo(scope, receive, send) if allowed else answer(send, 405, '{"code":"own"}'))


async def events(scope, receive, send):
    start = {"type": "http.response.start", "status": 200}
    await send({**start, "headers": [(b"content-type", b"text/event-stream")]})
    await send({"type": "http.response.body", "body": b"data: first\n\n", "more_body": True})
    # The second half waits for the reader: it comes only when somebody asks for /readyz?go.
    while not counts.get("/go"):
        await asyncio.sleep(0.02)
    await send({"type": "http.response.body", "body": b"data: second\n\n"})


async def broken_once(scope, receive, send):
    """Answer 503 the first time, 200 the second."""
    first = counts["/api/v1/flaky"] % 2 == 1
    await (answer(send, 503, '{"code":"own.busy"}') if first else echo(scope, receive, send))


DOORS = {
    "/readyz": fixed(200),
    "/go": fixed(200),
    "/counts": counted,
    "/api/v1/slow": slow,
    "/api/v1/drained": slow,
    "/api/v1/events": events,
    "/api/v1/flaky": broken_once,
    "/api/v1/reading": only_get,
    "/api/v1/problem": fixed(
        409, '{"code":"own.conflict"}', [(b"content-type", b"application/problem+json")]
    ),
}


class Flags(rpc.FlagsServicer):
    async def Get(self, request, context):
        told = {k: v for k, v in context.invocation_metadata() if isinstance(v, str)}
        return pb.Flag(id=request.flag, name=json.dumps(told))


async def serve_grpc(port):
    server = grpc.aio.server()
    rpc.add_FlagsServicer_to_server(Flags(), server)
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server


async def main(http_port, grpc_port, jwks):
    DOORS["/.well-known/jwks.json"] = fixed(200, jwks)
    server = await serve_grpc(grpc_port)
    config = uvicorn.Config(
        app,
        port=int(http_port),
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        timeout_graceful_shutdown=1,
    )
    await uvicorn.Server(config).serve()
    await server.stop(0)


if __name__ == "__main__":
    http, inner, keys = sys.argv[1:]
    asyncio.run(main(http, inner, Path(keys).read_text()))
