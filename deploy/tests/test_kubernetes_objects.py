"""The overlays: each builds, is valid for Kubernetes, restricted, and says what the graph and the services say."""

from pathlib import Path
from urllib.parse import urlsplit

import kubernetes_validate
import pytest

ROOT = Path(__file__).parents[2]
OVERLAYS = ("base", "overlays/dev", "overlays/prod", "overlays/cnpg", "overlays/airgap")
SERVICES = ("iam", "flags", "experiments", "audit", "compute")
KUBERNETES = ("1.32", "1.37")
WORKLOADS = ("Deployment", "StatefulSet", "Job")

in_each_overlay = pytest.mark.parametrize("name", OVERLAYS)


def of_kind(objects, *kinds):
    return [each for each in objects if each["kind"] in kinds]


def pods(objects):
    """Yield (workload's name, pod template) of everything that makes pods."""
    return [(w["metadata"]["name"], w["spec"]["template"]) for w in of_kind(objects, *WORKLOADS)]


def containers(objects):
    for name, template in pods(objects):
        spec = template["spec"]
        for each in [*spec.get("initContainers", []), *spec["containers"]]:
            yield f"{name}/{each['name']}", each


def servers(objects):
    """The containers that go on running (not those of Jobs, nor init containers)."""
    for workload in of_kind(objects, "Deployment", "StatefulSet"):
        for each in workload["spec"]["template"]["spec"]["containers"]:
            yield workload["metadata"]["name"], each


def named(objects, kind, name):
    return next(o for o in of_kind(objects, kind) if o["metadata"]["name"] == name)


@in_each_overlay
@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_one_that_kubernetes_knows(name, version, overlay):
    for each in overlay(name):
        if not each["apiVersion"].startswith("postgresql.cnpg.io/"):  # the operator's own kinds
            kubernetes_validate.validate(each, version, strict=True)


@in_each_overlay
def test_every_object_lives_in_our_namespace_and_says_whose_it_is(name, overlay):
    for each in overlay(name):
        if each["kind"] != "Namespace":
            assert each["metadata"]["namespace"] == "switchyard", each["metadata"]["name"]
    assert all(
        template["metadata"]["labels"]["app.kubernetes.io/component"]
        for _, template in pods(overlay(name))
    )


@in_each_overlay
def test_applying_again_changes_no_policy(name, overlay):
    """An API server leaves empty lists out; said, they are a change to each `kubectl apply`."""
    for policy in of_kind(overlay(name), "NetworkPolicy"):
        assert [] not in policy["spec"].values(), policy["metadata"]["name"]


@in_each_overlay
def test_a_strategy_says_its_type(name, overlay):
    """Left to the server, kubectl patches the Deployment at each apply to leave the server's type where it is."""
    for deployment in of_kind(overlay(name), "Deployment"):
        assert deployment["spec"]["strategy"]["type"] == "RollingUpdate"


@in_each_overlay
def test_no_two_objects_share_a_name(name, overlay):
    names = [(o["apiVersion"], o["kind"], o["metadata"]["name"]) for o in overlay(name)]
    assert len(names) == len(set(names))


@in_each_overlay
def test_every_pod_keeps_to_the_restricted_profile(name, overlay):
    for who, template in pods(overlay(name)):
        spec = template["spec"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, who
        assert security["runAsUser"] >= 100, who
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, who
        assert spec["automountServiceAccountToken"] is False, who
        assert spec["enableServiceLinks"] is False, who
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), who
        assert all({"emptyDir"} == set(v) - {"name"} for v in spec.get("volumes", [])), who


@in_each_overlay
def test_every_container_keeps_to_the_restricted_profile(name, overlay):
    for who, container in containers(overlay(name)):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False, who
        assert security["readOnlyRootFilesystem"] is True, who
        assert security["capabilities"] == {"drop": ["ALL"]}, who


@in_each_overlay
def test_every_container_has_requests_and_limits(name, overlay):
    for who, container in containers(overlay(name)):
        for bound in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(container["resources"][bound]), who


@in_each_overlay
def test_every_image_has_a_tag_that_stays(name, overlay):
    for who, container in containers(overlay(name)):
        _, colon, tag = container["image"].rpartition(":")
        assert colon, who
        assert tag != "latest", who


@in_each_overlay
def test_whatever_serves_has_all_three_probes(name, overlay):
    for who, container in servers(overlay(name)):
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), who


@in_each_overlay
def test_liveness_asks_nothing_that_is_shared(name, overlay):
    paths = {
        who: container["livenessProbe"]["httpGet"]["path"]
        for who, container in servers(overlay(name))
        if who in (*SERVICES, "gateway")
    }
    assert paths == dict.fromkeys(SERVICES, "/healthz") | {"gateway": "/ready"}


