"""What is made from the service graph: committed as it would be made now, and open where the graph has an edge."""

import pytest


@pytest.fixture(scope="session")
def policies(deriver, graph):
    return {policy["metadata"]["name"]: policy["spec"] for policy in deriver.policies(graph)}


def test_what_is_committed_is_what_the_graph_gives(deriver, graph):
    differing = [str(path) for path in deriver.stale(graph)]
    assert not differing, "run `python deploy/graph.py`"


def test_a_service_that_the_graph_adds_makes_files_stale(deriver, graph):
    ports = {"http": 8099, "grpc": 9099}
    moved = graph | {
        "services": graph["services"] | {"flags": graph["services"]["flags"] | {"ports": ports}}
    }
    assert {path.name for path in deriver.stale(moved)} >= {
        "Dockerfile",
        "flags.yaml",
        "network-policies.yaml",
        "service-graph.md",
    }


def test_a_template_with_an_unknown_name_is_refused(deriver):
    with pytest.raises(KeyError, match="nobody"):
        deriver.fill("@nobody@", {"service": "flags"})


def test_whoever_no_policy_names_reaches_nothing(policies):
    everything = policies["default-deny"]
    assert everything["podSelector"] == {}
    assert everything["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(everything)


def who(selector):
    labels = selector["matchLabels"]
    return labels["app.kubernetes.io/name"], labels["app.kubernetes.io/component"]


def ends(rules, side):
    """Return (pod, port) for each end of the rules of one side that names pods."""
    return {
        (who(peer["podSelector"]), port["port"])
        for rule in rules
        for peer in rule.get(side, [])
        if "podSelector" in peer
        for port in rule["ports"]
    }


def test_only_who_speaks_to_the_outside_may_leave_and_only_over_tls(policies, graph):
    leaving = {
        (name, port["port"])
        for name, spec in policies.items()
        for rule in spec.get("egress", [])
        if any("ipBlock" in peer for peer in rule.get("to", []))
        for port in rule["ports"]
    }
    named = {name for name, of in graph["services"].items() if of.get("outside")}
    assert leaving == {(name, 443) for name in named}


def test_each_edge_is_open_at_both_ends_and_nothing_else_is(policies, graph):
    """A packet must leave one pod and enter the other: the two lists of policies must be the same edges."""
    parts = {who(spec["podSelector"]): spec for spec in policies.values() if spec["podSelector"]}
    leaving = {
        (source, target, port)
        for source, spec in parts.items()
        for target, port in ends(spec.get("egress", []), "to")
    }
    entering = {
        (source, target, port)
        for target, spec in parts.items()
        for source, port in ends(spec.get("ingress", []), "from")
    }
    assert leaving == entering


def test_the_edges_between_services_are_those_of_the_graph(policies, graph):
    for name in graph["services"]:
        reached = {
            target
            for (target, component), _ in ends(policies[name].get("egress", []), "to")
            if component == "service"
        }
        of = graph["services"][name]
        assert reached == {*of["may_ask"], *of["tells"]} - {name}


def test_only_the_gate_is_open_to_the_world(policies, graph):
    open_to_all = [
        name
        for name, spec in policies.items()
        for rule in spec.get("ingress", [])
        if "from" not in rule
    ]
    assert open_to_all == ["gateway"]


def test_a_migration_reaches_the_database_and_nothing_else(policies, graph):
    for name in graph["services"]:
        reached = ends(policies[f"migrate-{name}"]["egress"], "to")
        assert reached == {(("postgres", "store"), graph["stores"]["postgres"]["port"])}


def test_the_diagram_shows_every_part_and_every_edge(deriver, graph):
    drawn = deriver.diagram(graph)
    for name, of in graph["services"].items():
        assert f"gateway --> {name}\n" in drawn
        for asked in of["may_ask"]:
            assert f"  {name} --> {asked}\n" in drawn
    assert "gateway -. replicates key hashes .-> iam" in drawn
