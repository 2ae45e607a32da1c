"""Hostile paths, headers and framing, and what Envoy answers to them."""

import json
import re
import socket
import uuid

import pytest

PROBLEM = "application/problem+json"


def said(world, request: bytes) -> bytes:
    """Send raw bytes; return what comes back until the connection is closed or has said all."""
    with socket.create_connection(("127.0.0.1", world.port), timeout=6) as made:
        made.sendall(request)
        answer = b""
        while part := received(made, whole=complete(answer)):
            answer += part
        return answer


def received(made: socket.socket, *, whole: bool) -> bytes:
    """After a whole answer, wait only a moment for one that should not come."""
    made.settimeout(0.05 if whole else 6)
    try:
        return made.recv(65536)
    except TimeoutError:
        assert whole
        return b""


def complete(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return bool(found and length and len(body) >= int(length[1]))


def get(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "host: gate.test", "connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def parsed(answer: bytes) -> tuple[int, dict[str, str], dict]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, json.loads(body) if body else {}


def problem(answer: bytes, status: int, code: str) -> dict:
    found, headers, body = parsed(answer)
    assert (found, headers["content-type"]) == (status, PROBLEM), answer
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"/docs/errors#{code}"
    assert body["request_id"] == headers["x-request-id"]
    assert headers["cache-control"] == "no-store"
    assert set(body) >= {"title", "detail", "instance", "errors", "error"}
    assert isinstance(body["detail"], str)
    return body


@pytest.mark.parametrize(
    "path",
    [
        "//api/v1//public",
        "/api/./v1/public",
        "/api/v1/x/../public",
        "/api/v1/x/%2e%2e/public",
        "/api/v1/%70ublic",
        "/api/v1/public/",
        "/api/v1/public?x=//../",
    ],
)
def test_a_path_is_normalized_before_it_is_looked_up(world, path):
    status, _, body = parsed(said(world, get(path)))
    assert status == 200
    assert body["path"].rstrip("/") == "/api/v1/public"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/public%2fx",
        "/api/v1/public%2Fx",
        "/api/v1/public%5cx",
        "/api/v1/x/..%2fpublic",
    ],
)
def test_escaped_slashes_are_refused(world, path):
    body = problem(said(world, get(path)), 400, "gateway.bad_request")
    assert "by its id" in body["detail"]


def test_a_nul_in_the_path_is_refused(world):
    problem(said(world, get("/api/v1/public%00")), 400, "gateway.bad_request")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/public/..;/echo",
        "/api/v1/public;/../echo",
        "/api/v1/public/../echo",
        "/api/v1/public/%2e%2e/echo",
        "/API/V1/ECHO/../echo",
        "/api/v1/things/special/../1",
    ],
)
def test_no_path_trick_leads_past_the_lock(world, path):
    status, headers, _ = parsed(said(world, get(path)))
    assert status in (401, 404)
    assert "x-upstream" not in headers


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1/nothing", "/readyz", "/healthz", "/metrics", "/stats", "/go/x"]
)
def test_what_is_no_door_is_not_found_without_asking_who(world, path):
    body = problem(said(world, get(path)), 404, "gateway.not_found")
    assert body["instance"] == path


def test_double_escaping_is_not_undone(world):
    status, _, body = parsed(said(world, get("/api/v1/things/special%252f..")))
    assert status == 401
    assert body["code"] == "gateway.unauthenticated"


SMUGGLED = [
    b"POST /api/v1/public HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /api/v1/public HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd",
    b"POST /api/v1/public HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"POST /api/v1/public HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    b"POST /api/v1/public HTTP/1.1\r\nhost: a\r\ncontent-length: +4\r\n\r\nabcd",
    b"GET /api/v1/public HTTP/1.1\r\nhost: a\r\nx-a: b\x00c\r\n\r\n",
    b"GET /api/v1/public HTTP/1.1\r\nhost: a\r\n folded: yes\r\nx y: z\r\n\r\n",
    b"GET /api/v1/public HTTP/1.1\r\n\r\n",
    b"GET /api/v1/public HTTP/1.0\r\nhost: a\r\n\r\n",
    b"GET http://127.0.0.1/api/v1/public\r\n\r\n",
]


