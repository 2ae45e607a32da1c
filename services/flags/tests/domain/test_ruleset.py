from dataclasses import replace
from uuid import UUID

import orjson
from hypothesis import given
from hypothesis import strategies as st

from flags.domain.place import Place
from flags.domain.ruleset import Reason, Stored, compile_all, compiled
from flags.domain.values import FlagType

PLACE = Place(UUID(int=9), "default", "production")
GOOD = Stored(
    key="dark-mode",
    type="boolean",
    variants={"on": True, "off": False},
    enabled=True,
    default_variant="on",
    off_variant="off",
    client_side=False,
)
SAFE = st.integers(-(2**53) + 1, 2**53 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text()
JSON = st.recursive(
    st.none() | st.booleans() | SAFE | FINITE | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
VALUES = {
    "boolean": st.booleans(),
    "string": TEXT,
    "integer": SAFE,
    "float": FINITE | SAFE,
    "json": st.lists(JSON, max_size=3) | st.dictionaries(TEXT, JSON, max_size=3),
}
TYPES = {"boolean": bool, "string": str, "integer": int, "float": float, "json": (dict, list)}


@st.composite
def stored(draw):
    kind = draw(st.sampled_from([t.value for t in FlagType]))
    names = draw(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4, unique=True))
    return Stored(
        key="f",
        type=kind,
        variants={name: draw(VALUES[kind]) for name in names},
        enabled=draw(st.booleans()),
        default_variant=draw(st.sampled_from(names)),
        off_variant=draw(st.sampled_from(names)),
        client_side=draw(st.booleans()),
    )


@given(stored())
def test_a_flag_serves_its_default_when_enabled_and_its_off_variant_when_not(flag):
    answer = compiled(flag).answer
    served = flag.default_variant if flag.enabled else flag.off_variant
    assert (answer.variant, answer.value) == (served, flag.variants[served])
    assert answer.reason is (Reason.STATIC if flag.enabled else Reason.DISABLED)


@given(stored())
def test_what_is_served_is_of_the_flags_type_and_can_be_written_down(flag):
    value = compiled(flag).answer.value
    assert isinstance(value, TYPES[flag.type])
    assert orjson.loads(orjson.dumps(value)) == value


@given(
    kind=st.text(max_size=8) | st.sampled_from([t.value for t in FlagType]),
    variants=JSON,
    served=st.text(max_size=3),
)
def test_no_stored_nonsense_gets_in_the_way_of_its_neighbours(kind, variants, served):
    nonsense = replace(GOOD, key="x", type=kind, variants=variants, default_variant=served)
    ruleset, refused = compile_all(PLACE, 1, [nonsense, GOOD])
    assert ruleset.flags["dark-mode"].answer.value is True
    assert ruleset.flags["x"].broken == ("x" in refused)


def test_a_poisoned_flag_keeps_its_last_good_form():
    before, _ = compile_all(PLACE, 1, [GOOD])
    for broken in (
        replace(GOOD, variants=[]),
        replace(GOOD, type="colour"),
        replace(GOOD, default_variant="gone"),
        replace(GOOD, variants={"on": 1, "off": 0}),
    ):
        after, refused = compile_all(PLACE, 2, [broken], before)
        assert (after.revision, after.flags) == (2, before.flags)
        assert list(refused) == ["dark-mode"]
        assert compile_all(PLACE, 2, [broken])[0].flags["dark-mode"].broken


def test_a_client_side_key_sees_only_what_is_marked_for_clients():
    marked = replace(GOOD, key="marked", client_side=True)
    ruleset, _ = compile_all(PLACE, 1, [GOOD, marked])
    assert [f.key for f in ruleset.visible(client_side=True)] == ["marked"]
    assert [f.key for f in ruleset.visible(client_side=False)] == ["dark-mode", "marked"]
