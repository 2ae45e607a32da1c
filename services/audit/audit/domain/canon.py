"""Canonical JSON: the one spelling of a value that the log hashes.

UTF-8, names sorted by code point, no white space, numbers as Python's json module writes them. orjson writes the same
bytes ten times as fast, but for floats (`1e16` against `1e+16`) and whole numbers beyond 64 bits: those, and whatever
looks like them, are left to the module.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

import orjson

_encode = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
Json = dict[str, object]
_FLAT = frozenset({str, int, bool, type(None)})
_MAY_BE_FLOAT = re.compile(rb"[:\[,]-?[0-9]+[.eE]").search


def canonical(value: Any) -> str:  # noqa: ANN401 - JSON is anything
    """Return the text of a JSON value. TypeError for what is no JSON.

    NaN and infinities are no JSON; whoever reads from outside refuses them (chassis.strictjson).
    """
    if value is None:
        return "null"
    if not isinstance(value, dict | list):
        return _encode(value)
    try:
        fast = orjson.dumps(value, option=_OPTIONS)
    except orjson.JSONEncodeError:
        return _encode(value)
    return fast.decode() if _flat(value) or not _MAY_BE_FLOAT(fast) else _encode(value)


def inside(value: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """Return a JSON value as it may stand in what `written` writes."""
    return value if value is None or _flat(value) else orjson.Fragment(canonical(value))


def written(said: Mapping[str, object]) -> bytes:
    """Return the canonical bytes of an object that has texts in it, objects of texts, and what `inside` returned.

    At once, and unlike `canonical` without a look for what orjson writes otherwise than the module.
    """
    try:
        return orjson.dumps(said, option=_OPTIONS)
    except orjson.JSONEncodeError:  # a number beyond 64 bits in a flat document
        apart = ((n, orjson.Fragment(canonical(v)) if _flat(v) else v) for n, v in said.items())
        return orjson.dumps(dict(apart), option=_OPTIONS)


def _flat(value: Any) -> bool:  # noqa: ANN401
    """Tell whether a value is an object that orjson writes as the module does, unless its numbers are too large."""
    return isinstance(value, dict) and _FLAT.issuperset(map(type, cast("Json", value).values()))
