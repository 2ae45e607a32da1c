"""JSON Schema for flags whose variants are JSON."""

import pytest

from flags.domain.schema import MOST_STEPS, Effort, check_schema, misfit
from flags.domain.wrong import Wrong

BUTTON = {
    "type": "object",
    "required": ["label"],
    "additionalProperties": False,
    "properties": {
        "label": {"type": "string", "minLength": 1, "pattern": "^[A-Z]"},
        "size": {"type": "integer", "minimum": 1, "exclusiveMaximum": 10, "multipleOf": 2},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2, "uniqueItems": True},
        "next": {"$ref": "#/$defs/step"},
        "tone": {"enum": ["calm", None, 1]},
        "either": {"oneOf": [{"const": 1}, {"type": "string"}]},
        "other": {"not": {"type": ["null", "boolean"]}},
    },
    "$defs": {
        "step": {
            "anyOf": [
                {"type": "null"},
                {
                    "allOf": [
                        {"minProperties": 1},
                        {"properties": {"next": {"$ref": "#/$defs/step"}}},
                    ]
                },
            ]
        }
    },
}


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"label": "Go"}, None),
        (
            {"label": "Go", "size": 4, "tags": ["a", "b"], "tone": None, "either": "x", "other": 0},
            None,
        ),
        ({"label": "Go", "next": {"next": {"next": None}}}, None),
        ([], ""),
        ({}, ""),
        ({"label": "go"}, "/label"),
        ({"label": ""}, "/label"),
        ({"label": "Go", "size": 4.5}, "/size"),
        ({"label": "Go", "size": 10}, "/size"),
        ({"label": "Go", "size": True}, "/size"),
        ({"label": "Go", "size": 3}, "/size"),
        ({"label": "Go", "tags": ["a", 1]}, "/tags/1"),
        ({"label": "Go", "tags": ["a", "a"]}, "/tags"),
        ({"label": "Go", "tone": True}, "/tone"),
        ({"label": "Go", "either": 2}, "/either"),
        ({"label": "Go", "other": False}, "/other"),
        ({"label": "Go", "next": {}}, "/next"),
        ({"label": "Go", "next": {"next": {"next": {}}}}, "/next"),
        ({"label": "Go", "a/b": 1}, "/a~1b"),
    ],
)
def test_a_value_fits_its_schema_or_one_is_told_where_not(value, pointer):
    check_schema(BUTTON)
    wrong = misfit(BUTTON, value)
    assert (wrong and wrong.pointer) == pointer


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ([], ""),
        ({"type": "colour"}, "/type"),
        ({"properties": {"a": {"tpye": "string"}}}, "/properties/a/tpye"),
        ({"items": {"pattern": "("}}, "/items/pattern"),
        ({"$ref": "https://evil.example/schema"}, "/$ref"),
        ({"anyOf": {"a": 1}}, "/anyOf"),
        ({"allOf": [{"minimum": "1"}]}, "/allOf/0/minimum"),
        ({"maxLength": -1}, "/maxLength"),
    ],
)
def test_a_schema_that_would_be_misread_is_refused(schema, pointer):
    with pytest.raises(Wrong) as refused:
        check_schema(schema)
    assert refused.value.pointer == pointer


def test_a_schema_that_refers_to_itself_for_ever_ends():
    loop = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    check_schema(loop)
    assert misfit(loop, {}) is not None


def again(name, times=2):
    return {"allOf": [{"$ref": f"#/$defs/{name}"}] * times}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (
            {"$defs": {f"d{n}": again(f"d{n + 1}") for n in range(60)} | {"d60": {}}} | again("d0"),
            1,
        ),
        ({"$defs": {"d": again("d")}, **again("d")}, 1),
        ({"$defs": {"c": {"const": [0] * 5000}}, **again("c", 5000)}, [0] * 5000),
        ({"$defs": {"p": {"pattern": "((a{1,30}){1,30})b"}}, **again("p", 1000)}, "a" * 5000),
    ],
)
def test_what_would_take_for_ever_is_given_up(schema, value):
    check_schema(schema)
    assert "takes too long" in misfit(schema, value, Effort(MOST_STEPS // 10)).message


def test_values_share_what_they_may_take():
    effort = Effort()
    assert misfit({"items": {"type": "integer"}}, [1] * 1000, effort) is None
    assert MOST_STEPS - 10_000 < effort.left < MOST_STEPS - 5_000


def test_a_large_list_can_be_of_different_things():
    schema = {"uniqueItems": True}
    many = [*range(50_000), *(f"{n}" for n in range(50_000)), True, None, [1], [True], {"a": 1}]
    assert misfit(schema, many) is None
    for one, other in ((0, 0.0), ([1], [1.0]), ({"a": 1, "b": 2}, {"b": 2, "a": 1.0})):
        assert misfit(schema, [one, "x", other]) is not None
