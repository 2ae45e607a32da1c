"""JSON as we take it: RFC 8259 without its loopholes.

Refused: NaN and infinities, numbers that overflow, names said twice, lone surrogates, NUL in strings (PostgreSQL cannot
hold it), nesting beyond `DEEPEST`. orjson reads fast but lets the last of two equal names win, so it is not used here.
"""

import json
import re
from itertools import accumulate, count
from math import isinf
from operator import sub
from typing import Any, NoReturn

from chassis.errors import Invalid

DEEPEST = 64
LONGEST = 309  # digits of the largest double
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_STEPS = bytes.maketrans(b"[{]}", b"\2\2\0\0")  # one more than what each adds to the depth
_UNKEPT = re.compile(r"[\ud800-\udfff]|(?<!\\)(?:\\\\)*\\u0000")  # as json.dumps spells them
_OTHERS = bytes(sorted(set(range(256)) - set(b"[]{}")))


class BadJson(Invalid):
    """The body is not JSON, or uses a part of JSON that means different things to different readers."""

    code = "bad_json"


def loads(text: bytes, deepest: int = DEEPEST) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the value of a JSON text; BadJson if it is not one, or not a strict one."""
    if text.count(b"[") + text.count(b"{") > deepest and _depth(text) > deepest:
        raise BadJson(f"the body is nested deeper than {deepest} levels")
    try:
        said = text.decode("utf-8")
        value = json.loads(
            said,
            object_pairs_hook=_unique,
            parse_constant=_refused,
            parse_float=_finite,
            parse_int=_whole,
        )
    except UnicodeDecodeError:
        raise BadJson("the body is not UTF-8") from None
    except (ValueError, RecursionError) as wrong:
        raise BadJson(f"the body is not valid JSON: {wrong}") from None
    if "\\u" in said or "\x00" in said:
        check_text(value)
    return value


def _depth(text: bytes) -> int:
    brackets = _STRINGS.sub(b"", text).translate(_STEPS, _OTHERS)
    return max(map(sub, accumulate(brackets), count(1)), default=0)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadJson(f"the body says {twice!r} twice in one object")
    return made


def _refused(constant: str) -> NoReturn:
    raise BadJson(f"{constant} is not a number in JSON")


def _finite(number: str) -> float:
    if isinf(value := float(number)):
        raise BadJson(f"{number[:20]} is too large for a number")
    return value


def _whole(number: str) -> int:
    if len(number) > LONGEST:
        raise BadJson(f"{number[:20]}… is too large for a number")
    return int(number)


def check_text(value: object) -> None:
    """Refuse a JSON value with a string in it that nothing can store."""
    if _UNKEPT.search(json.dumps(value, ensure_ascii=False)):
        raise BadJson("a string holds a NUL character or half of a surrogate pair")
