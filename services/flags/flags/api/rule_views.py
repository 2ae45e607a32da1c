"""Rules as they are sent in REST. The domain reads them, so that what is wrong is told with a pointer to the clause."""

from typing import Annotated, Any

from pydantic import Field, JsonValue, WithJsonSchema

from flags.domain.operators import OPERATORS
from flags.domain.rules import DEEPEST, MOST_PREREQUISITES, MOST_RULES, MOST_TARGETS

_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_KIND: dict[str, Any] = {"enum": ["user", "organization", "device"], "default": "user"}
_FIELDS: dict[str, dict[str, Any]] = {
    "value": {"description": "What the attribute is compared with."},
    "values": {"type": "array", "minItems": 1, "description": "Any one of these will do."},
    "ignore_case": {"type": "boolean", "default": False},
    "min": {"type": "number"},
    "max": {"type": "number"},
    "divisor": {"type": "integer", "minimum": 1},
    "remainder": {"type": "integer", "minimum": 0},
    "zone": {"type": "string", "default": "UTC"},
    "start": {"type": "string", "examples": ["09:00"]},
    "end": {"type": "string", "examples": ["17:00"]},
    "days": {"type": "array", "items": {"enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}},
}


def _object(required: tuple[str, ...], **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON Schema
    return {
        "type": "object",
        "required": list(required),
        "properties": fields,
        "additionalProperties": False,
    }


def _families() -> list[dict[str, Any]]:
    """Return a form for each set of operators that read the same fields."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name, operator in OPERATORS.items():
        found.setdefault(tuple(sorted(operator.fields)), []).append(name)
    return [
        _object(
            ("op",) if "time_between" in names else ("op", "attribute"),
            op={"enum": names},
            attribute={"type": "string", "maxLength": 256},
            kind=_KIND,
            **{field: _FIELDS[field] for field in fields},
        )
        for fields, names in found.items()
    ]


_INNER = {"type": "object", "description": f"A condition; at most {DEEPEST} levels deep."}
CONDITION: dict[str, Any] = {
    "description": "A clause, or `all`, `any`, `not` over conditions.",
    "oneOf": [
        _object(("all",), all={"type": "array", "items": _INNER, "minItems": 1}),
        _object(("any",), any={"type": "array", "items": _INNER, "minItems": 1}),
        _object(("not",), **{"not": _INNER}),
        *_families(),
        _object(
            ("op", "attribute", "where"),
            op={"const": "elem_match"},
            attribute={"type": "string"},
            kind=_KIND,
            where=_INNER,
        ),
        _object(("op", "segments"), op={"enum": ["in_segment", "not_in_segment"]}, segments=_TEXTS),
        _object(
            ("op", "flag", "variants"),
            op={"const": "flag"},
            flag={"type": "string"},
            variants=_TEXTS,
        ),
    ],
}
_WEIGHT = _object(
    ("variant", "weight"),
    variant={"type": "string"},
    weight={
        "type": "integer",
        "minimum": 0,
        "maximum": 100_000,
        "description": "Steps of 0.001 %.",
    },
)
_SPLIT = _object(
    ("weights",),
    weights={"type": "array", "items": _WEIGHT, "description": "Add up to 100,000."},
    by={**_TEXTS, "description": "The first attribute that is there names the unit."},
    salt={"type": "string", "maxLength": 100},
)
_RULE = _object(
    (),
    id={"type": "string", "maxLength": 100},
    name={"type": "string", "maxLength": 200},
    when=CONDITION,
    variant={"type": "string"},
    split=_SPLIT,
)
_TARGET = _object(
    ("variant", "values"),
    variant={"type": "string"},
    values=_TEXTS,
    attribute={"type": "string", "default": "targetingKey"},
    kind=_KIND,
)
_PREREQUISITE = _object(("flag", "variants"), flag={"type": "string"}, variants=_TEXTS)


def _listed(item: dict[str, Any], most: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "array", "items": item, "maxItems": most})


Part = dict[str, JsonValue]
Condition = Annotated[Part, WithJsonSchema(CONDITION)]
Rules = Annotated[list[Part], Field(max_length=MOST_RULES), _listed(_RULE, MOST_RULES)]
Targets = Annotated[list[Part], Field(max_length=MOST_TARGETS), _listed(_TARGET, MOST_TARGETS)]
Prerequisites = Annotated[
    list[Part], Field(max_length=MOST_PREREQUISITES), _listed(_PREREQUISITE, MOST_PREREQUISITES)
]
