"""A backup: one file with everything that the platform cannot make anew; and the way back from it.

    yard backup FILE     of the running platform, while it serves: one consistent snapshot of all five schemas
    yard restore FILE    into a data folder without a database, platform down; then `make up`

The file is an uncompressed tar, readable by its owner only, for it holds secrets:

    manifest.json     format, instant, build, the roles and their settings, SHA-256 of each other member
    database.dump     pg_dump's custom format (compressed)
    secrets.json      role passwords, mesh secret, API key: what opens the values that are stored encrypted
    avatars/…         pictures

Not in it: what Valkey holds (counters, announcements, and events that were accepted without `durable` and not yet
taken up) and the disks of virtual machines (they have snapshots of their own). Both are said in docs/backup.md.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from yard import YardError, ports, record, stores, vault
from yard.record import Entry
from yard.session import is_locked, locked, running, terms_for
from yard.site import Site
from yard.terms import Terms, asks, build_id, database_url

FORMAT = 1
MANIFEST, DUMP, SECRETS, AVATARS = "manifest.json", "database.dump", "secrets.json", "avatars"
# Role settings belong to the database, not to a schema: pg_dump leaves them out.
SETTINGS = """SELECT r.rolname, unnest(s.setconfig) FROM pg_db_role_setting s
JOIN pg_roles r ON r.oid = s.setrole JOIN pg_database d ON d.oid = s.setdatabase
WHERE d.datname = current_database()"""


def backup(site: Site, file: Path) -> None:
    """Write a backup of the running platform; YardError when it is down or the file is there already."""
    if not is_locked(site):
        raise YardError("the platform is not up: a backup is taken while it runs (`make up`)")
    if file.exists():
        raise YardError(f"{file} is there already: give a new name, a backup overwrites nothing")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=site.root, prefix="backup-") as made:
        _take(site, Path(made))
        _pack(Path(made), file)
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB in {time.monotonic() - began:.1f} s")


def _take(site: Site, folder: Path) -> None:
    """Lay down in a folder what goes into the file, the manifest last."""
    services = tuple(asks())
    url = database_url(_terms_now(site))
    _pg("pg_dump", url, "--format=custom", f"--file={folder / DUMP}", *_schemas(services))
    shutil.copyfile(site.secrets, folder / SECRETS)
    if site.avatars.exists():
        shutil.copytree(site.avatars, folder / AVATARS)
    manifest = {
        "format": FORMAT,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "build": build_id(),
        "services": services,
        "settings": _ask(url, SETTINGS),
        "files": {str(f.relative_to(folder)): _digest(f) for f in _files(folder)},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))


def _terms_now(site: Site) -> Terms:
    known = record.read(site.state)
    secrets = vault.load(site.secrets, asks())
    return Terms(
        site=site, outer=os.environ, ports=known.ports, secrets=secrets, profile="development"
    )


def _schemas(services: tuple[str, ...]) -> list[str]:
    return [f"--schema={name}" for name in services]


def _pack(folder: Path, file: Path) -> None:
    """Write the tar beside its place, on the disk, then give it its name: an interruption leaves no half."""
    fresh = file.with_name(file.name + ".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w") as tar:
            for path in sorted(_files(folder), key=lambda p: p.name != MANIFEST):
                tar.add(path, str(path.relative_to(folder)))
        raw.flush()
        os.fsync(raw.fileno())
    fresh.rename(file)


def restore(site: Site, file: Path) -> None:
    """Fill an empty data folder (or the person's empty DATABASE_URL) from a backup.

    YardError, and nothing changed, when the platform runs, a database is there, or the file is not whole.
    """
    if is_locked(site):
        raise YardError("the platform is up: `make down` first")
    if site.postgres.exists() or site.secrets.exists():
        raise YardError(f"{site.root} holds a platform: `make reset`, or set SWITCHYARD_DATA")
    began = time.monotonic()
    site.make()
    with tempfile.TemporaryDirectory(dir=site.root, prefix="restore-") as made:
        folder = Path(made)
        manifest = unpack(file, folder)
        with _placed(site, folder), locked(site):
            asyncio.run(_fill(site, folder, manifest))
    print(f"restored what was saved at {manifest['at']} in {time.monotonic() - began:.1f} s")
    print("`make up` starts it, and brings older schemas up to date")


def unpack(file: Path, folder: Path) -> dict[str, Any]:
    """Unpack a backup and return its manifest; YardError where a member is missing or was changed."""
    if not file.is_file():
        raise YardError(f"there is no file {file}")
    try:
        with tarfile.open(file, "r:") as tar:
            _extract(tar, folder)
        manifest = json.loads((folder / MANIFEST).read_text())
        wanted: dict[str, str] = manifest["files"]
        if manifest["format"] != FORMAT:
            raise YardError(f"{file} has format {manifest['format']}; this code reads {FORMAT}")
    except (OSError, tarfile.TarError, ValueError, KeyError) as trouble:
        raise YardError(f"{file} is no backup of ours, or not whole: {trouble}") from trouble
    for name, digest in wanted.items():
        if not (folder / name).is_file() or _digest(folder / name) != digest:
            raise YardError(f"{file} is damaged: {name} is not what was saved")
    return manifest


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    """Write plain files and folders below a folder, and nothing else; TarError where there is more in it."""
    if hasattr(tarfile, "data_filter"):
        tar.extractall(folder, filter="data")
        return
    for member in tar:  # Python before 3.11.4 has no filters, and Debian 12 has 3.11.2
        path = PurePosixPath(member.name)
        if not (member.isfile() or member.isdir()) or path.is_absolute() or ".." in path.parts:
            raise tarfile.TarError(f"{member.name} is no plain file below it")
    tar.extractall(folder)  # noqa: S202 - each member was looked at


@contextmanager
def _placed(site: Site, folder: Path) -> Generator[None]:
    """Put secrets and pictures in their place; take them and a half-made cluster away again on failure."""
    shutil.copyfile(folder / SECRETS, site.secrets)
    site.secrets.chmod(0o600)
    if (folder / AVATARS).exists():
        shutil.copytree(folder / AVATARS, site.avatars, dirs_exist_ok=True)
    try:
        yield
    except BaseException:
        for place in (site.postgres, site.avatars):
            shutil.rmtree(place, ignore_errors=True)
        site.secrets.unlink(missing_ok=True)
        raise


async def _fill(site: Site, folder: Path, manifest: dict[str, Any]) -> None:
    terms = terms_for(site, os.environ, public=ports.draw(()), trial=False, database_only=True)
    async with running(terms, _silent):
        await asyncio.to_thread(_load, database_url(terms), folder / DUMP, manifest)


def _silent(_name: str, _entry: Entry) -> None:
    """Nobody needs to hear of two stores that start."""


def _load(url: str, dump: Path, manifest: dict[str, Any]) -> None:
    """Make the roles, load the dump in one transaction, set what the roles had set."""
    names = ", ".join(f"'{name}'" for name in manifest["services"])
    there = _ask(url, f"SELECT nspname FROM pg_namespace WHERE nspname IN ({names})")  # noqa: S608 - our own names
    if there:
        raise YardError(f"the database holds the schema {there[0][0]} already: give an empty one")
    known = {row[0] for row in _ask(url, "SELECT rolname FROM pg_roles")}
    for name in set(manifest["services"]) - known:  # their passwords are set by the migration
        _ask(url, f'CREATE ROLE "{name}" LOGIN')
    _pg("pg_restore", url, "--exit-on-error", "--single-transaction", str(dump))
    database = urlsplit(url).path.lstrip("/")
    for role, setting in manifest["settings"]:
        key, _, value = setting.partition("=")
        _ask(url, f'ALTER ROLE "{role}" IN DATABASE "{database}" SET {key} = \'{value}\'')


def _ask(url: str, sql: str) -> list[list[str]]:
    said = _pg("psql", url, "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-c", sql)
    return [line.split("\t") for line in said.splitlines()]


def _pg(program: str, url: str, *words: str) -> str:
    """Run one of PostgreSQL's programs on a database and return what it printed; YardError with its complaint.

    The address goes by the environment: a password in the words would stand in the list of processes.
    """
    binary = stores.postgres_binaries() / program
    env = {"PATH": os.defpath, "LC_ALL": "C", "PGCONNECT_TIMEOUT": "10", **_libpq(url)}
    target = ["-d", env["PGDATABASE"]] if program == "pg_restore" else []
    done = subprocess.run(
        [str(binary), *target, *words], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise YardError(f"{program} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def _libpq(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {
        "PGHOST": parts.hostname or "localhost",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or "postgres"),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/") or "postgres",
    }


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
