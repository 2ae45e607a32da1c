"""The rendered configuration has no findings, and each finding can be found."""

import re
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from gate import render
from gate.cli import main
from gate.graph import load
from gate.limits import PROFILES
from gate.lint import lint
from gate.openapi import merge
from gate.settings import Settings, read
from gate.shapes import typed
from switchyard.audit.v1 import audit_pb2
from switchyard.iam.v1 import iam_pb2

ROOT = Path(__file__).parent.parent.parent
GRAPH = ROOT / "deploy" / "service-graph.yaml"


def example() -> dict:
    either, key = [{"bearer": []}, {"apiKey": []}], [{"apiKey": []}]
    answers = {"responses": {"200": {"description": "ok"}}}
    paths = {
        "/open": {"get": {"security": [], **answers}},
        "/either": {"get": {"security": either, **answers}},
        "/key": {"get": {"security": key, **answers}},
        "/links/{token}": {"get": {"security": [], **answers}},
        "/token": {"get": {"security": [{"bearer": []}], **answers}},
        "/ws": {"get": {"security": either, "x-door": "websocket", **answers}},
        "/ofrep/v1/evaluate/flags/{key}": {
            "post": {"security": key, "x-path-greedy": True, **answers}
        },
    }
    return merge({"flags": {"paths": paths}})


def rendered(**environment) -> dict:
    settings: Settings = read({"SWITCHYARD_PROFILE": "production", **environment}, None, {})
    return render.render(example(), load(GRAPH, None), settings, Path("/tmp/out"))


@pytest.fixture(scope="module")
def config() -> dict:
    return rendered()


def manager(config, listener=0) -> dict:
    listeners = config["static_resources"]["listeners"]
    return listeners[listener]["filter_chains"][0]["filters"][0]["typed_config"]


def host(config) -> dict:
    return manager(config)["route_config"]["virtual_hosts"][0]


def route(config, name) -> dict:
    routes = manager(config)["route_config"]["virtual_hosts"][0]["routes"]
    return next(r for r in routes if r["name"] == name)


def told(config, name) -> dict:
    return route(config, name)["typed_per_filter_config"]


def filter_(config, name) -> dict:
    return next(f for f in manager(config)["http_filters"] if f["name"] == name)["typed_config"]


def mistype(config):
    told(config, "/key")["apikeys"] = told(config, "/key").pop("apikey")


def strip(config) -> list:
    return manager(config)["early_header_mutation_extensions"][0]["typed_config"]["mutations"]


def provider(config) -> dict:
    return filter_(config, "jwt")["providers"]["iam"]


def admin_route(config):
    routes = manager(config)["route_config"]["virtual_hosts"][0]["routes"]
    routes.insert(0, {"match": {"path": "/x"}, "route": {"cluster": "admin"}})


