"""What deploy/trial/k8s.sh rehearses: the overlay is what it says, and a restricted cluster lets its clients in."""

import ast
import re
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from deploy.trial import reach

ROOT = Path(__file__).parents[2]
EVERYBODY = {"iam", "flags", "experiments", "audit", "compute", "gateway"}


@pytest.fixture(scope="module")
def clients():
    """The Pod of clients.yaml, and its container."""
    objects = list(yaml.safe_load_all((ROOT / "deploy/trial/k8s/clients.yaml").read_text()))
    for each in objects:
        kubernetes_validate.validate(each, "1.37", strict=True)
    pod = next(each for each in objects if each["kind"] == "Pod")
    return pod["spec"], pod["spec"]["containers"][0]


def test_two_of_each_with_budgets_take_their_leave_as_in_production(overlay):
    objects = overlay("../trial/k8s")
    replicas = {
        o["metadata"]["name"]: o["spec"]["replicas"] for o in objects if o["kind"] == "Deployment"
    }
    assert replicas == dict.fromkeys(EVERYBODY, 2)
    assert {
        o["metadata"]["name"] for o in objects if o["kind"] == "PodDisruptionBudget"
    } == EVERYBODY
    delays = [
        each["data"]["SWITCHYARD_SHUTDOWN_DELAY"]
        for name in ("../trial/k8s", "overlays/prod")
        for each in overlay(name)
        if each["kind"] == "ConfigMap"
    ]
    assert len(set(delays)) == 1


def test_the_clients_keep_to_the_restricted_profile(clients):
    spec, container = clients
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_clients_are_given_every_file_of_ours_that_they_import(clients):
    spec, container = clients
    mounted = {i["path"] for v in spec["volumes"] for i in v.get("configMap", {}).get("items", ())}
    module = container["command"][2].split(".")
    assert "/".join(module[1:]) + ".py" in mounted
    for path in mounted:
        tree = ast.parse((ROOT / "tests" / path).read_text())
        wanted = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
        ours = {
            name.split(".", 1)[1].replace(".", "/") + ".py"
            for name in wanted
            if name.startswith("tests.")
        }
        assert ours <= mounted


def admits(policies, pod, side, peer, port):
    """Whether the policies that select a pod let it have `peer` as the other end; None is of another namespace."""
    kind = {"ingress": "Ingress", "egress": "Egress"}[side]
    chosen = [p for p in policies if kind in p["policyTypes"] and selects(p["podSelector"], pod)]
    rules = [rule for policy in chosen for rule in policy.get(side, ())]
    return not chosen or any(
        port in [each["port"] for each in rule["ports"]]
        and names(rule.get({"ingress": "from", "egress": "to"}[side]), peer)
        for rule in rules
    )


def names(peers, pod):
    if peers is None:
        return True
    own = [p["podSelector"] for p in peers if set(p) == {"podSelector"}]
    return pod is not None and any(selects(selector, pod) for selector in own)


def selects(selector, labels):
    return selector.get("matchLabels", {}).items() <= labels.items()


def labels_of(name, component):
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/component": component}


@pytest.mark.parametrize("part", ["stranger", "unlabelled", "migration", *sorted(EVERYBODY)])
def test_the_policies_open_to_each_part_what_the_rehearsal_tries(part, overlay, graph):
    policies = [o["spec"] for o in overlay("../trial/k8s") if o["kind"] == "NetworkPolicy"]
    pods = {name: labels_of(name, "service") for name in graph["services"]}
    pods |= {name: labels_of(name, "store") for name in graph["stores"]}
    pods["gateway"] = labels_of("gateway", "gateway")
    source = {"stranger": None, "unlabelled": {}, "migration": labels_of("iam", "migration")}
    pod = (pods | source)[part]
    opened = {
        (name, port)
        for name, port in reach.ends(graph)
        if name != part
        and admits(policies, pods[name], "ingress", pod, port)
        and (pod is None or admits(policies, pod, "egress", pods[name], port))
    }
    assert opened == reach.open_to(graph, part)


def test_what_is_open_and_should_not_be_is_told_and_so_is_what_is_closed():
    store, gate = ("postgres", 5432), ("gateway", 8080)
    found = {store: [True, False], gate: [True, False], ("iam", 9001): []}
    assert reach.faults("stranger", {gate}, found) == [
        "stranger knows no address of ('iam', 9001)",
        "stranger reaches ('postgres', 5432)",
        "stranger does not reach ('gateway', 8080)",
    ]
    assert reach.faults("stranger", {gate}, {store: [False], gate: [True]}) == []


def test_the_strangers_keep_to_the_restricted_profile_and_bear_no_label_of_ours():
    text = (ROOT / "deploy/trial/k8s/strangers.yaml").read_text()
    for pod in yaml.safe_load_all(text):
        kubernetes_validate.validate(pod, "1.37", strict=True)
        security = pod["spec"]["containers"][0]["securityContext"]
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert not any("kubernetes.io" in key for key in pod["metadata"].get("labels", {}))


@pytest.mark.parametrize("name", ["k8s.sh", "upgrade.sh", "clients.sh"])
def test_a_rehearsal_is_shell_and_what_it_names_is_there(name):
    script = ROOT / "deploy/trial" / name
    read = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")
    named = re.findall(r"\b(?:deploy|tests)/[\w./-]+\.(?:yaml|py|sh)\b", script.read_text())
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]


def test_no_script_denies_a_command_where_the_shell_does_not_look():
    """`set -e` lets a failing `! command` pass: the check for a second apply had never refused anything."""
    scripts = [*ROOT.glob("deploy/**/*.sh"), *ROOT.glob(".ci/*"), ROOT / "Makefile"]
    for path in scripts:
        denied = re.findall(r"^\s*!\s.*", path.read_text(), re.MULTILINE)
        assert not denied, f"{path.name}: {denied}"


@pytest.mark.parametrize("name", ["overlays/dev", "../trial/k8s"])
def test_a_volume_is_given_to_its_group_once(name, overlay):
    """At each start it would open PostgreSQL's folder to its group, and PostgreSQL would not start a second time."""
    for each in overlay(name):
        if each["kind"] == "StatefulSet":
            security = each["spec"]["template"]["spec"]["securityContext"]
            assert security["fsGroupChangePolicy"] == "OnRootMismatch", each["metadata"]["name"]
