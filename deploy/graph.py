"""What follows from `service-graph.yaml`: Dockerfiles, the Kubernetes base, network policies, the diagram.

    python deploy/graph.py            write them
    python deploy/graph.py --check    write nothing; name what differs and fail

The output is committed, so that it can be read, reviewed and applied without running anything. Kubernetes' Jobs
are named by the newest revision of each service's migrations: a new migration is a reason to run this too.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
GRAPH = ROOT / "deploy" / "service-graph.yaml"
MADE = "# Made by `python deploy/graph.py` from deploy/service-graph.yaml: edit that.\n"
Graph = Mapping[str, Any]
Doc = dict[str, Any]


def outputs(graph: Graph, root: Path = ROOT) -> dict[Path, str]:
    """Return every derived file: its path below the root and its text."""
    image = (root / "deploy/docker/service.Dockerfile").read_text()
    manifests = (root / "deploy/k8s/templates/service.yaml").read_text()
    made: dict[Path, str] = {}
    for name in graph["services"]:
        values = values_of(graph, name) | {"revision": _label(revision(root, name))}
        made[Path("services", name, "Dockerfile")] = fill(image, values)
        made[Path("deploy/k8s/base", f"{name}.yaml")] = fill(manifests, values)
    made[Path("deploy/k8s/base/network-policies.yaml")] = _documents(policies(graph))
    made[Path("docs/service-graph.md")] = page(graph)
    return made


def values_of(graph: Graph, name: str) -> dict[str, str]:
    """Return what the templates want to know of a service."""
    ports = graph["services"][name]["ports"]
    return {"service": name, "SERVICE": name.upper()} | {d: str(p) for d, p in ports.items()}


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put values in place of `@name@`; `KeyError` for a name that has none."""
    return re.sub(r"@([A-Za-z_]+)@", lambda found: values[found[1]], template)


def revision(root: Path, service: str) -> str:
    """Return the newest revision of a service's migrations."""
    from alembic.script import ScriptDirectory

    folder = root / "services" / service / service / "migrations"
    head = ScriptDirectory(str(folder)).get_current_head() if folder.is_dir() else None
    if head is None:
        raise SystemExit(f"{folder.relative_to(root)} holds no migration")
    return head


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")


# ------------------------------------------------------------------ who may reach whom


def callers(graph: Graph, name: str) -> list[str]:
    """Return the services that call a service over gRPC: those that ask it, and those that tell it."""
    edges = {other: [*of["may_ask"], *of["tells"]] for other, of in graph["services"].items()}
    return [other for other, called in edges.items() if name in called and other != name]


def called(graph: Graph, name: str) -> list[str]:
    """Return the services that a service calls over gRPC."""
    return [other for other in graph["services"] if name in callers(graph, other)]


def policies(graph: Graph) -> list[Doc]:
    """Return NetworkPolicies: nothing passes, then exactly the edges of the graph."""
    services = graph["services"]
    return [
        _policy("default-deny", {}, [], []),
        _policy("dns", {}, None, [_dns()]),
        *(_service_policy(graph, name) for name in services),
        *(_migration_policy(graph, name) for name in services),
        _gateway_policy(graph),
        *(_store_policy(graph, store) for store in graph["stores"]),
    ]


def _service_policy(graph: Graph, name: str) -> Doc:
    ports = graph["services"][name]["ports"]
    entries = [_from([_gateway()], [ports["http"], ports["grpc"]])]
    if asking := callers(graph, name):
        entries.append(_from([_service(other) for other in asking], [ports["grpc"]]))
    grpc = [(_service(o), graph["services"][o]["ports"]["grpc"]) for o in called(graph, name)]
    exits = [*_to(grpc), *_stores(graph, name)]
    if graph["services"][name].get("outside"):
        exits.append(_internet())
    return _policy(name, _service(name), entries, exits)


def _internet() -> Doc:
    """What is outside, over TLS; the service itself sees to it that it is (libs/egress)."""
    inside = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"]
    block = {"cidr": "0.0.0.0/0", "except": inside}
    return {"to": [{"ipBlock": block}], "ports": [{"protocol": "TCP", "port": 443}]}


def _migration_policy(graph: Graph, name: str) -> Doc:
    return _policy(f"migrate-{name}", _pod(name, "migration"), [], _stores(graph, name, "postgres"))


def _gateway_policy(graph: Graph) -> Doc:
    gateway = graph["gateway"]
    exits = [
        (_service(other), port)
        for other in gateway["asks"]
        for port in graph["services"][other]["ports"].values()
    ]
    # From anywhere: it is what the outside world comes to.
    return _policy("gateway", _gateway(), [_from([], [gateway["ports"]["public"]])], _to(exits))


