"""Rules as JsonLogic: a provider never serves another variant than we do; where it could, it says nothing.

Held against a small JsonLogic of JavaScript's kind and one of Python's: they differ in how they compare, and both must
agree with us. The journeys hold it against flagd's own.
"""

import math
import time

import mmh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.domain.compile import StoredSegment
from flags.domain.jsonlogic import NO_UNIT, UNSAID, document
from flags.domain.operators.versions import version
from flags.domain.place import Place
from flags.domain.ruleset import Stored, compile_all

HASHED = {0: lambda unit: unit}  # what of a text flagd hashes


class JavaScript:
    """JSON values as JavaScript compares and spells them."""

    @staticmethod
    def number(v):
        if isinstance(v, bool) or v is None:
            return float(bool(v))
        if isinstance(v, int | float):
            return float(v)
        try:
            return float(v.strip() or 0) if isinstance(v, str) else math.nan
        except ValueError:
            return math.nan

    @staticmethod
    def text(v):
        if isinstance(v, bool):
            return str(v).lower()
        if isinstance(v, list):
            return ",".join(map(JavaScript.text, v))
        if isinstance(v, float) and v.is_integer():
            return str(int(v))
        return {type(None): "null", dict: "[object Object]"}.get(type(v)) or str(v)

    @staticmethod
    def same(a, b):
        if isinstance(a, bool) or isinstance(b, bool):
            return a is b
        if isinstance(a, list | dict) or isinstance(b, list | dict):
            return a is b
        return (type(a) is type(b) and a == b) or (_numbers(a, b) and a == b)


class Python:
    """JSON values as Python compares and spells them."""

    number = JavaScript.number

    @staticmethod
    def text(v):
        return str(v) if isinstance(v, bool) else JavaScript.text(v)

    @staticmethod
    def same(a, b):
        return a == b


def _numbers(a, b):
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in (a, b))


def run(logic, data, js):  # noqa: C901, PLR0915 - one branch per operator
    """Return what JsonLogic with flagd's operators makes of some data."""
    if not isinstance(logic, dict):
        return logic
    [(op, args)] = logic.items()
    args = args if isinstance(args, list) else [args]
    if op == "var":
        found = data
        for step in args[0].split("."):
            found = found.get(step) if isinstance(found, dict) else None
        return found
    if op == "if":
        for at in range(0, len(args) - 1, 2):
            if run(args[at], data, js):
                return run(args[at + 1], data, js)
        return run(args[-1], data, js) if len(args) % 2 else None
    if op in ("and", "or"):
        for part in args:
            if bool(found := run(part, data, js)) is (op == "or"):
                return found
        return found
    if op == "fractional":
        [unit, *weights] = [run(args[0], data, js), *args[1:]]
        hashed = mmh3.hash(HASHED[0](unit), signed=False)
        bucket, end = hashed * sum(weight for _, weight in weights) >> 32, 0
        for variant, weight in weights:
            end += weight
            if bucket < end:
                return variant
    a, b, *more = [*(x if isinstance(x, list) else run(x, data, js) for x in args), None]
    match op:
        case "===":
            return js.same(a, b)
        case "!==":
            return not js.same(a, b)
        case "!":
            return not a
        case "+":
            return js.number(a)
        case "cat":
            return "".join(js.text(run(x, data, js)) for x in args)
        case "in":
            if isinstance(b, list):
                return any(js.same(a, x) for x in b)
            return isinstance(b, str) and js.text(a) in b
        case "starts_with":
            return isinstance(a, str) and a.startswith(b)
        case "ends_with":
            return isinstance(a, str) and a.endswith(b)
        case "sem_ver":
            left, right = version(a), version(more[0])
            if left is None or right is None:
                return None
            signs = {"=": left == right, "<": left < right, "<=": left <= right}
            return {**signs, ">": left > right, ">=": left >= right}[b]
        case _:
            left, right = js.number(a), js.number(b)
            return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[
                op
            ]


def stored(key="f", **said):
    whole = {"type": "boolean", "variants": {"on": True, "off": False}, "enabled": True}
    names = {"default_variant": "off", "off_variant": "off", "client_side": False}
    return Stored(key=key, **{**whole, **names, **said})


