"""The platform in the background: bring it up, look at it, read its logs, take it down, throw its
data away.

`up` starts a supervisor in a session of its own and listens to it over a pipe, one JSON document a
line, until it says "up" or "failed"; after that the two share nothing but `state.json`, a lock and
signals.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import IO, Any

from yard import YardError, logbook, ports, procs, record, seed, vault
from yard.keeper import StartFailed
from yard.record import Entry
from yard.session import clear, is_locked, locked, running, terms_for
from yard.site import Site
from yard.terms import ADMIN_PASSWORD

DOWN_PATIENCE = 120.0
DEFAULT_PORT = 8080
WIDEST = 500


def up(site: Site) -> None:
    """Return when all is healthy and seeded; YardError says what was in the way."""
    site.make()
    if is_locked(site):
        _already(site)
        return
    began = time.monotonic()
    _start(site, _public_port())
    print(f"\nSwitchyard is up ({time.monotonic() - began:.1f} s).")
    seed.sow(site)
    _welcome(site)


def _already(site: Site) -> None:
    if not record.read(site.state).healthy:
        raise YardError("it is already starting or stopping; `make status` shows how far it is")
    print("Switchyard is up already.")
    seed.sow(site)
    _welcome(site)


def _public_port() -> int:
    """Return the port that the person wants for the gateway; YardError says who has it."""
    wanted = os.environ.get("GATEWAY_PORT") or str(DEFAULT_PORT)
    if not wanted.isdigit() or not 0 < int(wanted) < 65536:
        raise YardError(f"GATEWAY_PORT is {wanted!r}; it must be a number between 1 and 65535")
    if not ports.free(int(wanted)):
        who = procs.holder(int(wanted)) or "another process"
        raise YardError(
            f"port {wanted} is taken by {who}.\nStop that, or choose another: "
            "make up GATEWAY_PORT=8081"
        )
    return int(wanted)


def _start(site: Site, port: int) -> None:
    """Start the supervisor and show what it reports; stop it when the person interrupts."""
    reading, writing = os.pipe()
    with logbook.open_log(site.log, "yard") as log:
        child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "yard",
                "supervise",
                "--port",
                str(port),
                "--report",
                str(writing),
            ],
            env={**os.environ, "SWITCHYARD_DATA": str(site.root)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(writing,),
        )
    os.close(writing)
    try:
        with os.fdopen(reading) as reports:
            _listen(site, reports)
    except KeyboardInterrupt:
        print("\nstopping …")
        child.send_signal(signal.SIGTERM)
        child.wait()
        raise


def _listen(site: Site, reports: Iterable[str]) -> None:
    began = time.monotonic()
    for line in reports:
        match json.loads(line):
            case {"event": "up"}:
                return
            case {"event": "failed", "text": str(text)}:
                raise YardError(text)
            case {"name": name, "state": "ready" | "done" | "restarting" as state}:
                print(f"{time.monotonic() - began:6.1f} s  {name:<20} {state}", flush=True)
            case _:
                pass
    last = "\n".join(logbook.tail(site.log / "yard.log"))
    raise YardError(f"the supervisor ended without a word; its log ends so:\n{last}")


def _welcome(site: Site) -> None:
    """Print where it is and how to get in."""
    url, key = record.read(site.state).urls["gateway"], vault.load(site.secrets, ())["api_key"]
    login = f"root / {ADMIN_PASSWORD}  (development only)"
    if os.environ.get("IAM_BOOTSTRAP_ADMIN_PASSWORD"):
        login = "root / $IAM_BOOTSTRAP_ADMIN_PASSWORD"
    print(f"""
  gateway   {url}   (reference {url}/docs · health {url}/health)
  login     {login}
  API key   {key}

  curl -s -X POST {url}/ofrep/v1/evaluate/flags/{seed.FLAG} \\
    -H 'X-API-Key: {key}' -H 'Content-Type: application/json' \\
    -d '{{"context": {{"targetingKey": "you"}}}}'

  make status · make logs · make down""")


def down(site: Site) -> None:
    """Stop everything that was started here, and nothing else."""
    if not is_locked(site):
        left = clear(record.read(site.state))
        print(f"stopped what was left over: {', '.join(left)}" if left else "Switchyard is not up.")
        return
    supervisor = record.read(site.state).supervisor.known()
    supervisor.signal(signal.SIGTERM)
    if not supervisor.gone(within=DOWN_PATIENCE):
        supervisor.signal(signal.SIGKILL)  # its children follow: the kernel tells them
        supervisor.gone(within=5)
    clear(record.read(site.state))
    print("Switchyard is down.")


def reset(site: Site) -> None:
    """Stop it and delete its data, secrets and logs."""
    down(site)
    if site.root.exists():
        shutil.rmtree(site.root)
    print("deleted", site.root)


def logs(site: Site, name: str) -> None:
    """Follow all logs, or one; YardError for a name that has none."""
    known = sorted(path.stem for path in site.log.glob("*.log"))
    if not known or (name and name not in known):
        raise YardError(
            f"no log of {name or 'anything'} here; there is: {', '.join(known) or 'nothing yet'}"
        )
    with contextlib.suppress(KeyboardInterrupt):
        logbook.follow(lambda: site.log.glob(f"{name or '*'}.log"))


def supervise(site: Site, port: int, report: IO[str]) -> int:
    """Be the supervisor: in the background, until told to stop."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    say = _reporter(report)
    try:
        with locked(site):
            asyncio.run(_supervise(site, port, say))
    except asyncio.CancelledError:
        return 0
    except YardError as trouble:
        say(event="failed", text=explained(trouble))
        return 1
    return 0


async def _supervise(site: Site, port: int, say: Callable[..., None]) -> None:
    stop_on_signal(asyncio.current_task())

    def tell(name: str, entry: Entry) -> None:
        say(name=name, state=entry.state)

    terms = terms_for(site, os.environ, public=port, trial=False, database_only=False)
    async with running(terms, tell) as keeper:
        say(event="up")
        await keeper.broken()


def stop_on_signal(task: "asyncio.Task[Any] | None") -> None:
    """Let the first SIGTERM or SIGINT cancel a task; later ones change nothing."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for what in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(what, lambda: None)
        if task is not None:
            task.cancel()

    for what in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(what, stop)


def explained(trouble: YardError) -> str:
    """Return what happened, the culprit's last lines and what to do."""
    if not isinstance(trouble, StartFailed):
        return str(trouble)
    lines = "\n".join(f"  {line[:WIDEST]}" for line in trouble.lines) or "  (it logged nothing)"
    hint = f"\n{trouble.unit.hint}" if trouble.unit.hint else ""
    return f"{trouble}. Its log ends so:\n{lines}{hint}\nEverything was stopped again."


def _reporter(report: IO[str]) -> Callable[..., None]:
    """Return a way to say something to who waits, and to the log; nobody waiting is no trouble."""

    def say(**what: str) -> None:
        line = json.dumps(what)
        print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}", flush=True)
        with contextlib.suppress(OSError, ValueError):
            print(line, file=report, flush=True)
            if what.get("event"):
                report.close()

    return say
