"""The components: each joins the base, is valid for Kubernetes, and opens or scales nothing that it should not."""

import os
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPONENTS = sorted(path.name for path in (ROOT / "deploy/k8s/components").iterdir())
SERVICES = ("iam", "flags", "experiments", "audit", "compute")
# Kinds of operators: kubernetes-validate knows only what every cluster has.
FOREIGN = (
    "monitoring.coreos.com",
    "external-secrets.io",
    "gateway.networking.k8s.io",
    "keda.sh",
    "postgresql.cnpg.io",
)


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """Return what builds the base with components."""
    if not (kubectl := shutil.which("kubectl")):
        pytest.skip("kubectl is not on this machine: it builds the overlays")

    def build(*components):
        folder = tmp_path_factory.mktemp("overlay")
        there = os.path.relpath(ROOT / "deploy/k8s", folder.resolve())
        wanted = {
            "resources": [f"{there}/base"],
            "components": [f"{there}/components/{name}" for name in components],
            "namespace": "switchyard",
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
        built = subprocess.run(
            [kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False
        )
        assert built.returncode == 0, built.stderr
        return [document for document in yaml.safe_load_all(built.stdout) if document]

    return build


def of(objects, kind):
    return {o["metadata"]["name"]: o for o in objects if o["kind"] == kind}


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_joins_the_base_and_is_valid(name, joined):
    for each in joined(name):
        if each["apiVersion"].partition("/")[0] not in FOREIGN:
            kubernetes_validate.validate(each, "1.37", strict=True)
        if each["kind"] != "Namespace":
            assert each["metadata"]["namespace"] == "switchyard", each["metadata"]["name"]


def test_all_but_one_scaler_can_be_taken_together(joined):
    joined(*(name for name in COMPONENTS if name != "keda"))
    joined(*(name for name in COMPONENTS if name != "hpa"))


def test_every_workload_has_a_budget_that_lets_its_node_be_drained(joined):
    budgets = of(joined("pdb"), "PodDisruptionBudget")
    assert set(budgets) == {*SERVICES, "gateway"}
    for name, budget in budgets.items():
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] == name


@pytest.mark.parametrize(
    ("component", "kind"), [("hpa", "HorizontalPodAutoscaler"), ("keda", "ScaledObject")]
)
def test_who_is_scaled_has_no_number_of_replicas_of_its_own(component, kind, joined):
    objects = joined(component)
    scaled = {o["spec"]["scaleTargetRef"]["name"] for o in of(objects, kind).values()}
    assert "flags" in scaled
    for name in scaled:
        assert "replicas" not in of(objects, "Deployment")[name]["spec"]


def test_every_secret_of_the_base_can_come_from_outside(joined):
    objects = joined("external-secrets")
    there = {
        (name, entry["secretKey"])
        for name, secret in of(objects, "ExternalSecret").items()
        for entry in secret["spec"]["data"]
    }
    for workload in [*of(objects, "Deployment").values(), *of(objects, "Job").values()]:
        spec = workload["spec"]["template"]["spec"]
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            for entry in container["env"]:
                wanted = entry.get("valueFrom", {}).get("secretKeyRef")
                if wanted and wanted["name"] != "iam-objects":  # a bucket is a choice
                    assert (wanted["name"], wanted["key"]) in there


def test_traces_go_where_the_policy_lets_them(joined):
    objects = joined("otel")
    settings = next(o for o in objects if o["kind"] == "ConfigMap")["data"]
    assert settings["SWITCHYARD_OTLP_ENDPOINT"].endswith(":4317")
    (rule,) = of(objects, "NetworkPolicy")["traces"]["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 4317}]


def test_prometheus_reaches_metrics_and_nothing_else(joined):
    (rule,) = of(joined("monitoring"), "NetworkPolicy")["scraping"]["spec"]["ingress"]
    assert rule["ports"] == [
        {"protocol": "TCP", "port": 8001, "endPort": 8005},
        {"protocol": "TCP", "port": 9902},
    ]