def when(condition):
    return {"rules": [{"when": condition, "variant": "on"}]}


def clause(op, attribute="x", **operand):
    return {"op": op, "attribute": attribute, **operand}


SEGMENTS = [
    StoredSegment(
        key="inner",
        document={"when": clause("eq", value="a")},
        included=["ana", "é"],
        excluded=["ben"],
    ),
    StoredSegment(key="outer", document={"when": {"op": "in_segment", "segments": ["inner"]}}),
    StoredSegment(key="empty", document={}),
]
SAID = [
    clause("eq", value="a"),
    clause("eq", value=5),
    clause("eq", value=True),
    clause("eq", value=None),
    clause("ne", value="5"),
    clause("ne", value=False),
    clause("in", values=["a", 5, True, None]),
    clause("not_in", values=["a", "b"]),
    clause("contains", values=["a", "5"]),
    clause("starts", values=["a", ""]),
    clause("ends", values=["b", "5"]),
    clause("num_eq", value=5),
    clause("num_ne", value=0),
    clause("num_lt", value=5),
    clause("num_ge", value=1),
    clause("between", min=0, max=5),
    clause("semver_ge", value="1.2"),
    clause("semver_ne", value="v1.2.3"),
    clause("semver_range", values=["^1.2.3", "~0.2", "2.*"]),
    clause("semver_range", values=["*"]),
    clause("present"),
    clause("absent"),
    clause("type_of", values=["string", "boolean"]),
    clause("type_of", values=["number", "null"]),
    clause("eq", attribute="/deep/y", value="a"),
    {"op": "in_segment", "segments": ["inner", "empty"]},
    {"op": "not_in_segment", "segments": ["outer"]},
    {"op": "flag", "flag": "other", "variants": ["on"]},
    {"op": "flag", "flag": "nobody", "variants": ["on"]},
    {"all": [clause("present"), {"not": clause("eq", value="a")}]},
    {"any": [clause("eq", value="b"), clause("num_gt", value=2)]},
    {"op": "before", "attribute": "$now", "value": "2100-01-01T00:00:00Z"},
    {"op": "after", "attribute": "$now", "value": "2100-01-01T00:00:00Z"},
]
UNSAYABLE = [
    clause("matches", values=["a"]),
    clause("eq", value="a", ignore_case=True),
    clause("eq", value=[1]),
    clause("modulo", divisor=2, remainder=0),
    clause("in_cidr", values=["10.0.0.0/8"]),
    clause("empty"),
    clause("array_any", values=["a"]),
    clause("size", min=1),
    clause("elem_match", where=clause("present")),
    clause("before", value="2030-01-01"),
    clause("eq", attribute="a.b", value="a"),
    clause("eq", attribute="/a/0", value="a"),
    clause("eq", attribute="length", value="a"),
    clause("type_of", values=["array"]),
    {"op": "after", "attribute": "$now", "value": "-7d"},
    {"op": "time_between", "start": "09:00", "end": "17:00"},
    {"op": "in_segment", "segments": ["nobody"]},
    {"op": "flag", "flag": "regex", "variants": ["on"]},
]
OTHERS = [
    stored("other", targeting=when(clause("eq", value="a"))),
    stored("regex", targeting=when(clause("matches", values=["a"]))),
]
values = st.one_of(
    st.sampled_from(
        ["a", "b", "ab", "5", "-0", " 5 ", "0x5", "inf", "true", "True", "", "é", "1.2.3"]
    ),
    st.sampled_from(["v1.2.4-rc.1", "2.0.0-0", "0.2", "1", "01.2.3", "null", "ana"]),
    st.sampled_from([0, 1, 5, 5.0, 2.5, -1, True, False, None, [], ["a"], {}, {"y": "a"}]),
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "x": values,
        "targetingKey": st.sampled_from(["ana", "ben", "é", "u1", "u2", ""]),
        "deep": values,
        "unit": values,
        "kind": st.sampled_from(["user", "multi", "organization", "thing"]),
        "organization": st.just({"key": "acme", "x": "a"}),
    },
)


