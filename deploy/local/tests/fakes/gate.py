"""A tiny gate for the yard's own tests: a real, small Envoy configuration, and a key log."""

import json
import os
import sys
import time
from pathlib import Path


def cluster(name, port):
    place = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
    hosts = {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": place}]}]}
    return {"name": name, "type": "STATIC", "load_assignment": hosts}


def listener(port, routes):
    kind = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{kind}.http.router.v3.Router"}}
    manager = {
        "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [router],
    }
    return {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def render(state, out):
    ports = json.loads(Path(state).read_text())["ports"]
    routes = [
        {"match": {"path": "/health"}, "direct_response": {"status": 200}},
        {"match": {"prefix": "/api/v1/auth"}, "route": {"cluster": "iam"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "flags"}},
    ]
    admin = {
        "address": {
            "socket_address": {"address": "127.0.0.1", "port_value": ports["gateway"]["admin"]}
        }
    }
    resources = {
        "listeners": [listener(ports["gateway"]["public"], routes)],
        "clusters": [cluster(name, ports[name]["http"]) for name in ("iam", "flags")],
    }
    Path(out, "envoy.yaml").write_text(json.dumps({"admin": admin, "static_resources": resources}))


if sys.argv[1] == "render":
    options = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
    render(options["--state"], options["--out"])
else:
    assert os.environ["GATE_IAM_ADDRESS"]
    Path(os.environ["GATE_KEYLOG_DIR"], "epoch").write_text("log.1\n")
    while True:
        time.sleep(60)
