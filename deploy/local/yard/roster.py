"""Which processes there are, and what each waits for before it starts.

Stores, then the migrations, then the services in the order in which they ask each other
(`deploy/service-graph.yaml`), then the agent that replicates API keys from iam, then Envoy.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterable

from yard import YardError, probes, stores
from yard.probes import Probe
from yard.site import CHECKOUT
from yard.terms import GRAPH, Asks, Terms, base_env, gate_env, migration_env, service_env
from yard.unit import Unit


def units(terms: Terms, services: Asks) -> list[Unit]:
    """Return all units of a run."""
    found = _stores(terms)
    if terms.database_only:
        return found
    _all_there(services)
    present = {unit.name for unit in found}
    found.append(migration(terms, tuple(services), tuple(present & {"postgres"})))
    for name, asked in services.items():
        found.append(_service(terms, name, ("migrate", *(present & {"valkey"}), *asked)))
    return [*found, *_gateway(terms, tuple(services))]


def _stores(terms: Terms) -> list[Unit]:
    """Return the stores that the person did not bring."""
    found: list[Unit] = []
    env = base_env(terms.outer)
    if not terms.outer.get("DATABASE_URL"):
        port, password = terms.ports["postgres"]["tcp"], terms.secrets["postgres"]
        found.append(stores.postgres(terms.site, port, env, password, careless=terms.careless))
    if not terms.outer.get("REDIS_URL"):
        port, password = terms.ports["valkey"]["tcp"], terms.secrets["valkey"]
        found.append(stores.valkey(terms.site, port, env, password, careless=terms.careless))
    return found


def _all_there(services: Asks) -> None:
    """Say at once, rather than after a minute, that a part is not installed."""
    for name in (*services, "gate"):
        if importlib.util.find_spec(name) is None:
            raise YardError(
                f"{name} cannot start: no package `{name}` here (was `make setup` run?)"
            )


def migration(terms: Terms, services: Iterable[str], needs: tuple[str, ...]) -> Unit:
    """Return the task that brings roles and schemas up to date: one process for all services."""
    return Unit(
        name="migrate",
        command=(sys.executable, "-m", "schemas", *services),
        env=migration_env(terms, services),
        needs=needs,
        once=True,
        cwd=CHECKOUT,
        hint="The schema is not up to date. `make reset` begins with an empty database.",
    )


def _service(terms: Terms, name: str, needs: tuple[str, ...]) -> Unit:
    return Unit(
        name=name,
        command=(sys.executable, "-m", name, "serve"),
        env=service_env(terms, name),
        needs=needs,
        ready=probe(terms, name),
        cwd=CHECKOUT,
    )


def _gateway(terms: Terms, services: tuple[str, ...]) -> list[Unit]:
    """Return the parts of the gate: its configuration, the key agent, Envoy."""
    site, env, gate = terms.site, gate_env(terms), (sys.executable, "-m", "gate")
    render = ("render", "--graph", str(GRAPH), "--state", str(site.state), "--out", str(site.gate))
    envoy = (str(stores.envoy_binary()), "-c", str(site.gate / "envoy.yaml"))
    quiet = ("--disable-hot-restart", "--concurrency", "2", "-l", "warn")
    return [
        Unit(name="render", command=(*gate, *render), env=env, once=True, cwd=CHECKOUT),
        Unit(
            name="key-agent",
            command=(*gate, "agent"),
            env=env,
            needs=("iam",),
            ready=probe(terms, "key-agent"),
            cwd=CHECKOUT,
        ),
        Unit(
            name="gateway",
            command=(*envoy, *quiet),
            env=base_env(terms.outer),
            needs=("render", "key-agent", *services),
            ready=probe(terms, "gateway"),
            cwd=CHECKOUT,
        ),
    ]


def probe(terms: Terms, name: str) -> Probe | None:
    """Return how to ask a process by name whether it is ready; None for what cannot be asked."""
    ports = terms.ports.get(name, {})
    special: dict[str, Callable[[], Probe]] = {
        "postgres": lambda: probes.postgres(ports["tcp"]),
        "valkey": lambda: probes.valkey(ports["tcp"], terms.secrets["valkey"]),
        "gateway": lambda: probes.http(ports["admin"], "/ready"),
        "key-agent": lambda: probes.file(terms.site.keylog / "epoch"),
    }
    if name in special:
        return special[name]()
    return probes.http(ports["http"], "/readyz") if "http" in ports else None
