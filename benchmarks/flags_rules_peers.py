"""What the Python peers take for one rule: country in a list, version at least 1.4.0, a split in halves.

Run by `flags_rules.py` in an environment of its own, where the peers are installed; prints microseconds as JSON. Where
a peer knows no semantic versions, it compares what it has (flagsmith: its :semver suffix, growthbook: $vgte).
"""

import json
import statistics
import time

RUNS, REPEAT = 7, 5_000


def timed(call):
    found = []
    for _ in range(RUNS):
        start = time.process_time()
        for _ in range(REPEAT):
            call()
        found.append((time.process_time() - start) / REPEAT * 1e6)
    return round(statistics.median(found), 2)


def flagd():
    from openfeature.contrib.tools.flagd.core import FlagdCore
    from openfeature.evaluation_context import EvaluationContext

    matches = {
        "and": [
            {"in": [{"var": "country"}, ["CH", "DE", "AT"]]},
            {"sem_ver": [{"var": "version"}, ">=", "1.4.0"]},
        ]
    }
    one = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "off",
        "targeting": {"if": [matches, {"fractional": [["on", 50], ["off", 50]]}, "off"]},
    }
    core = FlagdCore()
    core.set_flags({"flags": {"one": one}})
    context = EvaluationContext("user-1", {"country": "CH", "version": "1.5.2", "plan": "pro"})
    assert core.resolve_boolean_value("one", False, context).reason == "TARGETING_MATCH"
    return timed(lambda: core.resolve_boolean_value("one", False, context))


def growthbook():
    from growthbook import GrowthBook

    rule = {
        "condition": {"country": {"$in": ["CH", "DE", "AT"]}, "version": {"$vgte": "1.4.0"}},
        "variations": [True, False],
        "weights": [0.5, 0.5],
        "coverage": 1,
    }
    attributes = {"id": "user-1", "country": "CH", "version": "1.5.2", "plan": "pro"}
    book = GrowthBook(
        attributes=attributes, features={"one": {"defaultValue": False, "rules": [rule]}}
    )
    assert book.eval_feature("one").source == "experiment"
    return timed(lambda: book.eval_feature("one"))


def flagsmith():
    from flag_engine.engine import get_evaluation_result

    conditions = [
        {"property": "country", "operator": "IN", "value": ["CH", "DE", "AT"]},
        {"property": "version", "operator": "GREATER_THAN_INCLUSIVE", "value": "1.4.0:semver"},
    ]
    split = {"property": "$.identity.key", "operator": "PERCENTAGE_SPLIT", "value": "50"}
    feature = {"key": "1", "name": "one", "enabled": False, "value": None}
    segment = {
        "key": "1",
        "name": "matches",
        "rules": [{"type": "ALL", "conditions": [*conditions, split], "rules": []}],
        "overrides": [{**feature, "enabled": True}],
    }
    traits = {"country": "CH", "version": "1.5.2", "plan": "pro"}
    context = {
        "environment": {"key": "e", "name": "production"},
        "identity": {"identifier": "user-1", "key": "user-1", "traits": traits},
        "segments": {"1": segment},
        "features": {"one": feature},
    }
    assert "one" in get_evaluation_result(context)["flags"]
    return timed(lambda: get_evaluation_result(context))


def yggdrasil():
    from yggdrasil_engine.engine import UnleashEngine

    constraints = [
        {"contextName": "country", "operator": "IN", "values": ["CH", "DE", "AT"]},
        {"contextName": "version", "operator": "SEMVER_GT", "value": "1.3.9"},
    ]
    parameters = {"rollout": "50", "stickiness": "userId", "groupId": "one"}
    strategy = {"name": "flexibleRollout", "parameters": parameters, "constraints": constraints}
    one = {"name": "one", "enabled": True, "strategies": [strategy]}
    engine = UnleashEngine()
    engine.take_state(json.dumps({"version": 2, "features": [one]}))
    properties = {"country": "CH", "version": "1.5.2", "plan": "pro"}
    context = {"userId": "user-1", "properties": properties}
    assert engine.is_enabled("one", context) is not None
    return timed(lambda: engine.is_enabled("one", context))


def main():
    told = {}
    for peer in (flagd, growthbook, flagsmith, yggdrasil):
        try:
            told[peer.__name__] = peer()
        except Exception as trouble:
            told[peer.__name__] = f"not measured: {type(trouble).__name__}: {trouble}"[:200]
    print(json.dumps(told))


if __name__ == "__main__":
    main()
