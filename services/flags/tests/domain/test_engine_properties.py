"""What is true of every ruleset and every context."""

from itertools import pairwise
from math import inf, nan
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flags.domain.bucketing import WHOLE, bounds, bucket_v1, share_of
from flags.domain.compile import Asked, StoredSegment
from flags.domain.context import plain
from flags.domain.explain import Explainer
from flags.domain.graph import rings
from flags.domain.place import Place
from flags.domain.ruleset import Stored, compile_all

PLACE = Place(UUID(int=9), "default", "production")
NAMES = ["plan", "country", "/a/b", "/list/0", "version", "list", "$now", "targetingKey", "kind"]
TEXTS = st.sampled_from(
    ["", "CH", "pro", "1.4.0", "10.0.0.7", "2026-01-01", "5", "\ud800", "🎈"]
) | st.text("aZ5.-:ü", max_size=4)
SCALARS = (
    TEXTS
    | st.integers(-5, 10)
    | st.sampled_from([nan, inf, -inf, 1.5, 1e308, 10**400])
    | st.booleans()
    | st.none()
)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=3), max_leaves=6
)
CONTEXTS = st.dictionaries(
    st.sampled_from(
        [
            "plan",
            "country",
            "a",
            "list",
            "version",
            "targetingKey",
            "kind",
            "user",
            "organization",
            "device",
        ]
    ),
    VALUES | st.dictionaries(st.sampled_from(["key", "plan", "b"]), VALUES, max_size=3),
    max_size=6,
)
WORDS = st.sampled_from(["CH", "pro", "1.4.0", "5", "x"])
KEYS = st.sampled_from(["f0", "f1", "f2", "gone"])
OPERANDS = st.one_of(
    st.builds(
        lambda op, v: {"op": op, "value": v},
        st.sampled_from(["eq", "ne"]),
        WORDS | st.integers(0, 3) | st.booleans(),
    ),
    st.builds(
        lambda op, v, fold: {"op": op, "values": v, "ignore_case": fold},
        st.sampled_from(["in", "not_in", "contains", "starts", "ends", "matches"]),
        st.lists(WORDS, min_size=1, max_size=3),
        st.booleans(),
    ),
    st.builds(
        lambda op, v: {"op": op, "value": v},
        st.sampled_from(["num_eq", "num_ne", "num_lt", "num_le", "num_gt", "num_ge"]),
        st.integers(-2, 6),
    ),
    st.builds(
        lambda op, v: {"op": op, "value": v},
        st.sampled_from(["before", "after", "on"]),
        st.sampled_from(["2026-01-01", "-7d", "+1h", "-999999w"]),
    ),
    st.builds(
        lambda op: {"op": op, "value": "1.4.0"},
        st.sampled_from(["semver_eq", "semver_ne", "semver_lt", "semver_ge"]),
    ),
    st.builds(lambda op: {"op": op}, st.sampled_from(["present", "absent", "empty"])),
    st.builds(
        lambda op, v: {"op": op, "values": v},
        st.sampled_from(["array_any", "array_all", "array_none"]),
        st.lists(WORDS, min_size=1, max_size=2),
    ),
    st.sampled_from(
        [
            {"op": "between", "min": 1, "max": 3},
            {"op": "modulo", "divisor": 3, "remainder": 1},
            {"op": "size", "min": 1},
            {"op": "semver_range", "values": ["^1.2", "2.*"]},
            {"op": "in_cidr", "values": ["10.0.0.0/8", "::/0"]},
            {"op": "type_of", "values": ["string", "integer"]},
            {
                "op": "time_between",
                "start": "22:00",
                "end": "06:00",
                "zone": "Europe/Zurich",
                "days": ["mon", "thu"],
            },
        ]
    ),
)
CLAUSES = st.builds(
    lambda operand, name, kind: {**operand, "attribute": name, "kind": kind},
    OPERANDS,
    st.sampled_from(NAMES),
    st.sampled_from(["user", "user", "organization"]),
)
ASKING = st.one_of(
    st.builds(
        lambda op, k: {"op": op, "segments": [k]},
        st.sampled_from(["in_segment", "not_in_segment"]),
        st.sampled_from(["s0", "s1"]),
    ),
    st.builds(lambda k: {"op": "flag", "flag": k, "variants": ["on"]}, KEYS),
)
PURE = st.recursive(
    CLAUSES,
    lambda c: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(c, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(c, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, c),
        st.builds(lambda part: {"op": "elem_match", "attribute": "list", "where": part}, c),
    ),
    max_leaves=4,
)
WHENS = PURE | ASKING | st.builds(lambda a, b: {"any": [a, {"not": b}]}, ASKING, PURE)
SPLITS = st.builds(
    lambda on, by: {
        "split": {
            "by": by,
            "weights": [{"variant": "on", "weight": on}, {"variant": "off", "weight": WHOLE - on}],
        }
    },
    st.integers(0, WHOLE),
    st.sampled_from([["targetingKey"], ["plan", "/list/0", "targetingKey"]]),
)
RULES = st.builds(
    lambda serve, when: {**serve, **({"when": when} if when else {})},
    SPLITS | st.just({"variant": "on"}),
    WHENS | st.none(),
)
TARGETS = st.builds(
    lambda variant, values, where: {"variant": variant, "values": values, **where},
    st.sampled_from(["on", "off"]),
    st.lists(st.sampled_from(["CH", "pro", "5"]), min_size=1, max_size=2),
    st.sampled_from(
        [
            {"attribute": "plan"},
            {"attribute": "/a/b"},
            {},
            {"kind": "organization"},
            {"kind": "device", "attribute": "plan"},
        ]
    ),
)
TARGETINGS = st.fixed_dictionaries(
    {},
    optional={
        "prerequisites": st.lists(
            st.builds(lambda k: {"flag": k, "variants": ["on"]}, KEYS), max_size=2
        ),
        "targets": st.lists(TARGETS, max_size=4),
        "rules": st.lists(RULES, max_size=3),
    },
)


