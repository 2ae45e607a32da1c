"""Who runs where: read from the service graph, and from the local supervisor's state when there is one.

Without a state the ports and host names are the graph's (a container per service, host = its name);
with one, everything runs on the loopback address on the ports that the supervisor chose.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from gate.shapes import Doc

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that one process listens on."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Service:
    """A service behind the gate; several endpoints are several replicas."""

    name: str
    http: tuple[Endpoint, ...]
    grpc: tuple[Endpoint, ...]
    # Modules of generated code whose gRPC services are let through to it.
    protos: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Everything that the configuration needs to know about addresses."""

    services: tuple[Service, ...]
    # Addresses are numbers (True) or names that DNS resolves, again and again (False).
    fixed: bool
    bind: str
    public: int
    admin: int
    metrics: int
    keylog: str
    urls: Mapping[str, str]
    # Full gRPC method names (package.Service/Method) that only services may call.
    internal_rpcs: frozenset[str]


def load(graph: Path, state: Path | None) -> Topology:
    """Return the topology of a service graph (YAML), placed by a state file (JSON) if given."""
    document = cast("Doc", yaml.safe_load(graph.read_text()))
    placed = cast("Doc", json.loads(state.read_text())) if state else None
    return topology(document, placed)


def topology(graph: Doc, state: Doc | None) -> Topology:
    """Return the topology of a parsed graph and state; `KeyError` names what is missing."""
    gateway = graph["gateway"]
    ports: Doc = dict(state["ports"]["gateway"]) if state else dict(gateway["ports"])
    return Topology(
        services=tuple(_service(graph, state, name) for name in gateway["asks"]),
        fixed=state is not None,
        bind=LOOPBACK if state else "0.0.0.0",  # noqa: S104 - a container's port is published on purpose
        public=ports["public"],
        admin=ports["admin"],
        metrics=ports["metrics"],
        keylog=(state or {}).get("paths", {}).get("keylog", "/run/keylog"),
        urls=(state or {}).get("urls", {}),
        internal_rpcs=frozenset(gateway.get("internal_rpcs", ())),
    )


def _service(graph: Doc, state: Doc | None, name: str) -> Service:
    declared = graph["services"][name]
    ports = state["ports"][name] if state else declared["ports"]
    host = LOOPBACK if state else name
    return Service(
        name=name,
        http=_endpoints(host, ports["http"]),
        grpc=_endpoints(host, ports["grpc"]),
        protos=(f"switchyard.{name}.v1.{name}_pb2", *declared.get("protos", ())),
    )


def _endpoints(host: str, ports: Any) -> tuple[Endpoint, ...]:  # noqa: ANN401 - a port or a list of them
    many = cast("list[int]", ports) if isinstance(ports, list) else [cast("int", ports)]
    return tuple(Endpoint(host, port) for port in many)