OFF = typed("config.route.v3.FilterConfig", disabled=True)
BREAKS = {
    "'apikeys' is the name of no filter": mistype,
    "route /key: says key and is no way": mistype,
    "route /either: says either and is public": lambda c: told(c, "/either").update(
        dict.fromkeys(("apikey", "jwt", "need_identity"), OFF)
    ),
    "route /open: says public and is no way": lambda c: told(c, "/open").pop("jwt"),
    "route /token: says bearer and is no way": lambda c: told(c, "/token").update(jwt=OFF),
    "route /either: says either and is key": lambda c: told(c, "/either").update(
        {n: v for n, v in told(c, "/key").items() if n in ("apikey", "jwt", "need_identity")}
    ),
    "route /token: says bearer and is either": lambda c: told(c, "/token").update(
        {n: v for n, v in told(c, "/either").items() if n in ("apikey", "jwt")}
    ),
    "route /key: says key and is no": lambda c: told(c, "/key").update(need_identity=OFF),
    "route /open: does not say who": lambda c: route(c, "/open").pop("metadata"),
    "route /open: is open to WebSocket": lambda c: route(c, "/open")["route"].update(
        upgrade_configs=[{"upgrade_type": "websocket"}]
    ),
    "x-user-id is not stripped": lambda c: strip(c).remove({"remove": "x-user-id"}),
    "x-forwarded-for is not stripped": lambda c: strip(c).remove({"remove": "x-forwarded-for"}),
    "x-forwarded-for goes on": lambda c: host(c).pop("request_headers_to_add"),
    "x-mesh is not stripped": lambda c: strip(c).remove({"remove": "x-mesh"}),
    "x-new-claim is not stripped": lambda c: provider(c)["claim_to_headers"].append(
        {"header_name": "x-new-claim", "claim_name": "new"}
    ),
    "x-switchyard-* is not stripped": lambda c: strip(c).remove(
        {"remove_on_match": {"key_matcher": {"prefix": "x-switchyard-"}}}
    ),
    "normalize_path is not True": lambda c: manager(c).pop("normalize_path"),
    "path_with_escaped_slashes_action is not": lambda c: manager(c).update(
        path_with_escaped_slashes_action="KEEP_UNCHANGED"
    ),
    "underscores are let in": lambda c: manager(c)["common_http_protocol_options"].pop(
        "headers_with_underscores_action"
    ),
    "request_timeout is not set": lambda c: manager(c).pop("request_timeout"),
    "upgrade to websocket is open": lambda c: manager(c)["upgrade_configs"][0].pop("enabled"),
    "authentication filters are": lambda c: manager(c)["http_filters"].remove(
        next(f for f in manager(c)["http_filters"] if f["name"] == "need_identity")
    ),
    "the router is not last": lambda c: manager(c)["http_filters"].reverse(),
    "tokens are read from the query": lambda c: provider(c).pop("from_headers"),
    "tokens are not checked for audiences": lambda c: provider(c).pop("audiences"),
    "tokens are not checked for require_expiration": lambda c: provider(c).pop(
        "require_expiration"
    ),
    "public leads to admin": admin_route,
    "admin serves all": lambda c: c["admin"].pop("allow_paths"),
    "admin serves /config_dump": lambda c: c["admin"]["allow_paths"].append({"prefix": "/config"}),
    "admin listens on 0.0.0.0": lambda c: c["admin"]["address"]["socket_address"].update(
        address="0.0.0.0"
    ),
    "OPTIONS of foreign origins": lambda c: host(c)["typed_per_filter_config"]["cors"].pop(
        "forward_not_matching_preflights"
    ),
    "virtual host: changes 'jwt'": lambda c: host(c)["typed_per_filter_config"].update(jwt=OFF),
    "virtual host: 'core' is the name of no": lambda c: host(c)["typed_per_filter_config"].update(
        core={}
    ),
    "is not answered 404": lambda c: host(c)["routes"].pop(),
    "cluster flags: sends traffic to unhealthy": lambda c: next(
        k for k in c["static_resources"]["clusters"] if k["name"] == "flags"
    ).pop("common_lb_config"),
    "cluster flags: has no circuit": lambda c: next(
        k for k in c["static_resources"]["clusters"] if k["name"] == "flags"
    ).pop("circuit_breakers"),
    "or none for what stays open": lambda c: next(
        k for k in c["static_resources"]["clusters"] if k["name"] == "flags"
    )["circuit_breakers"]["thresholds"].pop(),
    "route /ws: stays open": lambda c: route(c, "/ws")["route"].pop("priority"),
    "there is no public listener": lambda c: c["static_resources"]["listeners"].pop(0),
}


def test_what_is_rendered_has_no_findings(config):
    assert lint(config) == []


@pytest.mark.parametrize("finding", BREAKS)
def test_each_finding_is_found(config, finding):
    broken = deepcopy(config)
    BREAKS[finding](broken)
    assert [f for f in lint(broken) if finding in f], lint(broken)