def flag(key, targeting, enabled=True):
    return Stored(
        key=key,
        type="boolean",
        variants={"on": True, "off": False},
        enabled=enabled,
        default_variant="off",
        off_variant="off",
        client_side=True,
        targeting=targeting,
    )


def said(answer):
    return (answer.value, answer.variant, answer.reason, answer.trouble)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    targetings=st.lists(TARGETINGS, min_size=3, max_size=3),
    segments=st.lists(WHENS, min_size=2, max_size=2),
    contexts=st.lists(CONTEXTS, min_size=1, max_size=4),
    now=st.floats(-1e9, 1e11),
)
def test_every_flag_answers_every_context_and_its_explanation_agrees(
    targetings, segments, contexts, now
):
    rows = [flag(f"f{n}", t, enabled=n != 2) for n, t in enumerate(targetings)]
    kept = [
        StoredSegment(key=f"s{n}", document={"when": w}, included=["CH"], excluded=["pro"])
        for n, w in enumerate(segments)
    ]
    ruleset, refused = compile_all(PLACE, 1, rows, segments=kept)
    explainer = Explainer({r.key: r for r in rows}, {s.key: s for s in kept}, ruleset, refused)
    for compiled in ruleset.flags.values():
        for context in contexts:
            answer = ruleset.ask(compiled, context, now)
            assert answer in compiled.answers
            assert answer.reason != "ERROR" or answer.trouble in (
                "PARSE_ERROR",
                "TARGETING_KEY_MISSING",
            )
            together = Asked(now, members={})
            for other in ruleset.flags.values():
                ruleset.serve(other, plain(context), together)
            assert ruleset.serve(compiled, plain(context), together) is answer
            assert said(explainer.explain(compiled.key, context, now).answer) == said(answer)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(document=VALUES, context=CONTEXTS)
def test_no_stored_document_whatever_it_is_gets_out_of_hand(document, context):
    ruleset, _ = compile_all(PLACE, 1, [flag("f", document), flag("n", None)])
    assert ruleset.ask(ruleset.flags["f"], context, 0.0).reason in ("STATIC", "ERROR", "DEFAULT")
    assert ruleset.ask(ruleset.flags["n"], context, 0.0).variant == "off"


@given(
    weights=st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any),
    units=st.lists(st.text(min_size=1), min_size=1, max_size=30),
    data=st.data(),
)
def test_when_shares_grow_to_the_left_nobody_moves_to_the_right(weights, units, data):
    """Raising where shares end never takes a unit out of an earlier share: who has a variant of a rollout keeps it."""
    scaled = [w * WHOLE // sum(weights) for w in weights]
    scaled[-1] += WHOLE - sum(scaled)
    before = bounds(scaled)
    after = list(before)
    for at in range(len(before) - 1):
        low = max(before[at], after[at - 1] if at else 0)
        after[at] = data.draw(st.integers(low, WHOLE))
    for unit in units:
        bucket = bucket_v1("salt", unit)
        assert share_of(bucket, after) <= share_of(bucket, before)


@given(unit=st.text(min_size=1), others=CONTEXTS, weight=st.integers(0, WHOLE))
def test_a_unit_stays_where_it_is_whatever_else_the_context_says(unit, others, weight):
    split = {
        "weights": [
            {"variant": "on", "weight": weight},
            {"variant": "off", "weight": WHOLE - weight},
        ]
    }
    ruleset, _ = compile_all(PLACE, 1, [flag("f", {"rules": [{"split": split}]})])
    others.pop("kind", None)
    alone = ruleset.ask(ruleset.flags["f"], {"targetingKey": unit}, 0.0)
    assert ruleset.ask(ruleset.flags["f"], others | {"targetingKey": unit}, 1e9) is alone


def test_shares_are_as_large_as_their_weights_say():
    """Chi-square over 10⁶ units and 1,000 shares: 999 degrees of freedom exceed 1,144 once in a thousand."""
    counts = [0] * 1000
    for n in range(1_000_000):
        counts[bucket_v1("chi", f"user-{n}") // 100] += 1
    assert sum((count - 1000) ** 2 / 1000 for count in counts) < 1144


def test_every_bucket_is_as_wide_as_any_other_to_one_hash():
    """Multiplying spreads 2³² hashes over 100,000 buckets: 42,949 or 42,950 each."""
    starts = [-(-(bucket << 32) // WHOLE) for bucket in range(WHOLE + 1)]
    assert {after - before for before, after in pairwise(starts)} == {
        42949,
        42950,
    }


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdefg"))))
def test_a_ring_is_found_exactly_where_something_reaches_itself(edges):
    def reaches(start):
        seen, todo = set(), list(edges[start])
        while todo:
            now = todo.pop()
            if now in edges and now not in seen:
                seen.add(now)
                todo += edges[now]
        return start in seen

    assert sorted(name for ring in rings(edges) for name in ring) == sorted(filter(reaches, edges))
