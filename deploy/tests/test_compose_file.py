"""docker-compose.yml: valid, hardened, and in agreement with the service graph and with what the services read."""

import importlib
import json
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVICES = ("iam", "flags", "experiments", "audit", "compute")
OURS = (*SERVICES, "gateway")
STORES = {"postgres", "valkey"}
FILES = ("docker-compose.yml", "deploy/compose.production.yml")


@pytest.mark.parametrize("file", FILES)
def test_a_compose_file_is_what_the_specification_allows(file):
    schema = json.loads((ROOT / "deploy/schemas/compose-spec.json").read_text())
    jsonschema.Draft7Validator(schema).validate(yaml.safe_load((ROOT / file).read_text()))


def test_compose_itself_accepts_the_file():
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not on this machine; the schema was checked all the same")
    command = [docker, "compose", "--file", ROOT / "docker-compose.yml", "config", "--quiet"]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert asked.returncode == 0, asked.stderr


def test_there_is_a_container_for_every_part_of_the_graph(compose, graph):
    migrations = {f"migrate-{name}" for name in graph["services"]}
    assert set(compose["services"]) == {
        *graph["services"],
        *migrations,
        "gateway",
        "collector",
        *STORES,
    }


def test_every_container_is_hardened(compose):
    for name, container in compose["services"].items():
        user = container["user"].split(":")[0]
        assert user.isdigit(), f"{name} must run as a number"
        assert user != "0", f"{name} runs as root"
        assert container["read_only"] is True, name
        assert container["cap_drop"] == ["ALL"], name
        assert container["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "network_mode", "pid"} & set(container), name


def test_every_container_has_limits(compose):
    for name, container in compose["services"].items():
        assert {"cpus", "memory", "pids"} == set(container["deploy"]["resources"]["limits"]), name


def test_every_image_has_a_tag_that_stays(compose):
    for name, container in compose["services"].items():
        _, colon, tag = container["image"].rpartition(":")
        assert colon, f"{name} has no tag"
        assert tag != "latest", name


def test_only_the_gate_publishes_a_port_and_only_on_loopback(compose, graph):
    published = {name: c["ports"] for name, c in compose["services"].items() if "ports" in c}
    inner = graph["gateway"]["ports"]["public"]
    assert published == {"gateway": [f"127.0.0.1:8080:{inner}"]}


def test_stores_are_on_a_network_without_the_gate_and_without_a_way_out(compose):
    for store in STORES:
        assert compose["services"][store]["networks"] == ["data"]
    assert "data" not in compose["services"]["gateway"]["networks"]
    assert compose["networks"]["data"]["internal"]
    assert compose["networks"]["mesh"]["internal"]


def test_a_service_starts_after_its_own_migration(compose):
    for name in SERVICES:
        needs = compose["services"][name]["depends_on"]
        assert needs[f"migrate-{name}"]["condition"] == "service_completed_successfully"
        migration = compose["services"][f"migrate-{name}"]
        assert migration["command"] == ["migrate"]
        assert migration["image"] == compose["services"][name]["image"]
        assert migration["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_the_gate_starts_after_every_service_is_healthy(compose):
    needs = compose["services"]["gateway"]["depends_on"]
    assert {name: need["condition"] for name, need in needs.items()} == dict.fromkeys(
        SERVICES, "service_healthy"
    )


def test_who_writes_files_has_a_volume_for_them(compose):
    """The root cannot be written: compute's jobs once failed each second of a container's life for the want of it."""
    for name in SERVICES:
        settings = importlib.import_module(f"{name}.settings").Settings
        said = [str(field.default) for field in settings.model_fields.values()]
        said += map(str, compose["services"][name]["environment"].values())
        writes = any(value.startswith("/data/") for value in said)
        mounted = compose["services"][name].get("volumes", [])
        assert (f"{name}-data:/data" in mounted) is writes, name


def test_addresses_are_those_of_the_graph(compose, graph):
    for name in SERVICES:
        environment = compose["services"][name]["environment"]
        for other, of in graph["services"].items():
            address = environment[f"SWITCHYARD_{other.upper()}_ADDRESS"]
            assert address == f"{other}:{of['ports']['grpc']}"
    iam = graph["services"]["iam"]["ports"]["grpc"]
    assert compose["services"]["gateway"]["environment"]["GATE_IAM_ADDRESS"] == f"iam:{iam}"


def test_a_service_knows_the_database_password_of_nobody_else(compose):
    for name in SERVICES:
        environment = compose["services"][name]["environment"]
        urls = {key for key in environment if key.endswith("DATABASE_URL")}
        assert urls == {f"{name.upper()}_DATABASE_URL"}
        assert environment[f"{name.upper()}_DATABASE_URL"].startswith(f"postgresql://{name}:")


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_one_that_the_process_reads(name, compose, known_variables):
    said = set(compose["services"][name]["environment"])
    if name != "gateway":
        said |= set(compose["services"][f"migrate-{name}"]["environment"])
    assert said <= known_variables(name)


def test_containers_are_given_longer_to_stop_than_they_take(compose):
    for name in OURS:
        assert int(compose["services"][name]["stop_grace_period"].removesuffix("s")) >= 25, name


def test_production_refuses_every_development_secret(compose):
    """Whatever holds a development default in the one file is demanded from outside in the other."""
    text = (ROOT / "deploy/compose.production.yml").read_text()
    assert "development-only" not in text
    assert ":-" not in text.split("services:")[1]
    demanding = yaml.safe_load(text)["services"]
    for name, container in compose["services"].items():
        for key, value in container.get("environment", {}).items():
            if "development" in value or "changeme" in value:
                demanded = demanding[name]["environment"][key]
                assert ":?" in demanded or demanded == "production", f"{name} {key}"


def test_the_example_of_an_env_file_names_what_production_demands():
    text = (ROOT / "deploy/compose.production.yml").read_text()
    demanded = {part.split(":?")[0] for part in text.split("${") if ":?" in part}
    lines = (ROOT / "deploy/compose.env.example").read_text().splitlines()
    assert {line.rstrip("=") for line in lines if not line.startswith("#")} == demanded
    assert all(line.startswith("#") or line.endswith("=") for line in lines), "it holds a secret"
