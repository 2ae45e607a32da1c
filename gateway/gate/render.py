"""All parts together: Envoy's whole configuration, as a value and as files."""

from pathlib import Path

import yaml

from gate import certificate, static
from gate.clusters import GATES, clusters, connection_limit
from gate.doors import doors
from gate.graph import LOOPBACK, Topology
from gate.listeners import listeners
from gate.routes import grpc_routes, service_routes
from gate.settings import Settings
from gate.shapes import Doc

# Everything else (config_dump, quitquitquit, ...) answers 403 even on loopback.
ADMIN_PATHS: list[Doc] = [
    {"exact": "/ready"},
    {"prefix": "/stats"},
    {"exact": "/healthcheck/fail"},
    {"exact": "/healthcheck/ok"},
    {"prefix": "/drain_listeners"},
]


def render(document: Doc, topology: Topology, settings: Settings, out: Path) -> Doc:
    """Return Envoy's configuration for an OpenAPI document; `out` holds the files that it serves."""
    entry_doors = doors(document)
    hot = [d for d in entry_doors if d.hot]
    others = [d for d in entry_doors if not d.hot]
    routes = [
        *service_routes(hot, topology, settings),
        *grpc_routes(topology, settings),
        *static.routes(out),
        *service_routes(others, topology, settings),
        static.nothing_here(),
    ]
    return {
        "node": {"id": "gateway", "cluster": "gateway"},
        "admin": _admin(topology),
        "cluster_manager": {"local_cluster_name": GATES},
        "layered_runtime": {
            "layers": [{"name": "static", "static_layer": {}}, {"name": "admin", "admin_layer": {}}]
        },
        "overload_manager": connection_limit(settings.limits),
        "static_resources": {
            "listeners": listeners(
                topology, settings, routes, certificate.socket(settings.tls, out)
            ),
            "clusters": clusters(topology, settings),
        },
    }


def write(document: Doc, topology: Topology, settings: Settings, out: Path) -> Path:
    """Write `envoy.yaml` and what it serves into `out`; return the configuration's path."""
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    static.write(document, out)
    certificate.write(settings.tls, out)
    config = out / "envoy.yaml"
    text = yaml.dump(
        render(document, topology, settings, out), Dumper=_Plain, sort_keys=False, width=120
    )
    config.write_text(text)
    return config


def _admin(topology: Topology) -> Doc:
    return {
        "address": {"socket_address": {"address": LOOPBACK, "port_value": topology.admin}},
        "allow_paths": ADMIN_PATHS,
        "ignore_global_conn_limit": True,
    }


class _Plain(yaml.SafeDumper):
    """YAML without anchors: each route can be read by itself."""

    def ignore_aliases(self, data: object) -> bool:
        return True
