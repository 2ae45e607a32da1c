"""Envoy as a child process, with SIGTERM as a graceful drain.

Envoy itself exits 50 ms after SIGTERM and drops what is in flight. Here: /health answers 503 and every
answer says `connection: close`; wait until the balancer in front has noticed; stop accepting; wait until
nothing is in flight, and has not been for a moment; then stop Envoy.

At the start it is the other way round: the agent has a while to write the keys down before Envoy opens (docs/adr/0096).
"""

import contextlib
import http.client
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from gate.binary import envoy
from gate.shapes import Doc

ACTIVE = "http.public.downstream_rq_active"
HELPER_PAUSE = 1.0
QUIET_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: until the balancer has noticed, and at most for what is in flight."""

    lame_duck: float
    drain: float


def patience(environment: Mapping[str, str]) -> Patience:
    """Return the times of the drain; `GATE_SHUTDOWN_DELAY` falls back to all processes' own."""
    shared = environment.get("SWITCHYARD_SHUTDOWN_DELAY", "2")
    return Patience(
        lame_duck=float(environment.get("GATE_SHUTDOWN_DELAY", shared)),
        drain=float(environment.get("GATE_DRAIN_TIME", "20")),
    )


@dataclass(frozen=True, slots=True)
class Helper:
    """A process beside Envoy: its command, the file it writes first, and for how many seconds Envoy waits for that."""

    command: Sequence[str]
    writes: Path
    patience: float = 30.0


@dataclass(frozen=True, slots=True)
class Admin:
    """Envoy's admin pages, which are on loopback only."""

    port: int

    def ask(self, method: str, path: str) -> str:
        """Return the body, or nothing when Envoy does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        with (
            contextlib.closing(connection),
            contextlib.suppress(OSError, http.client.HTTPException),
        ):
            connection.request(method, path)
            return connection.getresponse().read().decode()
        return ""

    def active(self) -> int:
        """Return how many requests are in flight."""
        text = self.ask("GET", f"/stats?filter=^{ACTIVE.replace('.', '%5C.')}$")
        _, found, number = text.partition(f"{ACTIVE}: ")
        return int(number) if found else 0


def run(config: Path, concurrency: int, times: Patience, helper: Helper | None) -> int:
    """Run Envoy until it ends or SIGTERM comes; return its exit code (0 after a drain)."""
    document = cast("Doc", yaml.safe_load(config.read_text()))
    admin = Admin(document["admin"]["address"]["socket_address"]["port_value"])
    ended, asked = threading.Event(), threading.Event()

    def ask(_number: int, _frame: object) -> None:
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    companion = Companion(helper.command, ended) if helper else None
    try:
        if helper:
            _first_words(helper, asked)
        if asked.is_set():
            return 0
        return _serve(_command(config, concurrency, times), admin, times, (ended, asked))
    finally:
        ended.set()
        if companion:
            companion.stop()


def _first_words(helper: Helper, asked: threading.Event) -> None:
    """Wait until the helper has written: a gate without a key log refuses all API keys, and should not be asked."""
    latest = time.monotonic() + helper.patience
    while not helper.writes.exists() and time.monotonic() < latest and not asked.wait(0.05):
        pass


def _serve(
    command: list[str],
    admin: Admin,
    times: Patience,
    events: tuple[threading.Event, threading.Event],
) -> int:
    """Run Envoy until it ends (the first event is set then) or until it is asked to (the second)."""
    ended, asked = events
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each stream takes two of Envoy's
    process = subprocess.Popen(command, start_new_session=True)
    threading.Thread(target=_watch, args=(process, ended, asked), daemon=True).start()
    asked.wait()
    return _drain(process, admin, times, ended)


def _command(config: Path, concurrency: int, times: Patience) -> list[str]:
    options = {
        "--concurrency": concurrency,
        "--drain-time-s": max(1, round(times.drain)),
        "--drain-strategy": "immediate",
        "--file-flush-interval-msec": 500,
        "--log-level": os.environ.get("GATE_LOG_LEVEL", "warning").lower(),
    }
    words = [str(w) for option in options.items() for w in option]
    return [envoy(), "--disable-hot-restart", "-c", str(config), *words]


def _watch(
    process: subprocess.Popen[bytes], ended: threading.Event, asked: threading.Event
) -> None:
    process.wait()
    ended.set()
    asked.set()


def _drain(
    process: subprocess.Popen[bytes], admin: Admin, times: Patience, ended: threading.Event
) -> int:
    if ended.is_set():
        return process.returncode
    admin.ask("POST", "/healthcheck/fail")
    ended.wait(times.lame_duck)
    admin.ask("POST", "/drain_listeners")
    _wait_for_silence(admin, times.drain, ended)
    process.terminate()
    process.wait()
    return 0


def _wait_for_silence(admin: Admin, at_most: float, ended: threading.Event) -> None:
    """Return when nothing was in flight for a few looks in a row: a request may just be arriving."""
    latest = time.monotonic() + at_most
    quiet = 0
    while quiet < QUIET_LOOKS and time.monotonic() < latest and not ended.wait(0.1):
        quiet = 0 if admin.active() else quiet + 1


class Companion:
    """A process beside Envoy that is started again whenever it ends."""

    def __init__(self, command: Sequence[str], ended: threading.Event) -> None:
        self._command = command
        self._ended = ended
        self._starting = threading.Lock()
        self._process = subprocess.Popen(command)
        threading.Thread(target=self._keep, daemon=True).start()

    def _keep(self) -> None:
        while not self._ended.is_set():
            self._process.wait()
            self._ended.wait(HELPER_PAUSE)
            with self._starting:  # who stops it meanwhile would miss the new one
                if not self._ended.is_set():
                    self._process = subprocess.Popen(self._command)

    def stop(self) -> None:
        """End it for good; `ended` must be set before."""
        with self._starting:
            self._process.terminate()
        self._process.wait()
