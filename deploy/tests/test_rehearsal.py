"""What deploy/trial/k8s.sh rehearses: the overlay is what it says, and a restricted cluster lets its clients in."""

import ast
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

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


@pytest.mark.parametrize("name", ["overlays/dev", "../trial/k8s"])
def test_a_volume_is_given_to_its_group_once(name, overlay):
    """At each start it would open PostgreSQL's folder to its group, and PostgreSQL would not start a second time."""
    for each in overlay(name):
        if each["kind"] == "StatefulSet":
            security = each["spec"]["template"]["spec"]["securityContext"]
            assert security["fsGroupChangePolicy"] == "OnRootMismatch", each["metadata"]["name"]
