"""Doors of every kind, through the running gate."""

import json
import socket
import threading
import time
from contextlib import ExitStack

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gateway.tests.conftest import eventually

ORIGIN = "https://app.example"


def test_health_says_which_build_answers(client):
    response = client.get("/health")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "status": "healthy",
        "service": "gateway",
        "build_id": "test-build",
        "started_at": "2026-01-01T00:00:00Z",
    }
    assert client.get("/health/").status_code == 200


@pytest.mark.parametrize("path", ["/health", "/openapi.json", "/docs", "/docs/errors", "/docs/"])
def test_what_the_gate_tells_itself_is_only_read(client, path):
    assert client.head(path).status_code == 200
    for method in ("POST", "PUT", "DELETE", "TRACE"):
        refused = client.request(method, path)
        assert refused.status_code == 405
        assert refused.json()["code"] == "gateway.method_not_allowed"
        assert refused.headers["allow"] == "GET, HEAD"


def test_the_merged_document_is_served(client):
    document = client.get("/openapi.json")
    assert document.headers["content-type"] == "application/json"
    assert "/ofrep/v1/evaluate/flags/{key}" in document.json()["paths"]
    assert document.json()["openapi"].startswith("3.1")


def test_the_reference_page_loads_nothing_from_elsewhere(client):
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "://" not in page.text
    for part in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js"):
        assert f"/docs/{part}" in page.text
        assert client.get(f"/docs/{part}").status_code == 200
    page = client.get("/docs/errors").text
    assert 'id="gateway.not_found"' in page
    assert 'id="bad_token"' in page


def test_the_more_specific_door_is_taken(client, world):
    assert client.get("/api/v1/things/special").status_code == 200
    assert client.get("/api/v1/things/other").status_code == 401
    assert client.get("/api/v1/things/other", headers=world.bearer()).status_code == 200
    assert client.get("/api/v1/things/a/b", headers=world.bearer()).status_code == 404


@pytest.mark.parametrize("path", ["/api/v1/things/1/", "/api/v1/things/1/toggle/", "/api/v1/echo/"])
def test_a_trailing_slash_is_accepted_without_a_redirect(client, world, path):
    response = client.post(path, headers=world.bearer())
    assert response.status_code == 200
    assert response.json()["path"] == path


def test_a_flag_key_may_contain_slashes(client, world):
    headers = {"x-api-key": world.key()}
    for key in ("plain", "a/b/c", "a/b/", "a%20b"):
        response = client.post(f"/ofrep/v1/evaluate/flags/{key}", headers=headers)
        assert response.json()["path"].endswith(key)
    assert client.post("/ofrep/v1/evaluate/flags/", headers=headers).status_code == 200
    assert client.post("/ofrep/v1/evaluate/flags/a").status_code == 401


def test_a_hot_door_tells_how_long_it_waits(client, world):
    headers = {"x-api-key": world.key(), "x-budget-ms": "999999"}
    for path in ("/ofrep/v1/evaluate/flags/a", "/ofrep/v1/evaluate/flags"):
        told = client.post(path, headers=headers).json()["headers"]
        assert [value for name, value in told if name == "x-budget-ms"] == ["2500"]


def test_a_wrong_method_is_answered_by_the_service(client):
    response = client.post("/api/v1/reading")
    assert (response.status_code, response.json()) == (405, {"code": "own"})


def test_a_problem_of_a_service_passes_unchanged(client):
    response = client.get("/api/v1/problem")
    assert (response.status_code, response.json()) == (409, {"code": "own.conflict"})


def test_reading_is_tried_again_and_writing_is_not(client):
    assert client.post("/api/v1/flaky").json() == {"code": "own.busy"}
    client.post("/api/v1/flaky")
    assert client.get("/api/v1/flaky").status_code == 200


def test_a_dead_service_is_unavailable(client):
    response = client.get("/api/v1/dead")
    assert response.status_code == 503
    assert response.json()["code"] == "gateway.unavailable"
    assert int(response.headers["retry-after"]) >= 1


def test_a_slow_service_is_a_timeout(client):
    response = client.get("/api/v1/slow")
    assert response.status_code == 504
    assert response.json()["code"] == "gateway.timeout"
    assert response.headers["content-type"] == "application/problem+json"


