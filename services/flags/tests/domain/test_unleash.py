"""Flags in Unleash's words: what is said serves what we serve, what cannot be said is left out."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.domain.compile import StoredSegment
from flags.domain.place import Place
from flags.domain.ruleset import Stored, compile_all
from flags.domain.unleash import MOST_STRATEGIES, features


def stored(key="f", **said):
    whole = {"type": "boolean", "variants": {"on": True, "off": False}, "enabled": True}
    names = {"default_variant": "off", "off_variant": "off", "client_side": False}
    return Stored(key=key, **{**whole, **names, **said})


def clause(op, attribute="x", **operand):
    return {"op": op, "attribute": attribute, **operand}


SEGMENTS = [
    StoredSegment(
        key="s",
        document={"when": clause("eq", value="a")},
        included=["ana"],
        excluded=["ben"],
    ),
    StoredSegment(key="empty", document={}),
]
SAID = [
    clause("eq", value="a"),
    clause("ne", value="a"),
    clause("in", values=["a", "b"]),
    clause("not_in", values=["a", "é"]),
    clause("contains", values=["a", "b"]),
    clause("starts", values=["a"]),
    clause("ends", values=["b", ""]),
    clause("eq", attribute="targetingKey", value="ana"),
    {"op": "in_segment", "segments": ["s", "empty"]},
    {"all": [clause("ne", value="a"), {"op": "in_segment", "segments": ["s"]}]},
    {
        "any": [
            clause("eq", value="a"),
            {"all": [clause("eq", value="b"), clause("ends", values=["b"])]},
        ]
    },
    clause("before", attribute="$now", value="2100-01-01T00:00:00Z"),
    clause("after", attribute="$now", value="2100-01-01T00:00:00.250Z"),
]
UNSAYABLE = [
    clause("eq", value=5),
    clause("in", values=["a", 5]),
    clause("eq", value='quo"te'),
    clause("eq", value="line\nbreak"),
    clause("eq", value="a", ignore_case=True),
    clause("num_gt", value=5),
    clause("semver_ge", value="1.2.3"),
    clause("matches", values=["a"]),
    clause("present"),
    clause("eq", attribute="/deep/x", value="a"),
    {"op": "eq", "attribute": "x", "kind": "device", "value": "a"},
    {"not": clause("eq", value="a")},
    {"op": "not_in_segment", "segments": ["s"]},
    {"op": "in_segment", "segments": ["nobody"]},
    {"op": "flag", "flag": "g", "variants": ["on"]},
    {"op": "after", "attribute": "$now", "value": "-7d"},
    {"all": [{"any": [clause("eq", value=str(n)) for n in range(20)]} for _ in range(2)]},
]


def holds(constraint, context):
    """Whether a constraint holds, as Unleash's specification has it."""
    assert (constraint["inverted"], constraint["caseInsensitive"]) == (False, False)
    value = context.get(
        {"userId": "targetingKey"}.get(constraint["contextName"], constraint["contextName"])
    )
    match constraint["operator"], constraint["values"]:
        case "IN", wanted:
            return value in wanted
        case "NOT_IN", wanted:
            return value not in wanted
        case "STR_CONTAINS", wanted:
            return value is not None and any(part in value for part in wanted)
        case "STR_STARTS_WITH", wanted:
            return value is not None and value.startswith(tuple(wanted))
        case "STR_ENDS_WITH", wanted:
            return value is not None and value.endswith(tuple(wanted))
        case operator, []:
            then = datetime.fromisoformat(constraint["value"])
            now = datetime.now(UTC)
            return now < then if operator == "DATE_BEFORE" else now > then


def first(feature, context):
    """Return the first strategy that holds; None if none does."""
    fits = (s for s in feature["strategies"] if all(holds(c, context) for c in s["constraints"]))
    return next(fits, None) if feature["enabled"] else None


contexts = st.fixed_dictionaries(
    {},
    optional={
        "x": st.sampled_from(["a", "b", "ab", "", "é", "c"]),
        "targetingKey": st.sampled_from(["ana", "ben", "u1"]),
    },
)


