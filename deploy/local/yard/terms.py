"""What one run is made from, and what each process is told of it through its environment.

A service is given its own database role and nobody else's (law 7); the administrator's address
goes to its migration only. What a person sets in their own environment (log level, tracing
endpoint, stores or a service of their own) wins over what is chosen here.
"""

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit

from yard.site import CHECKOUT, IMAGES, Site

GRAPH = CHECKOUT / "deploy" / "service-graph.yaml"
LOOPBACK = "127.0.0.1"
DATABASE, TEST_DATABASE = "switchyard", "switchyard_test"
ADMIN_PASSWORD = "changeme"  # noqa: S105 - development only, production refuses it
# Of make's own variables none is for our children: a jobserver that is gone, another make's flags.
NOT_PASSED_ON = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKE_TERMOUT", "MAKE_TERMERR")
# A variable that begins so and ends so ties a run to something real.
OURS = ("SWITCHYARD_", "IAM_", "FLAGS_", "EXPERIMENTS_", "AUDIT_", "COMPUTE_", "GATE", "TEST_")
TIES = ("DATABASE_URL", "REDIS_URL", "_ADDRESS", "_PORT", "_HOST", "_ISSUER", "_PROFILE", "_SECRET")

Ports = dict[str, dict[str, int]]
Asks = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One run's place, addresses and secrets. `careless` stores may lose data in a power cut."""

    site: Site
    outer: Mapping[str, str]
    ports: Ports
    secrets: Mapping[str, str]
    profile: str
    careless: bool = False
    database_only: bool = False


def asks() -> Asks:
    """Return each service with those that it asks while a request waits (the service graph)."""
    import yaml  # the one part that is not in the standard library; only a start needs it

    graph: dict[str, Any] = yaml.safe_load(GRAPH.read_text())
    return {name: tuple(entry["may_ask"]) for name, entry in graph["services"].items()}


def doors(services: Asks) -> list[tuple[str, str]]:
    """Return everything that needs an internal port (the gateway's public one is the person's)."""
    inner = [(name, door) for name in services for door in ("http", "grpc")]
    gate = [("gateway", "admin"), ("gateway", "metrics")]
    return [*inner, *gate, ("postgres", "tcp"), ("valkey", "tcp")]


def urls(terms: Terms, services: Asks) -> dict[str, str]:
    """Return where people and tests find things (no passwords)."""
    found = {name: _url(terms, name, "http") for name in services}
    gate = {"gateway": _url(terms, "gateway", "public")}
    return found | gate | {"gateway_admin": _url(terms, "gateway", "admin")}


def paths(site: Site) -> dict[str, str]:
    """Return the folders that others look into."""
    named = {"keylog": site.keylog, "log": site.log, "gate": site.gate, "data": site.root}
    return {name: str(path) for name, path in (named | {"graph": GRAPH}).items()}


def database_url(terms: Terms, database: str = DATABASE) -> str:
    """Return the administrator's address: the person's DATABASE_URL, else our own server's."""
    place = f"{LOOPBACK}:{terms.ports['postgres']['tcp']}/{database}"
    own = f"postgresql://postgres:{terms.secrets['postgres']}@{place}"
    return terms.outer.get("DATABASE_URL") or own


def redis_url(terms: Terms, number: int = 0) -> str:
    """Return the person's REDIS_URL, else our own server's."""
    own = f"redis://:{terms.secrets['valkey']}@{LOOPBACK}:{terms.ports['valkey']['tcp']}/{number}"
    return terms.outer.get("REDIS_URL") or own


def role_url(admin: str, role: str, password: str) -> str:
    """Return an address with another role and password in it."""
    parts = urlsplit(admin)
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}:{quote(password, safe='')}@{place}").geturl()


