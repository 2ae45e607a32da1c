"""`make migrate`: the schemas of the running platform, brought up to date while it serves."""

import os
import subprocess

from yard import YardError, record, roster, vault
from yard.session import is_locked
from yard.site import Site
from yard.terms import Terms, asks


def migrate(site: Site, name: str) -> int:
    """Migrate all services or one; return the exit status."""
    if not is_locked(site):
        raise YardError("the platform is not up: `make up` (which migrates too)")
    services = asks()
    if name and name not in services:
        raise YardError(f"there is no service {name!r}; there is: {', '.join(services)}")
    ports, secrets = record.read(site.state).ports, vault.load(site.secrets, services)
    terms = Terms(site=site, outer=os.environ, ports=ports, secrets=secrets, profile="development")
    unit = roster.migration(terms, (name,) if name else tuple(services), ())
    return subprocess.run(unit.command, env=dict(unit.env), cwd=unit.cwd, check=False).returncode
