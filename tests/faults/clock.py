"""A clock that is wrong, for one process: a shim between it and the C library, as libfaketime is one.

It is made here with the machine's C compiler, as nothing else needs to be installed for that. By how much a clock is
wrong lies in a file that the process has in its memory, so that a clock can be set while the process runs.
"""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int (*real)(clockid_t, struct timespec *);
static const volatile long *ahead;

__attribute__((constructor)) static void find(void) {
    const char *said = getenv("CLOCK_FILE");
    int file = said ? open(said, O_RDONLY | O_CLOEXEC) : -1;
    real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (file < 0) return;
    void *found = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) ahead = found;
    close(file);
}

int clock_gettime(clockid_t id, struct timespec *at) {
    if (!real) find();
    int failed = real(id, at);
    if (!failed && ahead && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += *ahead;
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


class Clock:
    """The clock of a process that is started in the environment `env`; `set` sets it."""

    def __init__(self, shim: Path, file: Path, seconds: int) -> None:
        self._file, self.env = file, {"LD_PRELOAD": str(shim), "CLOCK_FILE": str(file)}
        file.write_bytes(struct.pack("l", seconds))

    def set(self, seconds: int) -> None:
        """Put it so many seconds ahead of the right time, or behind it."""
        with self._file.open("r+b") as there:  # written over: the process has this very file
            there.write(struct.pack("l", seconds))


def clocks(folder: Path, *ahead: int) -> list[Clock]:
    """Return a clock for each number of seconds that it is ahead; skip where there is no compiler."""
    if not (compiler := shutil.which("cc")):
        pytest.skip("there is no C compiler (cc) here to make a wrong clock with")
    source, shim = folder / "clock.c", folder / "clock.so"
    source.write_text(SHIM)
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a wrong clock cannot be made with the C compiler here: {done.stderr[:300]}")
    return [Clock(shim, folder / f"clock-{n}", seconds) for n, seconds in enumerate(ahead)]