def both(row, context):
    """Return the variant that we serve (empty: an error), and what each kind of JsonLogic makes of it."""
    rows = [row, *OTHERS]
    said, left = document(rows, SEGMENTS, {})
    assert row.key not in left, left
    now = time.time()
    ruleset, refused = compile_all(Place(None, "p", "e"), 1, rows, None, SEGMENTS)
    assert refused == {}
    ours = ruleset.ask(ruleset.flags[row.key], context, now).variant
    flag = said["flags"][row.key]
    data = {**context, "$flagd": {"timestamp": int(now), "flagKey": row.key}}
    data.setdefault("targetingKey", None)
    theirs = [
        run(flag["targeting"], data, js) or flag["defaultVariant"] for js in (JavaScript, Python)
    ]
    return ours, theirs


@pytest.mark.parametrize("condition", SAID, ids=str)
@given(context=contexts)
def test_what_is_said_serves_what_we_serve_or_nothing(condition, context):
    ours, theirs = both(stored(targeting=when(condition)), context)
    for found in theirs:
        assert found in (ours, UNSAID)


def test_what_is_said_is_not_only_silence():
    for condition in SAID:
        if condition.get("flag") != "nobody":
            ours, theirs = both(stored(targeting=when(condition)), {"x": 2.5, "targetingKey": "u"})
            assert set(theirs) == {ours}, condition


@given(context=contexts)
def test_splits_targets_and_prerequisites_too(context):
    split = {"weights": [{"variant": "on", "weight": 50_000}, {"variant": "off", "weight": 50_000}]}
    targets = [
        {"variant": "on", "values": ["ana"]},
        {"variant": "off", "values": ["a"], "attribute": "x"},
    ]
    targeting = {
        "prerequisites": [{"flag": "other", "variants": ["off"]}],
        "targets": targets,
        "rules": [{"split": {**split, "by": ["unit", "targetingKey"]}}],
    }
    ours, theirs = both(stored(targeting=targeting), context)
    for found in theirs:
        assert found in (ours, UNSAID) or (ours, found) == ("", NO_UNIT)


@pytest.mark.parametrize("condition", UNSAYABLE, ids=str)
def test_what_cannot_be_said_is_left_out_and_named(condition):
    said, left = document([stored(targeting=when(condition)), *OTHERS], SEGMENTS, {"version": "7"})
    assert "f" not in said["flags"]
    assert left["f"]
    assert said["metadata"] == {"version": "7", "switchyardLeftOut": "f,regex"}
    assert "other" in said["flags"]


def test_a_flag_without_rules_is_a_flag_without_rules():
    said, left = document(
        [stored("off", enabled=False, default_variant="on"), stored("on", default_variant="on")],
        [],
        {},
    )
    assert (said["flags"]["off"]["defaultVariant"], said["flags"]["on"]["defaultVariant"]) == (
        "off",
        "on",
    )
    assert not any("targeting" in flag for flag in said["flags"].values())
    assert left == {}


def test_spoilt_flags_lists_and_rings_are_left_out():
    ring = [
        stored("a", targeting={"prerequisites": [{"flag": "b", "variants": ["on"]}]}),
        stored("b", targeting={"prerequisites": [{"flag": "a", "variants": ["on"]}]}),
    ]
    rows = [
        stored("spoilt", variants="x"),
        stored("list", type="json", variants={"on": [], "off": {}}),
        *ring,
    ]
    said, left = document(rows, [], {})
    assert said["flags"] == {}
    assert set(left) == {"spoilt", "list", "a", "b"}


def test_a_segment_with_too_many_ids_is_not_said():
    many = StoredSegment(key="inner", document={}, included=[f"u{n}" for n in range(10_001)])
    _, left = document(
        [stored(targeting=when({"op": "in_segment", "segments": ["inner"]}))], [many], {}
    )
    assert "10000" in left["f"]


def test_a_provider_that_hashes_in_another_way_says_nothing(monkeypatch):
    split = {"weights": [{"variant": "on", "weight": 50_000}, {"variant": "off", "weight": 50_000}]}
    row = stored(targeting={"rules": [{"split": split}]})
    ours, theirs = both(row, {"targetingKey": "u1"})
    assert set(theirs) == {ours}
    monkeypatch.setitem(HASHED, 0, lambda unit: b"\x62" + unit.encode())  # CBOR
    assert set(both(row, {"targetingKey": "u1"})[1]) == {UNSAID}