def _store_policy(graph: Graph, store: str) -> Doc:
    """Close the stores that run in this namespace; where they run elsewhere, this matches nothing."""
    users = [name for name, of in graph["services"].items() if store in of["stores"]]
    parts = [_service(name) for name in users]
    if store == "postgres":
        parts += [_pod(name, "migration") for name in users]
    return _policy(store, _store(store), [_from(parts, [graph["stores"][store]["port"]])], [])


def _stores(graph: Graph, name: str, *only: str) -> list[Doc]:
    used = [s for s in graph["services"][name]["stores"] if not only or s in only]
    return _to((_store(store), graph["stores"][store]["port"]) for store in used)


def _service(name: str) -> Doc:
    return _pod(name, "service")


def _gateway() -> Doc:
    return _pod("gateway", "gateway")


def _store(name: str) -> Doc:
    return _pod(name, "store")


def _pod(name: str, component: str) -> Doc:
    return {
        "matchLabels": {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/component": component,
        }
    }


def _dns() -> Doc:
    system = {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}
    server = {"matchLabels": {"k8s-app": "kube-dns"}}
    ports = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return {"to": [{"namespaceSelector": system, "podSelector": server}], "ports": ports}


def _from(pods: Iterable[Doc], ports: Iterable[int]) -> Doc:
    peers = [{"podSelector": pod} for pod in pods]
    return ({"from": peers} if peers else {}) | {"ports": _tcp(ports)}


def _to(places: Iterable[tuple[Doc, int]]) -> list[Doc]:
    return [{"to": [{"podSelector": pod}], "ports": _tcp([port])} for pod, port in places]


def _tcp(ports: Iterable[int]) -> list[Doc]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _policy(name: str, pods: Doc, entries: list[Doc] | None, exits: list[Doc]) -> Doc:
    """Return a policy; without `entries` it says nothing about what comes in.

    An empty list is left out, since an API server leaves it out: said, each `kubectl apply` would change the object.
    """
    rules = {kind: ends for kind, ends in (("ingress", entries), ("egress", exits)) if ends}
    kinds = ["Egress"] if entries is None else ["Ingress", "Egress"]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": pods, "policyTypes": kinds} | rules,
    }


class _Plain(yaml.SafeDumper):
    """YAML without anchors: a reader of one policy need not look at another."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _documents(documents: Iterable[Doc]) -> str:
    return MADE + yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, width=120)


# ------------------------------------------------------------------ for people


def page(graph: Graph) -> str:
    """Return docs/service-graph.md: the diagram, and the ports as a table."""
    return (
        "<!-- Made by `python deploy/graph.py` from deploy/service-graph.yaml: edit that. -->\n"
        "# Who runs where and who talks to whom\n\n"
        "A solid arrow asks while a request waits; a dotted one tells afterwards. Everything else is refused: by the\n"
        "NetworkPolicies in Kubernetes, which are made from the same graph as this page.\n\n"
        f"```mermaid\n{diagram(graph)}```\n\n{_table(graph)}"
    )


def diagram(graph: Graph) -> str:
    """Return the graph in mermaid's words."""
    services, gateway = graph["services"], graph["gateway"]
    lines = ["  world((world)) --> gateway{gateway}", *(f"  {n}[{n}]" for n in services)]
    lines += [f"  {store}[({store})]" for store in graph["stores"]]
    lines += [f"  gateway --> {name}" for name in gateway["asks"]]
    lines.append(f"  gateway -. replicates key hashes .-> {gateway['replicates_from']}")
    for name, of in services.items():
        lines += [f"  {name} --> {asked}" for asked in of["may_ask"]]
        lines += [f"  {name} -.-> {told}" for told in of["tells"] if told != name]
        lines += [f"  {name} --- {store}" for store in of["stores"]]
    return "flowchart LR\n" + "".join(f"{line}\n" for line in lines)


def _table(graph: Graph) -> str:
    rows = [("gateway", door, port) for door, port in graph["gateway"]["ports"].items()]
    rows += [(n, door, p) for n, of in graph["services"].items() for door, p in of["ports"].items()]
    rows += [(store, "tcp", of["port"]) for store, of in graph["stores"].items()]
    body = "".join(f"| {name} | {door} | {port} |\n" for name, door, port in rows)
    return "| who | door | port |\n|---|---|---|\n" + body


def main() -> int:
    """Write or check, and return the exit status."""
    parser = argparse.ArgumentParser(description="Derive files from deploy/service-graph.yaml.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    checking = parser.parse_args().check
    differing = stale(yaml.safe_load(GRAPH.read_text()))
    for path, text in differing.items():
        sys.stdout.write(f"{'differs' if checking else 'wrote'}: {path}\n")
        if not checking:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text)
    return int(checking and bool(differing))


def stale(graph: Graph, root: Path = ROOT) -> dict[Path, str]:
    """Return the derived files that are missing or differ from what the graph says now."""
    made = outputs(graph, root).items()
    return {p: t for p, t in made if not (root / p).is_file() or (root / p).read_text() != t}


if __name__ == "__main__":
    sys.exit(main())
