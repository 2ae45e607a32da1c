"""Who reaches whom on a cluster: tried from pods of every kind, and compared with the service graph.

    python -m deploy.trial.reach          (from the repository's root; deploy/trial/k8s.sh calls it)

Wants the platform of deploy/trial/k8s and the pods of strangers.yaml beside it on the cluster that KUBECONFIG names.
First it asks whether this cluster enforces NetworkPolicies at all, by a policy of its own that has nothing to do with
ours; where it does not, that is said and nothing is tried. Ends with 1 when a pod reaches what the graph gives it no
edge to, or does not reach what it does.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy import graph as derived

PLATFORM, TRIAL = "switchyard", "switchyard-trial"
SERVICE_OF = {"redis": "valkey", "gateway": "gateway-peers"}  # headless: one address for each pod
PATIENCE = 60.0  # seconds in which a policy, or a label, has to reach every node
End = tuple[str, int]
WALL = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "walled", "namespace": TRIAL},
    "spec": {"podSelector": {"matchLabels": {"app": "walled"}}, "policyTypes": ["Ingress"]},
}
# Runs inside of a pod: prints for each `host:port` which of its addresses take a connection.
PROBE = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def opens(address):
    for _ in range(2):
        try:
            socket.create_connection(address, 2).close()
            return True
        except OSError:
            pass
    return False

def addresses(place):
    host, _, port = place.rpartition(":")
    try:
        found = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        found = []
    return sorted({each[4] for each in found})

with ThreadPoolExecutor(60) as pool:
    known = list(pool.map(addresses, sys.argv[1:]))
    tries = [[pool.submit(opens, each) for each in some] for some in known]
    print(json.dumps([[each.result() for each in some] for some in tries]))
"""


def ends(graph: Mapping[str, Any]) -> set[End]:
    """Return (part, port) of everything that listens to other pods."""
    doors = {(n, p) for n, of in graph["services"].items() for p in of["ports"].values()}
    gate = graph["gateway"]["ports"]
    stores = {(name, of["port"]) for name, of in graph["stores"].items()}
    return doors | stores | {("gateway", gate["public"]), ("gateway", gate["metrics"])}


def open_to(graph: Mapping[str, Any], part: str) -> set[End]:
    """Return what a part may reach: a service, `gateway`, `migration`, `unlabelled`, `stranger` (elsewhere)."""
    services, stores = graph["services"], graph["stores"]
    if part in services:
        asked = {(other, services[other]["ports"]["grpc"]) for other in derived.called(graph, part)}
        return asked | {(store, stores[store]["port"]) for store in services[part]["stores"]}
    if part == "gateway":
        return {(n, p) for n in graph["gateway"]["asks"] for p in services[n]["ports"].values()}
    if part == "migration":
        return {("postgres", stores["postgres"]["port"])}
    return {("gateway", graph["gateway"]["ports"]["public"])} if part == "stranger" else set()


def kubectl(*words: str, given: str | None = None) -> str:
    """Run kubectl; return what it prints, `subprocess.CalledProcessError` when it fails."""
    command = ["kubectl", *words]
    return subprocess.run(
        command, input=given, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def reached(pod: tuple[str, ...], places: dict[End, str]) -> dict[End, list[bool]]:
    """Try every place from a pod (`kubectl exec`'s words for it)."""
    said = kubectl("exec", "-i", *pod, "--", "python", "-I", "-", *places.values(), given=PROBE)
    return dict(zip(places, json.loads(said), strict=True))


def tried(graph: Mapping[str, Any], part: str, pod: tuple[str, ...]) -> list[str]:
    """Return what is wrong for a part. A new pod's rules take a moment to be everywhere, so it has a while."""
    others = [
        end for end in sorted(ends(graph)) if end[0] != part
    ]  # its own address it always reaches
    places = {
        end: f"{SERVICE_OF.get(end[0], end[0])}.{PLATFORM}.svc.cluster.local:{end[1]}"
        for end in others
    }
    wrong: list[str] = []

    def right() -> bool:
        wrong[:] = faults(part, open_to(graph, part), reached(pod, places))
        return not wrong

    print(
        f"{part}: {'as the graph says' if until(right) else 'WRONG'}, {len(others)} tried",
        flush=True,
    )
    return wrong


def faults(part: str, wanted: set[End], found: dict[End, list[bool]]) -> list[str]:
    """Compare what may be reached with what was: for each end, which of its addresses took a connection."""
    unknown = [f"{part} knows no address of {end}" for end, some in found.items() if not some]
    opened = [
        f"{part} reaches {end}" for end, some in found.items() if any(some) and end not in wanted
    ]
    closed = [f"{part} does not reach {end}" for end in sorted(wanted) if not all(found[end])]
    return unknown + opened + closed


def enforced() -> bool:
    """Return whether a policy that lets nobody in to a pod keeps somebody out of it."""
    kubectl("-n", TRIAL, "delete", "--ignore-not-found", "networkpolicy", "walled")
    address = kubectl("-n", TRIAL, "get", "pod", "walled", "-o", "jsonpath={.status.podIP}")
    place = {("walled", 8000): f"{address}:8000"}
    stranger = ("-n", TRIAL, "stranger")
    if not until(lambda: any(reached(stranger, place)["walled", 8000])):
        raise SystemExit(
            "two pods without any policy do not reach one another: nothing to be seen here"
        )
    kubectl("apply", "-f", "-", given=json.dumps(WALL))
    return until(lambda: not any(reached(stranger, place)["walled", 8000]))


def until(holds: Callable[[], bool]) -> bool:
    """Ask until it holds, `PATIENCE` at most; return whether it did."""
    due = time.monotonic() + PATIENCE
    while not (there := holds()) and time.monotonic() < due:
        time.sleep(1)
    return there


def main() -> int:
    """Try everything; return 1 when something is open or closed that should not be."""
    graph = yaml.safe_load(Path(derived.GRAPH).read_text())
    if not enforced():
        print("this cluster does not enforce NetworkPolicies: nothing was tried")
        return 0
    wrong = tried(graph, "stranger", ("-n", TRIAL, "stranger"))
    wrong += tried(graph, "unlabelled", ("-n", PLATFORM, "unlabelled"))
    # The same pod with the labels of a migration: it was the labels that were wanting, and not the network.
    labels = ("app.kubernetes.io/name=iam", "app.kubernetes.io/component=migration")
    kubectl("-n", PLATFORM, "label", "pod", "unlabelled", *labels)
    wrong += tried(graph, "migration", ("-n", PLATFORM, "unlabelled"))
    for part in (*graph["services"], "gateway"):
        wrong += tried(graph, part, ("-n", PLATFORM, f"deployment/{part}", "-c", part))
    print("\n".join(wrong) or "every edge of the graph is open, and nothing else is")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
