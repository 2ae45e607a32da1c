"""The fast ways to write and to read JSON do what the slow ones do."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.api.grpc import _DEEPEST, _spelled_as_we_do
from audit.domain.canon import canonical
from chassis import strictjson
from chassis.errors import Invalid

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SPELLED = st.sampled_from(
    ["1.5", ":1e5", "[-2E3", "1e16", "a,0.00001", '"', "\\u0000", "\x7f", "é"]
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT | SPELLED,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def as_the_module_writes(value):
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )


@given(JSON)
def test_what_is_written_fast_is_what_the_module_writes(value):
    assert canonical(value) == as_the_module_writes(value)


@pytest.mark.parametrize("number", [1e16, 1e-7, 0.00001, 2**64, -(2**63) - 1, -0.0, 1.0, 5e-324])
def test_numbers_that_others_spell_otherwise(number):
    assert canonical({"n": [number]}) == as_the_module_writes({"n": [number]})


@given(JSON)
def test_what_is_read_fast_is_what_the_strict_reader_reads(value):
    text = as_the_module_writes(value)
    known = _spelled_as_we_do(text)
    assert known is None or repr(known) == repr(strictjson.loads(text.encode(), _DEEPEST))


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"b":1,"a":2}',
        '{"a": 1}',
        '{"a":NaN}',
        '{"a":1e999}',
        '{"a":"\\ud800"}',
        '{"a":"\\u0000"}',
        '{"a":-0}',
        '{"a":01}',
        "[" * 90 + "]" * 90,
        '{"a":1}x',
    ],
)
def test_a_text_with_a_loophole_is_left_to_the_strict_reader(text):
    assert _spelled_as_we_do(text) is None


def test_what_neighbours_send_is_read_fast():
    assert _spelled_as_we_do('{"a":[1,"é"]}') == {"a": [1, "é"]}


def test_what_only_the_strict_reader_refuses_is_still_refused():
    with pytest.raises(Invalid):
        strictjson.loads(b'{"a":1,"a":2}')
