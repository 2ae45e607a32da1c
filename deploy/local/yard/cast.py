"""As whom a child runs, and that it does not outlive its parent.

PostgreSQL refuses to run as root. Root therefore hands it to another account where that account can
reach the files, else puts it in a user namespace of its own, in which it is nobody. The order
matters: the kernel clears the parent-death signal whenever credentials change, so it is set last,
in the child, after user and namespace.
"""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from yard import YardError

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
NOBODY = 65534
ACCOUNTS = ("postgres", "nobody")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Cast:
    """The part that a child plays: ourselves, another account, or nobody in a user namespace."""

    uid: int | None = None
    gid: int | None = None
    namespace: bool = False

    @property
    def groups(self) -> tuple[int, ...] | None:
        """Return the supplementary groups: none of ours for somebody else."""
        return None if self.uid is None else ()

    def owner(self) -> tuple[int, int]:
        """Return who must own the files that this part writes."""
        return (
            os.geteuid() if self.uid is None else self.uid,
            os.getegid() if self.gid is None else self.gid,
        )

    def label(self) -> str:
        """Say it in words for the log."""
        if self.uid is not None:
            return f"as account {pwd.getpwuid(self.uid).pw_name}"
        return "in a user namespace" if self.namespace else "as yourself"


def entering(cast: Cast, orphan: signal.Signals) -> Callable[[], None]:
    """Return what the child does before exec (user and group are changed by then)."""
    parent = os.getpid()

    def enter() -> None:
        if cast.namespace:
            _enter_namespace()
        if _libc.prctl(PR_SET_PDEATHSIG, orphan, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
        if os.getppid() != parent:  # the parent died before the line above
            os._exit(1)

    return enter


def _enter_namespace() -> None:
    """Become nobody in a new user namespace; outside of it the files stay ours."""
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    for table, line in (
        ("setgroups", "deny"),
        ("gid_map", f"{NOBODY} {gid} 1"),
        ("uid_map", f"{NOBODY} {uid} 1"),
    ):
        Path("/proc/self", table).write_text(line)


def for_postgres(binary: Path, data: Path) -> Cast:
    """Choose the part for PostgreSQL, by trying; YardError with what to do where none works."""
    if os.geteuid() != 0:
        return Cast()
    for name in ACCOUNTS:
        part = _account(name)
        if part and _reaches(part, data.parent) and _works(part, binary):
            return part
    if _works(Cast(namespace=True), binary):
        return Cast(namespace=True)
    raise YardError(
        "PostgreSQL does not run as root, no other account can reach this folder,\n"
        "and user namespaces are off here. Do one of: move the checkout to where others may enter\n"
        "(/opt, /srv) · work as a normal user · set DATABASE_URL"
    )


def _account(name: str) -> Cast | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Cast(entry.pw_uid, entry.pw_gid)


def _works(cast: Cast, binary: Path) -> bool:
    """Say whether the binary runs at all when cast so."""
    return _run(cast, [str(binary), "--version"])


def _reaches(cast: Cast, folder: Path) -> bool:
    """Say whether the way to `folder` is open (the folder itself we open up ourselves)."""
    test = shutil.which("test")
    return test is not None and _run(cast, [test, "-x", str(folder.parent)])


def _run(cast: Cast, command: list[str]) -> bool:
    try:
        done = subprocess.run(
            command,
            cwd="/",
            capture_output=True,
            preexec_fn=entering(cast, signal.SIGKILL),
            check=False,
            user=cast.uid,
            group=cast.gid,
            extra_groups=cast.groups,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def give(folder: Path, cast: Cast) -> None:
    """Make everything in a folder belong to whom the part needs, unless it already does."""
    uid, gid = cast.owner()
    if os.geteuid() != 0 or (folder.stat().st_uid, folder.stat().st_gid) == (uid, gid):
        return
    for path in (*folder.rglob("*"), folder):
        os.chown(path, uid, gid, follow_symlinks=False)
