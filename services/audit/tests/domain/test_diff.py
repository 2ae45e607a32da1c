import copy

from hypothesis import given
from hypothesis import strategies as st

from audit.domain.diff import diff

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("ab/~", max_size=2), inner),
    max_leaves=20,
)


def steps(path):
    return [s.replace("~1", "/").replace("~0", "~") for s in path.split("/")[1:]]


def patched(document, operations):
    """RFC 6902 as it is written, for the three operations that we use."""
    document = copy.deepcopy(document)
    for operation in operations:
        *way, last = [None, *steps(operation["path"])]
        if last is None:
            assert operation["op"] == "replace"
            document = operation["value"]
            continue
        place = document
        for step in way[1:]:
            place = place[int(step)] if isinstance(place, list) else place[step]
        key = int(last) if isinstance(place, list) else last
        match operation["op"], place:
            case "add", list():
                assert 0 <= key <= len(place)
                place.insert(key, operation["value"])
            case "add", dict():
                place[key] = operation["value"]
            case "replace", _:
                place[key] = operation["value"]
            case "remove", _:
                del place[key]
    return document


def alike(one, other):
    """Equality of JSON: true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other


@given(JSON, JSON)
def test_the_patch_turns_what_was_into_what_is(before, after):
    assert alike(patched(before, diff(before, after)), after)


@given(JSON)
def test_what_is_the_same_needs_no_patch(document):
    assert diff(document, copy.deepcopy(document)) == []


def test_true_is_not_one():
    assert diff({"a": True}, {"a": 1}) == [{"op": "replace", "path": "/a", "value": 1}]


def test_what_is_put_into_the_middle_of_an_array_is_one_operation():
    assert diff([1, 2, 4, 5], [1, 2, 3, 4, 5]) == [{"op": "add", "path": "/2", "value": 3}]


def test_what_is_taken_out_of_the_middle_of_an_array_is_one_operation():
    assert diff([1, 2, 3, 4], [1, 3, 4]) == [{"op": "remove", "path": "/1"}]


def test_names_are_escaped():
    assert diff({}, {"a/b~": 1}) == [{"op": "add", "path": "/a~1b~0", "value": 1}]