@pytest.mark.parametrize("request_", SMUGGLED)
def test_ambiguous_framing_is_refused(world, request_):
    answer = said(world, request_)
    assert parsed(answer)[0] in (400, 426, 501), answer
    assert b"x-upstream" not in answer


def test_a_bare_line_feed_starts_no_second_request(world):
    smuggled = b"GET /api/v1/public HTTP/1.1\nhost: a\nconnection: close\n\n"
    answer = said(world, smuggled)
    assert answer == b"" or answer.count(b"HTTP/1.1 ") == 1
    hidden = b"GET /api/v1/public HTTP/1.1\r\nhost: a\r\nx-a: b\nx-user-id: root\r\nconnection: close\r\n\r\n"
    answer = said(world, hidden)
    assert b'"root"' not in answer


def test_headers_of_64_kilobytes_are_refused(world):
    request = get("/api/v1/public", "x-large: " + "a" * 65_000)
    problem(said(world, request), 431, "gateway.headers_too_large")


def test_more_headers_than_allowed_are_refused(world):
    request = get("/api/v1/public", *(f"x-{n}: a" for n in range(100)))
    problem(said(world, request), 431, "gateway.headers_too_large")


def test_a_body_over_one_mebibyte_is_refused(client):
    answer = client.post("/api/v1/public", content=b"a" * ((1 << 20) + 1))
    assert answer.status_code == 413
    assert answer.json()["code"] == "gateway.too_large"
    assert client.post("/api/v1/public", content=b"a" * (1 << 20)).json()["length"] == 1 << 20


def test_a_body_over_one_mebibyte_is_refused_in_pieces_too(client):
    answer = client.post("/api/v1/public", content=iter([b"a" * 65536] * 20))
    assert answer.status_code == 413


def test_a_door_may_take_larger_bodies(client):
    answer = client.post("/api/v1/upload", content=b"a" * (3 << 20))
    assert answer.json()["length"] == 3 << 20
    assert client.post("/api/v1/upload", content=b"a" * (9 << 20)).status_code == 413


def test_headers_that_dribble_in_are_cut_off(world):
    body = said(world, b"GET /api/v1/public HTTP/1.1\r\nhost: a\r\nx-slow: ")
    problem(body, 408, "gateway.timeout")


def test_a_body_that_dribbles_in_is_cut_off(world):
    start = b"POST /api/v1/public HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc"
    problem(said(world, start), 408, "gateway.timeout")


@pytest.mark.parametrize("sent", ["abcdefgh", "Az09._-" * 5, "a" * 128])
def test_a_well_formed_request_id_is_kept(client, sent):
    response = client.get("/api/v1/public", headers={"x-request-id": sent})
    assert response.headers["x-request-id"] == sent
    assert ["x-request-id", sent] in response.json()["headers"]


@pytest.mark.parametrize(
    "sent", ["short", "a" * 129, "has space in it", "semi;colon;x", "né-unicode"]
)
def test_any_other_request_id_is_replaced(client, sent):
    response = client.get("/api/v1/public", headers={"x-request-id": sent.encode()})
    made = response.headers["x-request-id"]
    assert str(uuid.UUID(made)) == made
    assert ["x-request-id", made] in response.json()["headers"]


def test_a_request_id_is_in_the_problem_document(client):
    response = client.get("/api/v1/echo", headers={"x-request-id": "my-own-id"})
    assert response.json()["request_id"] == response.headers["x-request-id"] == "my-own-id"


def test_envoy_does_not_tell_what_it_is(client):
    response = client.get("/api/v1/public")
    assert response.headers["server"] == "switchyard"
    assert not [name for name in response.headers if name.startswith("x-envoy")]
