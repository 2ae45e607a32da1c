"""Small disks in memory, which somebody fills to the last byte; that wants root, as mounting does."""

import contextlib
import os
import subprocess

import pytest


class Disk:
    """A place on a small disk, and the file that takes what is left of it."""

    def __init__(self, place):
        self.place, self._junk = place, place / "junk"

    def folder(self, name, like):
        """Make a folder on it that belongs to whom another belongs."""
        made, owner = self.place / name, like.stat()
        made.mkdir(mode=0o700)
        os.chown(made, owner.st_uid, owner.st_gid)
        return made

    def fill(self, but=0):
        """Take every byte that is left but so many; return how many MiB are taken."""
        with self._junk.open("ab", buffering=0) as junk:
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        junk.write(bytes(size))
            junk.truncate(junk.tell() - but)
            return (junk.tell() - but) / 2**20

    def clear(self):
        self._junk.unlink(missing_ok=True)


@contextlib.contextmanager
def mounted(place, size):
    """Mount a disk of some MiB; skip where that is not allowed."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=0711", "tmpfs", place]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        trouble = done.stderr.strip() if done.returncode else ""
    except OSError as why:
        trouble = str(why)
    if trouble:
        place.rmdir()
        pytest.skip(f"no small disk can be mounted here: {trouble}")
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "-l", place], check=True)
        place.rmdir()