@in_each_overlay
def test_pods_are_given_longer_to_stop_than_they_take(name, overlay):
    objects = overlay(name)
    settings = shared_settings(objects)
    drain = float(settings["SWITCHYARD_SHUTDOWN_DELAY"]) + float(settings["GATE_DRAIN_TIME"])
    for deployment in of_kind(objects, "Deployment"):
        grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert grace > drain + 5, deployment["metadata"]["name"]


def shared_settings(objects):
    return next(
        o["data"]
        for o in of_kind(objects, "ConfigMap")
        if o["metadata"]["name"].startswith("switchyard-")
    )


@in_each_overlay
def test_ports_and_addresses_are_those_of_the_graph(name, overlay, graph):
    objects = overlay(name)
    for service, of in graph["services"].items():
        doors = {p["name"]: p["port"] for p in named(objects, "Service", service)["spec"]["ports"]}
        assert doors == of["ports"]
        address = shared_settings(objects)[f"SWITCHYARD_{service.upper()}_ADDRESS"]
        assert address == f"{service}:{of['ports']['grpc']}"
    listening = dict(servers(objects))["gateway"]["ports"]
    gateway = graph["gateway"]["ports"]
    assert {p["name"]: p["containerPort"] for p in listening} == {
        "public": gateway["public"],
        "metrics": gateway["metrics"],
    }


@in_each_overlay
def test_services_are_headless_so_that_grpc_spreads(name, overlay):
    for service in SERVICES:
        assert named(overlay(name), "Service", service)["spec"]["clusterIP"] == "None"


@in_each_overlay
def test_gates_count_one_another_by_a_headless_name(name, overlay):
    objects = overlay(name)
    spec = named(objects, "Service", "gateway-peers")["spec"]
    pods = named(objects, "Deployment", "gateway")["spec"]["template"]
    assert spec["clusterIP"] == "None"
    assert spec["selector"].items() <= pods["metadata"]["labels"].items()
    said = {e["name"]: e.get("value") for e in pods["spec"]["containers"][0]["env"]}
    assert said["GATE_PEERS"] == "gateway-peers"


@pytest.mark.parametrize("who", [*SERVICES, "gateway"])
def test_every_variable_is_one_that_some_process_reads(who, overlay, known_variables):
    objects = overlay("overlays/dev")
    own = {
        e["name"] for name, c in containers(objects) if name.split("/")[1] == who for e in c["env"]
    }
    assert own <= known_variables(who)
    everybody = set().union(*(known_variables(each) for each in (*SERVICES, "gateway")))
    assert set(shared_settings(objects)) <= everybody


@in_each_overlay
def test_a_pod_reads_no_database_secret_but_its_own(name, overlay):
    for who, container in containers(overlay(name)):
        service = (
            who.split("/")[0].removeprefix("migrate-").rpartition("-0")[0] or who.split("/")[0]
        )
        used = {
            e["valueFrom"]["secretKeyRef"]["name"]
            for e in container.get("env", [])
            if "valueFrom" in e
        }
        databases = {secret for secret in used if secret.split("-database")[0] in SERVICES}
        assert databases <= {secret for secret in databases if secret.startswith(f"{service}-")}, (
            who
        )


def test_only_the_development_overlay_holds_secrets(overlay):
    assert not of_kind([*overlay("base"), *overlay("overlays/prod")], "Secret")
    assert of_kind(overlay("overlays/dev"), "Secret")


def test_the_development_overlay_has_every_secret_that_is_asked_for(overlay):
    objects = overlay("overlays/dev")
    there = {secret["metadata"]["name"] for secret in of_kind(objects, "Secret")}
    for who, container in containers(objects):
        for entry in container["env"]:
            wanted = entry.get("valueFrom", {}).get("secretKeyRef")
            if wanted and not wanted.get("optional"):
                assert wanted["name"] in there, who


def test_production_runs_two_of_each(overlay):
    replicas = {
        d["metadata"]["name"]: d["spec"]["replicas"]
        for d in of_kind(overlay("overlays/prod"), "Deployment")
    }
    assert replicas == dict.fromkeys((*SERVICES, "gateway"), 2)


def test_production_issues_tokens_over_https_and_never_in_another_profile(overlay):
    settings = shared_settings(overlay("overlays/prod"))
    assert urlsplit(settings["SWITCHYARD_ISSUER"]).scheme == "https"
    assert settings["SWITCHYARD_PROFILE"] == "production"


@in_each_overlay
def test_a_pod_waits_for_its_own_schema(name, overlay):
    for service in SERVICES:
        template = named(overlay(name), "Deployment", service)["spec"]["template"]
        (waiting,) = template["spec"]["initContainers"]
        assert waiting["command"] == ["python", "-m", "schemas", "--wait", service]
        assert waiting["image"] == template["spec"]["containers"][0]["image"]
