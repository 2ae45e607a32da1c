"""The language-neutral vectors: what every implementation of conditions and of bucketing has to agree on."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from flags.domain.bucketing import BUCKETS
from flags.domain.compile import Asked, Compiler, Notes
from flags.domain.context import plain
from flags.domain.operators import OPERATORS
from flags.domain.reading import condition_of
from flags.domain.telling import Teller

VECTORS = Path(__file__).parents[1] / "vectors"
CONDITIONS = json.loads((VECTORS / "conditions.json").read_text())
BUCKETING = json.loads((VECTORS / "bucketing.json").read_text())
MASK = 0xFFFFFFFF


def seconds(said):
    return datetime.fromisoformat(said).timestamp()


@pytest.mark.parametrize("case", CONDITIONS["cases"], ids=lambda c: json.dumps(c["when"])[:80])
def test_a_condition_holds_or_not_as_the_vectors_say(case):
    now = seconds(case.get("now", CONDITIONS["now"]))
    condition = condition_of(case["when"])
    context = plain(case["context"])
    assert Compiler().condition(condition, Notes())(context, Asked(now)) is case["holds"]
    assert Teller({}, context, now, {}).told(condition, "")["holds"] is case["holds"]


def test_every_operator_is_in_the_vectors_with_both_outcomes():
    said = json.dumps([c for c in CONDITIONS["cases"] if c["holds"]])
    denied = json.dumps([c for c in CONDITIONS["cases"] if not c["holds"]])
    for op in OPERATORS:
        assert f'"op": "{op}"' in said, op
        assert f'"op": "{op}"' in denied, op


@pytest.mark.parametrize("case", BUCKETING["cases"], ids=lambda c: f"{c['salt']} {c['unit'][:20]}")
def test_a_unit_lies_in_the_bucket_that_the_vectors_say(case):
    assert BUCKETS[BUCKETING["version"]](case["salt"], case["unit"]) == case["bucket"]


@pytest.mark.parametrize("case", BUCKETING["cases"], ids=lambda c: f"{c['salt']} {c['unit'][:20]}")
def test_the_vectors_are_murmur3_scaled_by_multiplication(case):
    hashed = murmur3((case["salt"] + case["unit"]).encode())
    assert (hashed, hashed * 100_000 >> 32) == (case["hash"], case["bucket"])


def murmur3(data, seed=0):
    """MurmurHash3_x86_32 as Austin Appleby published it (public domain), written out once more."""
    state, whole = seed, len(data) - len(data) % 4
    for at in range(0, whole, 4):
        state = (turned(state ^ mixed(data[at : at + 4]), 13) * 5 + 0xE6546B64) & MASK
    if data[whole:]:
        state ^= mixed(data[whole:])
    state ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        state = ((state ^ (state >> shift)) * factor) & MASK
    return state ^ (state >> 16)


def mixed(block):
    return turned(int.from_bytes(block, "little") * 0xCC9E2D51 & MASK, 15) * 0x1B873593 & MASK


def turned(number, by):
    return (number << by | number >> (32 - by)) & MASK