def test_an_event_stream_arrives_event_by_event(client):
    with client.stream("GET", "/api/v1/events") as response:
        lines = response.iter_lines()
        assert next(lines) == "data: first"
        client.get("/go")
        assert "data: second" in lines


def test_a_socket_opens_only_on_its_door(world):
    address = f"ws://127.0.0.1:{world.port}"
    with connect(f"{address}/api/v1/ws", additional_headers=world.bearer(), proxy=None) as made:
        made.send("hello")
        assert made.recv() == "heard hello"
    with pytest.raises(InvalidStatus) as shut:
        connect(f"{address}/api/v1/public", proxy=None)
    assert shut.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as nobody:
        connect(f"{address}/api/v1/ws", proxy=None)
    assert nobody.value.response.status_code == 401


def test_a_socket_outlives_the_limits_of_requests(world):
    address = f"ws://127.0.0.1:{world.port}/api/v1/ws"
    with connect(address, additional_headers=world.bearer(), proxy=None) as made:
        for _ in range(40):
            made.send("a" * 65_536)
            made.recv()
        threading.Event().wait(2.5)
        made.send("still")
        assert made.recv() == "heard still"


def offering(world, *protocols, path="/api/v1/ws", **more):
    return connect(
        f"ws://127.0.0.1:{world.port}{path}", subprotocols=list(protocols), proxy=None, **more
    )


def refused(world, *protocols, **more):
    with pytest.raises(InvalidStatus) as shut:
        offering(world, *protocols, **more)
    return shut.value.response.status_code


def heard(made):
    """Return the header fields that the service got to see, by the echo of its socket."""
    made.send("headers")
    return json.loads(made.recv().removeprefix("heard "))


def test_a_page_offers_its_credential_as_a_protocol(world):
    token, key = world.bearer()["authorization"].removeprefix("Bearer "), world.key()
    with offering(world, "switchyard.v1", f"bearer.{token}") as made:
        seen = heard(made)
        assert seen["authorization"] == f"Bearer {token}"
        assert seen["sec-websocket-protocol"] == "switchyard.v1"
    with offering(world, f"bearer.{key}") as made:
        seen = heard(made)
        assert seen["x-api-key"] == key
        assert "sec-websocket-protocol" not in seen


def test_a_protocol_that_is_no_good_credential_opens_nothing(world):
    token = world.bearer()["authorization"].removeprefix("Bearer ")
    assert refused(world, "switchyard.v1") == 401
    assert refused(world, f"bearer.{token[:-4]}") == 401
    assert refused(world, "bearer.sy_srv_unknown0_aaaaaaaaaaaaaaaaaaaaaaaa") == 401
    assert refused(world, f"bearer.{token}", f"bearer.{token}") == 400
    twice = {"additional_headers": world.bearer()}
    assert refused(world, f"bearer.{token}", **twice) == 400


def test_a_protocol_is_a_credential_for_sockets_only(client, world):
    token = world.bearer()["authorization"].removeprefix("Bearer ")
    sent = {"sec-websocket-protocol": f"bearer.{token}"}
    assert client.get("/api/v1/echo", headers=sent).status_code == 401


def preflight(client, origin, path="/api/v1/echo"):
    headers = {"origin": origin, "access-control-request-method": "POST"}
    return client.options(path, headers=headers)


def test_an_allowed_origin_may_call_and_read_what_it_needs(client, world):
    response = preflight(client, ORIGIN)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "x-api-key" in response.headers["access-control-allow-headers"]
    for headers, status in ((world.bearer(), 200), ({}, 401)):
        answer = client.post("/api/v1/echo", headers={**headers, "origin": ORIGIN})
        assert answer.status_code == status
        exposed = answer.headers["access-control-expose-headers"].lower().split(",")
        wanted = {"etag", "retry-after", "ratelimit", "ratelimit-policy", "x-request-id"}
        assert {*wanted, "idempotent-replayed"} <= set(exposed)


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.evil", "null"])
def test_a_foreign_origin_gets_nothing_and_reaches_nobody(client, origin):
    response = preflight(client, origin, "/api/v1/public")
    assert "access-control-allow-origin" not in response.headers
    assert "x-upstream" not in response.headers
    answer = client.get("/api/v1/public", headers={"origin": origin})
    assert "access-control-allow-origin" not in answer.headers


