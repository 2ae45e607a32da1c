"""What the gate does when something is gone, late or broken: each test has a gate of its own."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from authz.apikeys import mint
from gate import run
from gate.limits import PROFILES

UNKNOWN = {"x-api-key": "sy_srv_aaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbb"}


def status_becomes(url, wanted, headers, within=15.0, between=lambda: None) -> httpx.Response:
    latest = time.monotonic() + within
    while time.monotonic() < latest:
        between()
        with contextlib.suppress(httpx.ReadTimeout):
            response = httpx.get(url, headers=headers, timeout=1)
            if response.status_code == wanted:
                return response
        time.sleep(0.05)
    pytest.fail(f"{url} never answered {wanted}")


def test_a_log_that_fell_silent_knows_the_known_for_a_while(another):
    limits = replace(PROFILES["test"], keys_poll=0.05, keys_fresh_for=0.6, keys_usable_for=2)
    world = another(limits=limits)
    beat = world.keys.beat
    beat()
    url, known = f"{world.url}/api/v1/key", {"x-api-key": world.key()}
    young = {"x-api-key": mint("server")[1]}
    status_becomes(url, 200, young, between=beat)
    stale = status_becomes(url, 503, young)
    assert httpx.get(url, headers=UNKNOWN).status_code == 401  # no key at all, whoever is away
    assert stale.json()["code"] == "gateway.unavailable"
    assert int(stale.headers["retry-after"]) >= 1
    assert httpx.get(url, headers=known).status_code == 200
    status_becomes(url, 503, known)
    assert httpx.get(f"{world.url}/api/v1/echo", headers=world.bearer()).status_code == 200
    status_becomes(url, 200, known, between=beat)
    status_becomes(url, 200, young, between=beat)


def break_the_script(config) -> None:
    """Let one door's look-up raise, and another door's script, outside of its pcall."""
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    manager = manager["typed_config"]
    lua = next(f for f in manager["http_filters"] if f["name"] == "apikey")["typed_config"]
    raising = "function envoy_on_request(handle) error('broken') end"
    lua["source_codes"]["raising"] = {"inline_string": raising}
    for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
        told = route["typed_per_filter_config"]
        if route["name"] == "/api/v1/key":
            del told["apikey"]["filter_context"]["poll_ms"]
        if route["name"] == "/api/v1/things/{id}":
            told["apikey"]["name"] = "raising"


def test_a_broken_script_fails_closed(another):
    world = another(edit=break_the_script)
    caught = httpx.get(f"{world.url}/api/v1/key", headers=UNKNOWN)
    assert (caught.status_code, caught.json()["code"]) == (503, "gateway.unavailable")
    assert "poll" not in caught.text
    for claimed in (UNKNOWN, {**UNKNOWN, "x-key-id": "root"}, {}):
        passed = httpx.get(f"{world.url}/api/v1/things/1", headers=claimed)
        assert (passed.status_code, passed.json()["code"]) == (401, "gateway.unauthenticated")


def test_iams_keys_out_of_reach_blame_nobody_else(another):
    def elsewhere(config) -> None:
        cluster = next(c for c in config["static_resources"]["clusters"] if c["name"] == "iam")
        dead = next(c for c in config["static_resources"]["clusters"] if c["name"] == "compute")
        cluster["load_assignment"]["endpoints"] = dead["load_assignment"]["endpoints"]

    world = another(edit=elsewhere, ready=False)
    response = httpx.get(f"{world.url}/api/v1/echo", headers=world.bearer())
    assert (response.status_code, response.json()["code"]) == (503, "gateway.unavailable")
    assert httpx.get(f"{world.url}/api/v1/echo").status_code == 401


class Caller(threading.Thread):
    """Calls again and again, until the balancer takes the gate out; each call must be answered."""

    def __init__(self, url, done):
        super().__init__()
        self.url, self.done, self.statuses, self.lost = url, done, [], []

    def run(self):
        with httpx.Client(timeout=10) as client:
            while not self.done.is_set():
                try:
                    self.statuses.append(client.get(self.url).status_code)
                except httpx.HTTPError as error:
                    self.lost.append(repr(error))


def test_a_drain_loses_no_request(another):
    world = another(delay=2)
    done = threading.Event()
    callers = [Caller(f"{world.url}/api/v1/public", done) for _ in range(4)]
    slow = [Caller(f"{world.url}/api/v1/drained", done) for _ in range(4)]
    for caller in (*callers, *slow):
        caller.start()
    while not all(len(c.statuses) > 5 for c in callers):
        time.sleep(0.02)
    gate = world.processes[-1]
    gate.send_signal(signal.SIGTERM)
    status_becomes(f"{world.url}/health", 503, {})
    answer = httpx.get(f"{world.url}/api/v1/public")
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    done.set()
    assert gate.wait(20) == 0
    for caller in (*callers, *slow):
        caller.join(10)
        assert set(caller.statuses) == {200}
        assert caller.lost == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(world.url)


def test_the_gate_ends_when_envoy_does(another):
    world = another()
    admin = f"http://127.0.0.1:{world.topology.admin}"
    assert httpx.get(f"{admin}/ready").status_code == 200
    gate = world.processes[-1]
    children = Path(f"/proc/{gate.pid}/task/{gate.pid}/children").read_text()
    envoy = int(children.split()[0])
    os.kill(envoy, signal.SIGKILL)
    assert gate.wait(20) != 0


def test_a_service_that_comes_back_is_used_at_once(another):
    world = another()
    upstream, url = world.processes[0], f"{world.url}/api/v1/public"
    upstream.send_signal(signal.SIGSTOP)
    try:
        status_becomes(url, 503, {})
    finally:
        upstream.send_signal(signal.SIGCONT)
    status_becomes(url, 200, {})


def test_a_traced_request_has_its_trace_id_as_request_id(another):
    world = another(otlp="127.0.0.1:1")
    made = httpx.get(f"{world.url}/api/v1/public")
    parent = dict(made.json()["headers"])["traceparent"]
    assert made.headers["x-request-id"] == parent.split("-")[1]
    sent = {"x-request-id": "chosen-by-me"}
    kept = httpx.get(f"{world.url}/api/v1/public", headers=sent)
    assert kept.headers["x-request-id"] == "chosen-by-me"
    ill = httpx.get(f"{world.url}/api/v1/public", headers={"x-request-id": "a b"})
    assert ill.headers["x-request-id"] == dict(ill.json()["headers"])["traceparent"].split("-")[1]
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    child = httpx.get(f"{world.url}/api/v1/public", headers={"traceparent": given})
    assert child.headers["x-request-id"] == given.split("-")[1]
    assert "x-switchyard-sent-id" not in child.text


def test_the_agent_beside_envoy_is_started_again(tmp_path):
    file, ended = tmp_path / "starts", threading.Event()
    companion = run.Companion(["sh", "-c", f"echo started >> {file}"], ended)
    latest = time.monotonic() + 10
    while not file.exists() or len(file.read_text().splitlines()) < 2:
        assert time.monotonic() < latest
        time.sleep(0.05)
    ended.set()
    companion.stop()


# Envoy here is a command that copies what it finds of the agent's words, and ends.
GATE = """
import sys
from pathlib import Path
from gate import run

