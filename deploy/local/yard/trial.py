"""`yard with -- CMD`: a whole platform of its own around one command, gone when the command is
done.

Everything is drawn anew: ports, secrets, data (in a temporary folder). What the person has set for
a real platform (DATABASE_URL and the like) is not believed here: a test must never reach real data.
The command is told: SWITCHYARD_URL, SWITCHYARD_API_KEY, SWITCHYARD_ADMIN_PASSWORD, SWITCHYARD_STATE
(state.json), DATABASE_URL and REDIS_URL of the platform, TEST_DATABASE_URL and TEST_REDIS_URL
(superuser, empty, for store tests).
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from yard import ports
from yard.cast import Cast, entering
from yard.keeper import exited
from yard.record import Entry
from yard.session import locked, running, terms_for
from yard.site import Site
from yard.terms import (
    ADMIN_PASSWORD,
    TEST_DATABASE,
    Terms,
    base_env,
    database_url,
    outer_for_trial,
    redis_url,
    urls,
)
from yard.upkeep import stop_on_signal

PARTING = 15.0


def trial(command: list[str], *, database_only: bool) -> int:
    """Run the command inside a platform of its own; return its exit status (130: interrupted)."""
    folder = Path(tempfile.mkdtemp(prefix="switchyard-"))
    site = Site(folder)
    try:
        site.make()
        with locked(site):
            return asyncio.run(_trial(site, command, database_only))
    except asyncio.CancelledError:
        return 130
    finally:
        _keep_logs(site)
        shutil.rmtree(folder, ignore_errors=True)


def _keep_logs(site: Site) -> None:
    """Copy the logs to where SWITCHYARD_KEEP_LOGS says, for who must find out what failed."""
    if kept := os.environ.get("SWITCHYARD_KEEP_LOGS"):
        shutil.copytree(site.log, kept, dirs_exist_ok=True)


async def _trial(site: Site, command: list[str], database_only: bool) -> int:
    stop_on_signal(asyncio.current_task())
    terms = terms_for(
        site,
        outer_for_trial(os.environ),
        public=ports.draw(()),
        trial=True,
        database_only=database_only,
    )
    began = time.monotonic()
    async with running(terms, _tell) as keeper:
        print(
            f"yard: ready in {time.monotonic() - began:.1f} s, data in {site.root}",
            file=sys.stderr,
            flush=True,
        )
        work = asyncio.create_task(_command(command, told(terms)))
        broken = asyncio.create_task(keeper.broken())
        try:
            await asyncio.wait({work, broken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            broken.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        return await work


def _tell(name: str, entry: Entry) -> None:
    """Say only what is out of the ordinary: this is the background of somebody's tests."""
    if entry.state == "restarting":
        print(f"yard: {name} ended and is started again", file=sys.stderr, flush=True)


def told(terms: Terms) -> dict[str, str]:
    """Return the command's environment."""
    inside = base_env(terms.outer) | {
        "DATABASE_URL": database_url(terms),
        "REDIS_URL": redis_url(terms),
        "TEST_DATABASE_URL": database_url(terms, TEST_DATABASE),
        "TEST_REDIS_URL": redis_url(terms, 1),
        "SWITCHYARD_STATE": str(terms.site.state),
    }
    if terms.database_only:
        return inside
    password = terms.outer.get("IAM_BOOTSTRAP_ADMIN_PASSWORD") or ADMIN_PASSWORD
    return inside | {
        "SWITCHYARD_URL": urls(terms, {})["gateway"],
        "SWITCHYARD_API_KEY": terms.secrets["api_key"],
        "SWITCHYARD_ADMIN_PASSWORD": password,
    }


async def _command(command: list[str], env: dict[str, str]) -> int:
    """Run the command in the foreground; when cancelled, let it finish first, then insist."""
    child = subprocess.Popen(  # noqa: ASYNC220 - it forks and returns
        command, env=env, preexec_fn=entering(Cast(), signal.SIGTERM)
    )
    ended = asyncio.ensure_future(exited(child))
    try:
        await asyncio.shield(ended)
    except asyncio.CancelledError:
        for what in (
            signal.SIGINT if sys.stdin.isatty() else signal.SIGTERM,
            signal.SIGTERM,
            signal.SIGKILL,
        ):
            if not sys.stdin.isatty() or what is not signal.SIGINT:
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(what)
            if (await asyncio.wait({ended}, timeout=PARTING))[0]:
                break
        child.wait()
        raise
    status = child.wait()
    return 128 - status if status < 0 else status