def base_env(outer: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that every child starts from."""
    env = {key: value for key, value in outer.items() if key not in NOT_PASSED_ON}
    return {"PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "1"} | env


def shared_env(terms: Terms) -> dict[str, str]:
    """Return what all of our own processes are told."""
    inside = {name: ports["grpc"] for name, ports in terms.ports.items() if "grpc" in ports}
    chosen = {
        "SWITCHYARD_REDIS_URL": redis_url(terms),
        "SWITCHYARD_HTTP_HOST": LOOPBACK,
        "SWITCHYARD_GRPC_HOST": LOOPBACK,
        "SWITCHYARD_PROFILE": terms.profile,
        "SWITCHYARD_ISSUER": _url(terms, "gateway", "public"),
        "SWITCHYARD_AUDIENCE": "switchyard",
        "SWITCHYARD_MESH_SECRET": terms.secrets["mesh"],
        "SWITCHYARD_BUILD_ID": build_id(),
        "SWITCHYARD_SHUTDOWN_DELAY": "0",
        **{f"SWITCHYARD_{n.upper()}_ADDRESS": f"{LOOPBACK}:{port}" for n, port in inside.items()},
    }
    return chosen | base_env(terms.outer)


def service_env(terms: Terms, name: str) -> dict[str, str]:
    """Return everything that a service is told."""
    prefix, own = name.upper(), terms.ports[name]
    special = {
        "iam": _only_iam,
        "compute": _only_compute,
        "flags": _only_flags,
        "audit": _only_audit,
    }
    first = special[name](terms) if name in special else {}
    ports = {f"{prefix}_HTTP_PORT": str(own["http"]), f"{prefix}_GRPC_PORT": str(own["grpc"])}
    return _own_role(terms, name) | first | shared_env(terms) | ports


def migration_env(terms: Terms, services: Iterable[str]) -> dict[str, str]:
    """Return what the migrations are told: every service's role, and the administrator's address."""
    env = base_env(terms.outer)
    for name in services:
        env = _own_role(terms, name) | env
        env[f"{name.upper()}_ADMIN_DATABASE_URL"] = database_url(terms)
    return env


def _own_role(terms: Terms, name: str) -> dict[str, str]:
    url = role_url(database_url(terms), name, terms.secrets[f"role_{name}"])
    return {f"{name.upper()}_DATABASE_URL": url}


def gate_env(terms: Terms) -> dict[str, str]:
    """Return what the gate's own processes are told."""
    told = {
        "GATE_IAM_ADDRESS": f"{LOOPBACK}:{terms.ports['iam']['grpc']}",
        "GATE_KEYLOG_DIR": str(terms.site.keylog),
    }
    return told | shared_env(terms)


def _only_flags(terms: Terms) -> dict[str, str]:
    """Return where the last good state of each environment is kept."""
    return {"FLAGS_SNAPSHOT_DIR": str(terms.site.snapshots)}


def _only_iam(terms: Terms) -> dict[str, str]:
    """Return where pictures are kept, and the first administrator and key: for development, refused in production."""
    # A test on a busy machine may outlive a token of ten minutes.
    quick = {"IAM_PASSWORD_PROFILE": "test", "IAM_ACCESS_SECONDS": "3600"}
    return {
        "IAM_STORAGE_DIR": str(terms.site.avatars),
        "IAM_BOOTSTRAP_ADMIN_PASSWORD": ADMIN_PASSWORD,
        "IAM_BOOTSTRAP_API_KEY": terms.secrets["api_key"],
        **(quick if terms.profile == "test" else {"IAM_PASSWORD_PROFILE": "compat"}),
    }


def _only_audit(terms: Terms) -> dict[str, str]:
    """Return how often it is told who reads a log: never where tests count the entries."""
    return {"AUDIT_VIEWS_EVERY_SECONDS": "0"} if terms.profile == "test" else {}


def _only_compute(terms: Terms) -> dict[str, str]:
    """Return where virtual machines live, and where the template lies that they are made from."""
    folders = {
        "COMPUTE_GUESTS_DIR": str(terms.site.guests),
        "COMPUTE_IMAGES_DIR": str(IMAGES),
    }
    # A guest of a test boots beside everything else that the test does, on whatever machine that is.
    return folders | ({"COMPUTE_BOOT_SECONDS": "120"} if terms.profile == "test" else {})


def outer_for_trial(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what would tie a throw-away run to something real."""
    known = {
        key: value for key, value in environ.items() if key not in ("DATABASE_URL", "REDIS_URL")
    }
    return {k: v for k, v in known.items() if not (k.startswith(OURS) and k.endswith(TIES))}


@cache
def build_id() -> str:
    """Return the commit that runs, where git can say."""
    asking = ["git", "rev-parse", "--short=12", "HEAD"]
    try:
        asked = subprocess.run(asking, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    except OSError:
        return "local"
    return asked.stdout.strip() or "local"


def _url(terms: Terms, owner: str, door: str) -> str:
    return f"http://{LOOPBACK}:{terms.ports[owner][door]}"