folder, patience, agent = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
run._command = lambda *_: ["sh", "-c", f"cat {folder}/epoch >{folder}/seen; exit 7"]
helper = run.Helper(["sh", "-c", agent], folder / "epoch", patience)
sys.exit(run.run(folder / "envoy.yaml", 1, run.Patience(0, 1), helper))
"""


@pytest.fixture
def gate_with(tmp_path):
    """Start a gate with an agent that is a line of shell, run in `tmp_path`."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 1}}
    (tmp_path / "envoy.yaml").write_text(yaml.safe_dump({"admin": {"address": address}}))
    made = []

    def gate_with(agent, patience):
        words = ["-c", GATE, str(tmp_path), str(patience), f"cd {tmp_path}; {agent}"]
        made.append(subprocess.Popen([sys.executable, *words], stderr=subprocess.DEVNULL))
        return made[-1]

    yield gate_with
    for process in made:
        process.kill()
        process.wait()


def test_envoy_opens_when_the_agent_has_written_keys_down(gate_with, tmp_path):
    gate = gate_with("sleep 0.5; echo log.1 >epoch; exec sleep 60", 60)
    assert gate.wait(60) == 7
    assert (tmp_path / "seen").read_text() == "log.1\n"


def test_envoy_opens_without_keys_when_iam_stays_away(gate_with, tmp_path):
    assert gate_with("exec sleep 60", 0.2).wait(60) == 7
    assert (tmp_path / "seen").read_text() == ""


def test_a_gate_that_waits_for_keys_ends_when_it_is_asked_to(gate_with, tmp_path):
    gate = gate_with("touch begun; exec sleep 60", 600)
    latest = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < latest
        time.sleep(0.02)
    gate.send_signal(signal.SIGTERM)
    assert gate.wait(60) == 0
    assert not (tmp_path / "seen").exists()


def test_the_times_of_a_drain_fall_back_to_all_processes_own():
    assert run.patience({}) == run.Patience(2, 20)
    given = {"SWITCHYARD_SHUTDOWN_DELAY": "0", "GATE_DRAIN_TIME": "3"}
    assert run.patience(given) == run.Patience(0, 3)


def certify(folder: Path, name: str) -> None:
    """Put a self-signed certificate into a folder, as whoever renews one would: by renaming."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, SHA256())
    )
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for file, text in (("key", key.private_bytes(*form)), ("crt", made.public_bytes(form[0]))):
        (folder / f"{file}.new").write_bytes(text)
        (folder / f"{file}.new").rename(folder / f"tls.{file}")


def certified(port) -> str:
    """Return whose certificate is shown, and that HTTP/2 is offered."""
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain) as secure,
    ):
        assert secure.selected_alpn_protocol() == "h2"
        shown = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True))
    return shown.subject.rfc4514_string()


def test_a_renewed_certificate_is_used_without_a_restart(another, tmp_path):
    folder = tmp_path / "tls"
    folder.mkdir()
    certify(folder, "first")
    world = another(tls=str(folder), ready=False)
    url = world.url.replace("http:", "https:")
    assert httpx.get(f"{url}/health", verify=False).status_code == 200
    assert certified(world.port) == "CN=first"
    certify(folder, "second")
    latest = time.monotonic() + 15
    while certified(world.port) != "CN=second":
        assert time.monotonic() < latest
        time.sleep(0.05)