def test_a_strict_door_is_limited_per_address(client):
    answers = [client.post("/api/v1/login") for _ in range(8)]
    assert [a.status_code for a in answers] == [200] * 5 + [429] * 3
    last = answers[-1]
    assert last.json()["code"] == "gateway.rate_limited"
    assert int(last.headers["retry-after"]) >= 1
    assert last.headers["ratelimit-policy"] == '"address";q=5;w=60'
    assert last.headers["ratelimit"].startswith('"address";r=0')


def test_a_door_for_renewals_has_a_wider_limit(client):
    answers = [client.post("/api/v1/renewal") for _ in range(8)]
    assert [a.status_code for a in answers] == [200] * 8
    while (last := client.post("/api/v1/renewal")).status_code == 200:
        pass
    assert last.headers["ratelimit-policy"] == '"address";q=50;w=60'


def flood(world, headers) -> dict[int, str]:
    """Ask on a hundred connections at once, and return an answer of each status.

    A client that waits for answers may be too slow to be too many.
    """
    said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    asked = f"GET /api/v1/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{said}\r\n".encode()
    with ExitStack() as stack:
        made = [
            stack.enter_context(socket.create_connection(("127.0.0.1", world.port), timeout=20))
            for _ in range(100)
        ]
        for one in made:
            one.sendall(asked)
        answers = [one.recv(4096).decode() for one in made]
        return {int(one.split()[1]): one for one in answers}


@pytest.mark.parametrize("kind", ["token", "key"])
def test_one_tenant_is_limited_and_its_neighbour_is_not(client, world, kind):
    def made():
        return world.bearer() if kind == "token" else {"x-api-key": world.key()}

    loud, quiet = made(), made()
    found = {}
    policy = {
        "token": '"tenant";q=40;w=1',
        "key": '"key";q=30;w=1, "unknown-keys";q=20;w=1',
    }[kind]
    # A machine that is busy enough takes a flood as slowly as the limit gives tokens back.
    eventually(lambda: 429 in (found.update(flood(world, loud)) or found))
    assert set(found) == {200, 429}
    assert f"ratelimit-policy: {policy}" in found[429]
    assert client.get("/api/v1/echo", headers=quiet).status_code == 200


def test_http2_without_tls_is_spoken_on_the_same_port(world):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
    with socket.create_connection(("127.0.0.1", world.port), timeout=5) as made:
        made.sendall(preface)
        frame = made.recv(9)
    assert frame[3] == 4  # SETTINGS


def test_metrics_have_a_listener_of_their_own(world):
    base = f"http://127.0.0.1:{world.topology.metrics}"
    assert "envoy_http_downstream_rq_total" in httpx.get(f"{base}/metrics").text
    for path in ("/stats", "/config_dump", "/quitquitquit", "/", "/metrics/../config_dump"):
        assert httpx.get(base + path).status_code == 404


@pytest.mark.parametrize("path", ["/config_dump", "/quitquitquit", "/runtime", "/certs", "/"])
def test_admin_serves_only_what_is_needed(world, path):
    response = httpx.post(f"http://127.0.0.1:{world.topology.admin}{path}")
    assert response.status_code == 403


def test_the_access_log_holds_no_query_and_no_credential(client, world):
    token = world.token(sub="logged-user")
    headers = {"authorization": f"Bearer {token}", "x-request-id": "find-me-in-the-log"}
    client.get("/api/v1/echo?secret=hush", headers=headers)

    def line():
        texts = (p.read_text() for p in world.folder.glob("*.log"))
        return [x for t in texts for x in t.splitlines() if "find-me-in-the-log" in x]

    latest = time.monotonic() + 5
    while not (found := line()):
        assert time.monotonic() < latest
        time.sleep(0.05)
    (text,) = found
    entry = json.loads(text)
    assert (entry["path"], entry["route"], entry["user"]) == (
        "/api/v1/echo",
        "/api/v1/echo",
        "logged-user",
    )
    assert "hush" not in text
    assert token not in text
