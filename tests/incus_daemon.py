"""A real Incus of a test's own: daemons by hand in a temporary folder, on loopback, gone without a trace afterwards.

`python -m tests.incus_daemon [members]` starts one (or a cluster of so many members on this machine), prints the
settings that make the compute service use it, and ends it when it is interrupted. Wants root and Debian's incus-base
(bookworm-backports). Containers stand in for virtual machines: the image is busybox with an init of our own.
"""

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.incus_image import Unusable, archive

PLACES = "/usr/libexec/incus:/usr/lib/incus:/opt/incus/bin"
PATIENCE = 30.0  # seconds for one daemon; what cannot be had by then is not waited for
POOL, PROJECT = "pool", "switchyard"


_NOTHING: dict[str, str] = {}
_BROKEN = (Unusable, OSError, http.client.HTTPException, ValueError)


class _Local(http.client.HTTPConnection):
    """HTTP over a socket of this machine."""

    def __init__(self, place: Path) -> None:
        super().__init__("incus", timeout=PATIENCE + 5)
        self._place = place

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._place))


class Daemon:
    """One incusd with its own folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def start(self) -> None:
        """Start it; Unusable with the reason."""
        program = shutil.which("incusd", path=f"{os.environ.get('PATH', '')}:{PLACES}")
        if program is None:
            raise Unusable("incusd is not installed (Debian: incus-base from bookworm-backports)")
        if os.geteuid() != 0:
            raise Unusable("incusd wants root")
        self.folder.mkdir(mode=0o711)
        with (self.folder / "out").open("wb") as out:
            self._process = subprocess.Popen(
                [program],
                env={**os.environ, "INCUS_DIR": str(self.folder)},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._await()

    def _await(self) -> None:
        assert self._process is not None
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(
                OSError, http.client.HTTPException
            ):  # it hangs up while it starts
                self.ask("GET", "/1.0")
                return
            if self._process.poll() is not None or time.monotonic() > end:
                said = (self.folder / "out").read_text(errors="replace").splitlines()[-1:]
                raise Unusable(f"incusd does not come up here: {said}")
            time.sleep(0.1)

    def ask(self, verb: str, path: str, body: object = None, **headers: str) -> Any:
        """Ask as root, over the daemon's own socket, and wait until it is done. Unusable: it says no."""
        told = self.call(verb, path, body, headers)
        if told["type"] == "async":
            wait = f"/1.0/operations/{told['metadata']['id']}/wait?timeout={PATIENCE:.0f}"
            told = self.call("GET", wait)
            ended = told["metadata"] or {"status_code": 0, "err": told["error"]}
            if ended["status_code"] != 200:
                raise Unusable(f"incusd: {path}: {ended['err'] or 'it took too long'}")
            return ended
        if told["type"] == "error":
            raise Unusable(f"incusd: {path}: {told['error']}")
        return told["metadata"]

    def call(
        self, verb: str, path: str, body: object = None, headers: dict[str, str] = _NOTHING
    ) -> Any:
        """Ask, and return the answer as it is."""
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        with contextlib.closing(_Local(self.folder / "unix.socket")) as line:
            line.request(verb, path, sent, headers)
            return json.loads(line.getresponse().read())

    def listen(self) -> None:
        """Answer HTTPS on loopback."""
        address = f"127.0.0.1:{self.port}"
        self.ask("PATCH", "/1.0", {"config": {"core.https_address": address}})

    def found(self) -> None:
        """Become the first member of a cluster, called `one`."""
        self.ask("PUT", "/1.0/cluster", {"server_name": "one", "enabled": True})

    def join(self, first: "Daemon", name: str) -> None:
        """Become another member."""
        asked = first.call("POST", "/1.0/cluster/members", {"server_name": name})
        about = first.ask("GET", "/1.0")["environment"]
        told = asked["metadata"]["metadata"]  # it lasts until somebody has joined
        token = {
            "server_name": name,
            "fingerprint": told["fingerprint"],
            "addresses": told["addresses"],
            "secret": told["secret"],
            "expires_at": told["expiresAt"],
        }
        body = {
            "server_name": name,
            "enabled": True,
            "cluster_address": f"127.0.0.1:{first.port}",
            "cluster_certificate": about["certificate"],
            "cluster_token": base64.b64encode(json.dumps(token).encode()).decode(),
            "server_address": f"127.0.0.1:{self.port}",
        }
        self.ask("PUT", "/1.0/cluster", body)

    def stop(self) -> None:
        """End it and whatever runs in it, by their ids; leave no mount and no file."""
        if self._process is not None:
            _end(self._process)
        for pid in _monitors(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for place in _mounts(self.folder):
            subprocess.run(["umount", "-l", place], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class Engine:
    """An Incus of one or more members on this machine, ready for the driver."""

    def __init__(self, members: int = 1) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="switchyard-incus-"))
        os.chmod(self.folder, 0o711)  # the root of a container walks through it
        names = ("one", "two", "three")[:members]
        self.daemons = [Daemon(self.folder / name) for name in names]

    @property
    def first(self) -> Daemon:
        """The member that is asked."""
        return self.daemons[0]

    @property
    def settings(self) -> dict[str, str]:
        """What the compute service is told."""
        return {
            "driver": "incus",
            "incus_address": f"https://127.0.0.1:{self.first.port}",
            "incus_cert": str(self.folder / "client.crt"),
            "incus_key": str(self.folder / "client.key"),
            "incus_server_cert": str(self.folder / "server.crt"),
            "incus_project": PROJECT,
            "incus_pool": POOL,
        }

    def start(self) -> None:
        """Start all of it; Unusable with the reason, and nothing is left."""
        try:
            self._start()
        except _BROKEN as why:
            self.stop()
            raise Unusable(str(why)) from why

    def _start(self) -> None:
        image = archive()
        self.first.start()
        self.first.listen()
        self.first.ask("POST", "/1.0/storage-pools", {"name": POOL, "driver": "dir"})
        if len(self.daemons) > 1:
            self.first.found()
        for daemon in self.daemons[1:]:
            daemon.start()
            daemon.join(self.first, daemon.folder.name)
        self._let_in()
        self.first.ask("POST", "/1.0/projects", {"name": PROJECT, "config": {}})
        self._import(image)

    def _let_in(self) -> None:
        """Make a certificate for the service, and have it trusted."""
        certificate, key = _certificate()
        (self.folder / "client.crt").write_bytes(certificate)
        (self.folder / "client.key").write_bytes(key)
        server = self.first.ask("GET", "/1.0")["environment"]["certificate"]
        (self.folder / "server.crt").write_text(server)
        der = b"".join(certificate.splitlines()[1:-1]).decode()
        body = {"name": "compute", "type": "client", "certificate": der}
        self.first.ask("POST", "/1.0/certificates", body)

    def _import(self, image: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        self.first.ask("POST", f"/1.0/images?project={PROJECT}", image, **headers)

    def pid(self, name: str) -> int:
        """Return the process of an instance: the init of its container."""
        return self.first.ask("GET", f"/1.0/instances/{name}/state?project={PROJECT}")["pid"]

    def stop(self) -> None:
        """End everything; what is broken is no reason to leave the rest."""
        for one in self._instances():
            with contextlib.suppress(*_BROKEN):
                body = {"action": "stop", "force": True, "timeout": 10}
                self.first.ask("PUT", f"{one.split('?')[0]}/state?project={PROJECT}", body)
        for daemon in self.daemons:
            daemon.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _instances(self) -> list[str]:
        with contextlib.suppress(*_BROKEN):
            return self.first.ask("GET", f"/1.0/instances?project={PROJECT}")
        return []


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _monitors(folder: Path) -> list[int]:
    """Return the processes that LXC started for containers in a folder."""
    found: list[int] = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = Path("/proc", entry, "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if words.startswith("[lxc monitor]") and f" {folder}/" in words:
                found.append(int(entry))
    return found


def _mounts(folder: Path) -> list[str]:
    """Return what is mounted below a folder, the deepest first."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    places = [line.split()[1] for line in lines]
    return sorted((it for it in places if it.startswith(f"{folder}/")), key=len, reverse=True)


def _certificate() -> tuple[bytes, bytes]:
    """Return a client's certificate and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "switchyard compute")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA384())
    )
    pem, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return made.public_bytes(pem), key.private_bytes(pem, kind, serialization.NoEncryption())


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def lent(members: int = 1) -> Iterator[Engine]:
    """Lend a test an Incus of its own, of so many members; where none can be had it is skipped, and says why."""
    engine = Engine(members)
    try:
        engine.start()
    except Unusable as why:
        pytest.skip(f"no {'cluster of ' if members > 1 else ''}Incus runs here: {why}")
    yield engine
    engine.stop()


def main(members: int) -> None:
    """Start it, say how it is used, and end it when interrupted."""
    engine = Engine(members)
    engine.start()
    try:
        for name, value in engine.settings.items():
            print(f"export COMPUTE_{name.upper()}={value}")
        print(f"# look at it: INCUS_DIR={engine.first.folder} incus list --project {PROJECT}")
        print("# Ctrl-C ends it", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        engine.stop()


if __name__ == "__main__":
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.pthread_sigmask(signal.SIG_BLOCK, {one})
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
