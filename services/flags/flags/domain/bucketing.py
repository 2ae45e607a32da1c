"""Bucketing: which share of all units a unit belongs to. Whole numbers only, the same in every language.

Version 1: bucket = (murmur3_x86_32(UTF-8 of salt + unit, seed 0) · 100 000) >> 32, so 0 … 99 999 in steps of 0.001 %.
The version a flag was made with stays its own; a better one would be version 2. `tests/vectors/bucketing.json` of this
service holds what every implementation has to agree on.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

import mmh3

WHOLE = 100_000
NEWEST = 1
_hash = mmh3.hash


def bucket_v1(salt: str, unit: str) -> int:
    """Return the bucket of a unit, from 0 to 99 999."""
    try:
        return (_hash(salt + unit, 0, False) * WHOLE) >> 32
    except (
        UnicodeEncodeError
    ):  # half of a surrogate pair, which no JSON can bring but a program can
        return (_hash((salt + unit).encode("utf-8", "surrogatepass"), 0, False) * WHOLE) >> 32


BUCKETS: dict[int, Callable[[str, str], int]] = {1: bucket_v1}


def bounds(weights: Sequence[int]) -> list[int]:
    """Return where each share ends; the last one ends at 100 000."""
    return list(accumulate(weights))


def share_of(bucket: int, ends: Sequence[int]) -> int:
    """Return the index of the share that a bucket lies in."""
    return bisect_right(ends, bucket)