def asked(row, context):
    ruleset, refused = compile_all(Place(None, "p", "e"), 1, [row], None, SEGMENTS)
    assert refused == {}
    return ruleset.ask(ruleset.flags["f"], context, datetime.now(UTC).timestamp())


@pytest.mark.parametrize("condition", SAID, ids=str)
@given(context=contexts)
def test_a_boolean_flag_is_enabled_where_we_serve_true(condition, context):
    rules = [
        {"when": condition, "variant": "on"},
        {"when": clause("eq", value="c"), "variant": "on"},
    ]
    row = stored(targeting={"targets": [{"variant": "on", "values": ["u1"]}], "rules": rules})
    [feature], left = features("p", [row], SEGMENTS)
    assert left == {}
    assert (first(feature, context) is not None) is asked(row, context).value


@pytest.mark.parametrize("condition", SAID, ids=str)
@given(context=contexts)
def test_the_first_strategy_that_holds_has_the_variant_that_we_serve(condition, context):
    rules = [{"when": condition, "variant": "b"}, {"when": clause("eq", value="c"), "variant": "c"}]
    said = {
        "type": "string",
        "variants": {"a": "A", "b": "B", "c": "C"},
        "targeting": {"rules": rules},
    }
    row = stored(default_variant="a", off_variant="a", **said)
    [feature], _ = features("p", [row], SEGMENTS)
    [variant] = first(feature, context)["variants"]
    ours = asked(row, context)
    assert (variant["name"], variant["payload"]) == (
        ours.variant,
        {"type": "string", "value": ours.value},
    )


@pytest.mark.parametrize("condition", UNSAYABLE, ids=lambda c: str(c)[:60])
def test_what_cannot_be_said_is_left_out_with_its_reason(condition):
    row = stored(targeting={"rules": [{"when": condition, "variant": "on"}]})
    said, left = features("p", [row, stored("g")], SEGMENTS)
    assert [f["name"] for f in said] == ["g"]
    assert left["f"]


def test_splits_prerequisites_experiments_and_false_before_true_are_left_out():
    split = {"weights": [{"variant": "on", "weight": 100_000}]}
    first_off = [{"when": clause("eq", value="a"), "variant": "off"}, {"variant": "on"}]
    rows = [
        stored("split", targeting={"rules": [{"split": split}]}),
        stored("after", targeting={"prerequisites": [{"flag": "x", "variants": ["on"]}]}),
        stored("tested", allocations=({"nonsense": 1},)),
        stored("false-first", targeting={"rules": first_off}),
        stored("spoilt", variants=7),
    ]
    said, left = features("p", rows, [])
    assert (said, set(left)) == ([], {row.key for row in rows})


def test_a_disabled_flag_is_disabled_unless_its_off_variant_is_true():
    rows = [
        stored("off", enabled=False, default_variant="on"),
        stored("inverted", enabled=False, off_variant="on"),
        stored("text", type="string", variants={"on": "A", "off": "B"}, enabled=False),
    ]
    said, _ = features("p", rows, [])
    assert {f["name"]: f["enabled"] for f in said} == {
        "off": False,
        "inverted": True,
        "text": False,
    }


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("integer", 3, {"type": "number", "value": "3"}),
        ("float", 1, {"type": "number", "value": "1.0"}),
        ("json", {"a": "ü"}, {"type": "json", "value": '{"a":"ü"}'}),
    ],
)
def test_a_value_is_a_payload(kind, value, told):
    row = stored(type=kind, variants={"on": value, "off": value})
    [feature], _ = features("p", [row], [])
    assert feature["strategies"][0]["variants"][0]["payload"] == told


def test_too_many_strategies_are_not_sent():
    rules = [
        {"when": clause("eq", value=str(n)), "variant": "on"} for n in range(MOST_STRATEGIES + 1)
    ]
    assert features("p", [stored(targeting={"rules": rules})], [])[0] == []
