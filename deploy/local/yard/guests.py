"""Virtual machines of a site: they outlive the service that runs them, so who stops the platform stops them.

They are found as the service finds them: QEMU whose pid file lies in this site's folder. Each is asked to power off
(QMP, the button that its guest may obey) and ended when it has, or has had its time.
"""

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from yard.procs import PROC, Known, birth, pids
from yard.site import Site

GRACE = 5.0


def stop(site: Site, *, at_once: bool) -> int:
    """Stop every guest of a site; return how many there were."""
    found = list(guests(site))
    if not at_once:
        _power_off([home for home, _ in found])
    for _, known in found:
        known.signal(signal.SIGTERM)
    for _, known in found:
        if not known.gone(GRACE):
            known.signal(signal.SIGKILL)
            known.gone(GRACE)
    return len(found)


def guests(site: Site) -> Iterator[tuple[Path, Known]]:
    """Yield the home and the process of each guest that runs."""
    for pid in pids():
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
            home = Path(os.fsdecode(words[words.index(b"-pidfile") + 1])).parent
            if home.parent == site.guests / "guests" and (born := birth(pid)):
                yield home, Known(pid, born)


def _power_off(homes: list[Path]) -> None:
    end = time.monotonic() + GRACE
    waiting = [home for home in homes if _say(home, "system_powerdown")]
    while waiting and time.monotonic() < end:
        time.sleep(0.1)
        waiting = [home for home in waiting if "shutdown" not in _say(home, "query-status")]


def _say(home: Path, word: str) -> str:
    """Return what a guest's monitor answers; empty where it does not."""
    folder = os.open(home, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as line, line.makefile("rw") as talk:
            line.settimeout(1.0)
            line.connect(f"/proc/self/fd/{folder}/monitor")
            talk.readline()
            for command in ("qmp_capabilities", word):
                talk.write(json.dumps({"execute": command}) + "\n")
                talk.flush()
                while '"return"' not in (said := talk.readline()) and said:
                    pass
            return said
    except OSError:
        return ""
    finally:
        os.close(folder)
