"""What an experiment has a flag serve, to whom, and when."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from flags.domain.allocation import Arm, served_by
from flags.domain.answers import Reason
from flags.domain.bucketing import WHOLE, bucket_v1
from flags.domain.explain import Explainer
from flags.domain.place import Place
from flags.domain.ruleset import Stored, compile_all
from flags.domain.wrong import Wrong

PLACE = Place(UUID(int=9), "default", "production")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
PRO = {"op": "eq", "attribute": "plan", "value": "pro"}
UNITS = [f"user-{number}" for number in range(2_000)]


def document(**more):
    return {
        "experiment_id": str(UUID(int=5)),
        "experiment": "checkout",
        "phase": 2,
        "unit": "targetingKey",
        "salt": "s",
        "arms": [
            {"key": "control", "weight": 50_000, "serves": "off"},
            {"key": "treatment", "weight": 50_000, "serves": "on"},
        ],
        "gates": [],
        "when": None,
        "starts_at": None,
        "ends_at": None,
        **more,
    }


def gate(name, start, end):
    return {"name": name, "salt": f"{name}-salt", "start": start, "end": end}


def stored(*allocations, **more):
    words = {"key": "f", "type": "boolean", "variants": {"on": True, "off": False}}
    words |= {"enabled": True, "default_variant": "off", "off_variant": "off"}
    return Stored(**{**words, "client_side": False, "allocations": allocations, **more})


def served(flag, context, now=NOON, others=()):
    ruleset, refused = compile_all(PLACE, 1, [flag, *others])
    answer = ruleset.ask(ruleset.flags["f"], context, now)
    rows = {row.key: row for row in (flag, *others)}
    told = Explainer(rows, {}, ruleset, refused).explain("f", context, now).answer
    assert (told.variant, told.reason, told.value) == (answer.variant, answer.reason, answer.value)
    return answer


def variant(flag, context, now=NOON):
    return served(flag, context, now).variant


def test_a_unit_is_served_what_its_arm_stands_for_and_told_the_arm():
    answers = [served(stored(document()), {"targetingKey": unit}) for unit in UNITS[:50]]
    assert {(a.variant, a.value, a.serves) for a in answers} == {
        ("control", False, "off"),
        ("treatment", True, "on"),
    }
    assert {(a.reason, a.experiment, a.phase) for a in answers} == {(Reason.SPLIT, "checkout", 2)}


def test_arms_are_as_large_as_their_weights_say():
    ruleset, _ = compile_all(PLACE, 1, [stored(document())])
    flag = ruleset.flags["f"]
    found = Counter(ruleset.ask(flag, {"targetingKey": u}, NOON).variant for u in UNITS)
    assert abs(found["control"] - 1_000) < 150


def test_a_disabled_flag_serves_its_off_variant_to_everybody():
    answer = served(stored(document(), enabled=False), {"targetingKey": "u"})
    assert (answer.variant, answer.reason) == ("off", Reason.DISABLED)


def test_an_individual_target_comes_before_an_experiment_and_a_rule_after_it():
    targeting = {
        "targets": [{"variant": "on", "values": ["boss"]}],
        "rules": [{"variant": "on"}],
    }
    flag = stored(document(when=PRO), targeting=targeting)
    assert served(flag, {"targetingKey": "boss", "plan": "pro"}).reason is Reason.TARGETING_MATCH
    assert served(flag, {"targetingKey": "u", "plan": "pro"}).reason is Reason.SPLIT
    assert served(flag, {"targetingKey": "u"}).reason is Reason.TARGETING_MATCH


@pytest.mark.parametrize("context", [{}, {"targetingKey": ""}, {"targetingKey": None}])
def test_who_has_no_unit_gets_what_the_flag_serves_without_the_experiment(context):
    answer = served(stored(document()), context)
    assert (answer.variant, answer.reason) == ("off", Reason.DEFAULT)


def test_it_begins_and_ends_by_the_clock_of_who_evaluates():
    flag = stored(
        document(starts_at="2026-06-01T12:00:00+00:00", ends_at="2026-06-01T14:00:00+02:00")
    )
    assert variant(flag, {"targetingKey": "u"}, NOON) == "off"  # empty: it ends as it begins
    flag = stored(
        document(starts_at="2026-06-01T12:00:00+00:00", ends_at="2026-06-01T15:00:00+02:00")
    )
    at = [variant(flag, {"targetingKey": "u"}, NOON + s) for s in (-0.001, 0, 3599.999, 3600)]
    assert [v in ("control", "treatment") for v in at] == [False, True, True, False]
    ruleset, _ = compile_all(PLACE, 1, [flag])
    assert ruleset.flags["f"].timed


def test_a_unit_passes_every_gate_or_is_in_no_arm():
    gates = [gate("traffic", 0, 50_000), gate("layer", 20_000, 60_000)]
    flag = stored(document(gates=gates))
    ruleset, _ = compile_all(PLACE, 1, [flag])
    for unit in UNITS[:300]:
        passes = all(g["start"] <= bucket_v1(g["salt"], unit) < g["end"] for g in gates)
        answer = ruleset.ask(ruleset.flags["f"], {"targetingKey": unit}, NOON)
        assert (answer.reason is Reason.SPLIT) is passes


def test_more_traffic_moves_nobody_who_was_in_already():
    few, many = (stored(document(gates=[gate("traffic", 0, e)])) for e in (10_000, 60_000))
    for unit in UNITS[:300]:
        was = served(few, {"targetingKey": unit})
        if was.reason is Reason.SPLIT:
            assert variant(many, {"targetingKey": unit}) == was.variant


def test_experiments_that_cannot_be_served_leave_the_flag_alone():
    bad = [None, {}, document(arms=[]), document(when={"op": "no"}), document(starts_at="x")]
    bad += [document(when={"op": "in_segment", "segments": ["gone"]}), document(experiment_id="1")]
    bad += [document(arms=[{"key": k, "weight": 50_000, "serves": "gone"} for k in "ab"])]
    for one in bad:
        ruleset, refused = compile_all(PLACE, 1, [stored(one)])
        answer = ruleset.ask(ruleset.flags["f"], {"targetingKey": "u"}, NOON)
        assert (answer.variant, list(refused)) == ("off", ["f"])


def test_a_prerequisite_sees_the_variant_that_an_arm_stands_for():
    dependent = {"prerequisites": [{"flag": "f", "variants": ["on"]}]}
    below = replace(stored(), key="g", targeting=dependent, default_variant="on")
    ruleset, _ = compile_all(PLACE, 1, [stored(document()), below])
    for unit in UNITS[:30]:
        arm = ruleset.ask(ruleset.flags["f"], {"targetingKey": unit}, NOON)
        answer = ruleset.ask(ruleset.flags["g"], {"targetingKey": unit}, NOON)
        assert answer.value is (arm.variant == "treatment")


def test_an_arm_serves_its_namesake_or_off_and_on_of_a_boolean():
    two = (Arm("control", WHOLE // 2), Arm("b", WHOLE // 2))
    assert [a.serves for a in served_by(two, {"yes": True, "no": False})] == ["no", "yes"]
    assert [a.serves for a in served_by(two, {"b": 1, "control": 2})] == ["control", "b"]
    with pytest.raises(Wrong, match="no variant of the flag"):
        served_by(two, {"control": "x", "c": "y"})
    with pytest.raises(Wrong, match="no variant of the flag"):
        served_by((Arm("control", WHOLE, "x"),), {"on": True, "off": False})