@pytest.mark.parametrize("profile", ["development", "test", "production"])
def test_envoy_accepts_what_is_rendered(tmp_path, profile, capfd):
    document = tmp_path / "openapi.json"
    from gate.gather import text

    document.write_text(text(example()))
    out = tmp_path / "out"
    options = ["--openapi", str(document), "--out", str(out), "--profile", profile]
    assert main(["render", *options]) == 0
    assert main(["validate", str(out / "envoy.yaml")]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "ok"
    config = yaml.safe_load((out / "envoy.yaml").read_text())
    clusters = {c["name"]: c for c in config["static_resources"]["clusters"]}
    assert clusters["flags"]["type"] == "STRICT_DNS"
    assert manager(config)["route_config"]["virtual_hosts"][0]["routes"][0]["name"].startswith(
        "/ofrep/"
    )


def test_lint_fails_on_findings(tmp_path, config, capsys):
    broken = deepcopy(config)
    mistype(broken)
    file = tmp_path / "envoy.yaml"
    file.write_text(yaml.safe_dump(broken))
    assert main(["lint", str(file)]) == 1
    assert "apikeys" in capsys.readouterr().out


def test_a_path_that_opens_something_is_logged_as_its_template(config):
    logs = {
        log["typed_config"]["log_format"]["json_format"]["path"]: log["filter"]["header_filter"]
        for log in manager(config)["access_log"]
    }
    matches = {path: f["header"]["string_match"]["safe_regex"]["regex"] for path, f in logs.items()}
    assert set(matches.values()) == {"(?i).*(/links/).*"}
    inverted = {path for path, f in logs.items() if f["header"].get("invert_match")}
    assert inverted == {"%PATH(NQ)%"}
    assert "%ROUTE_NAME%" in matches


def test_traces_go_nowhere_without_a_collector():
    assert "tracing" not in manager(rendered())
    on = rendered(GATE_OTLP_ENDPOINT="http://otel:4317")
    sampler = manager(on)["tracing"]["provider"]["typed_config"]["sampler"]["typed_config"]
    share = sampler["wrapped_sampler"]["typed_config"]["sampling_percentage"]
    assert (share["numerator"], share["denominator"]) == (10_000, "MILLION")
    assert lint(on) == []


def test_nothing_of_the_hot_path_is_there_for_others():
    off = {n for n, v in told(rendered(), "/ofrep/v1/evaluate/flags/{key}").items() if v == OFF}
    assert off == {"jwt", "address_rate", "grpc_web", "large_body_limit"}


def test_every_rpc_that_calls_itself_internal_is_refused(config):
    listed = load(GRAPH, None).internal_rpcs
    for proto in (ROOT / "protos/switchyard").glob("*/v1/*.proto"):
        text = proto.read_text()
        package = re.search(r"^package (\S+);", text, re.M)[1]
        service = re.search(r"^service (\w+)", text, re.M)[1]
        for comment, name in re.findall(r"((?:^ *//.*\n)+) *rpc (\w+)", text, re.M):
            if "Internal" in comment:
                assert f"{package}.{service}/{name}" in listed
    for name in (
        f"{iam_pb2.DESCRIPTOR.package}.Iam/Snapshot",
        f"{audit_pb2.DESCRIPTOR.package}.Audit/Append",
    ):
        assert route(config, name)["direct_response"]["status"] == 403


def test_rates_of_a_profile_may_be_changed_by_name():
    config = rendered(GATE_LIMITS="strict_per_minute=60, tenant_rate=7")
    (tenant,) = filter_(config, "tenant_rate")["descriptors"]
    assert tenant["token_bucket"]["max_tokens"] == 7
    (key, _) = filter_(config, "key_rate")["descriptors"]
    assert key["token_bucket"]["max_tokens"] == PROFILES["production"].key_rate


@pytest.mark.parametrize(
    ("name", "said", "why"),
    [
        ("GATE_LIMITS", "tenant_rat=7", "'tenant_rat' is none of"),
        ("GATE_LIMITS", "tenant_rate=0", "from 1 to"),
        ("GATE_LIMITS", "tenant_rate=x", "whole number"),
        ("GATE_LIMITS", "tenant_rate", "whole number"),
        ("GATE_TRUSTED_HOPS", "-1", "number of proxies"),
        ("GATE_TRUSTED_HOPS", "11", "0 to 10"),
        ("GATE_TRUSTED_HOPS", "yes", "number of proxies"),
    ],
)
def test_a_wrong_setting_is_told_in_a_sentence(monkeypatch, tmp_path, name, said, why):
    monkeypatch.setenv(name, said)
    with pytest.raises(SystemExit, match=why):
        main(["render", "--out", str(tmp_path)])


def test_behind_proxies_their_word_is_kept_until_it_is_judged():
    config = rendered(GATE_TRUSTED_HOPS="2")
    assert manager(config)["xff_num_trusted_hops"] == 2
    assert not list(lint(config))
    assert {"remove": "x-forwarded-for"} not in strip(config)
