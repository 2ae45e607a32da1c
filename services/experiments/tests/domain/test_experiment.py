"""What an experiment may be, and how it may change."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.domain.errors import BadKey, BadVariants, PlanFrozen, VersionStale, WrongState
from experiments.domain.experiment import WHOLE, Experiment, Status, Variant, check_key

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
DRAFT = Experiment(
    id=UUID(int=1),
    tenant=UUID(int=9),
    key="checkout",
    name="Checkout",
    owner_id="ana",
    created_at=NOW,
    updated_at=NOW,
)
THREE = (Variant("a", 33_333), Variant("b", 33_333), Variant("c", 33_334))


def test_a_new_experiment_compares_treatment_with_control_half_and_half():
    assert [(v.key, v.weight) for v in DRAFT.variants] == [
        ("control", 50_000),
        ("treatment", 50_000),
    ]


@pytest.mark.parametrize(
    ("variants", "trouble"),
    [
        ((Variant("a", WHOLE),), "2 to 20"),
        (tuple(Variant(f"v{i}", 0) for i in range(21)), "2 to 20"),
        ((Variant("a", 50_000), Variant("a", 50_000)), "of its own"),
        ((Variant("a", 50_000), Variant("b", 49_999)), "add up to 99999"),
        ((Variant("a", WHOLE + 1), Variant("b", -1)), "negative"),
    ],
)
def test_variants_that_cannot_be_compared_are_refused(variants, trouble):
    with pytest.raises(BadVariants, match=trouble):
        replace(DRAFT, variants=variants)


@given(cuts=st.lists(st.integers(0, WHOLE), min_size=1, max_size=19))
def test_any_split_of_the_whole_is_accepted(cuts):
    marks = [0, *sorted(cuts), WHOLE]
    weights = [after - before for before, after in pairwise(marks)]
    variants = tuple(Variant(f"v{place}", weight) for place, weight in enumerate(weights))
    assert replace(DRAFT, variants=variants).variants == variants


def test_a_change_makes_the_next_version():
    after = DRAFT.changed({"name": "Better"}, LATER)
    assert (after.name, after.version, after.updated_at) == ("Better", 2, LATER)


def test_a_change_of_nothing_is_none():
    assert DRAFT.changed({"name": "Checkout"}, LATER) is DRAFT


@pytest.mark.parametrize("changes", [{"unit": "account"}, {"flag_key": "x"}, {"variants": THREE}])
def test_the_plan_is_settled_once_it_has_started(changes):
    assert DRAFT.changed(changes, LATER).version == 2
    with pytest.raises(PlanFrozen):
        replace(DRAFT, status=Status.ACTIVE).changed(changes, LATER)


def test_words_may_be_improved_while_it_runs_but_not_in_the_archive():
    assert (
        replace(DRAFT, status=Status.ACTIVE).changed({"hypothesis": "h"}, LATER).hypothesis == "h"
    )
    with pytest.raises(WrongState, match="ARCHIVED"):
        replace(DRAFT, status=Status.ARCHIVED).changed({"hypothesis": "h"}, LATER)


@pytest.mark.parametrize("status", Status)
def test_only_what_nobody_saw_or_what_is_archived_can_be_deleted(status):
    it = replace(DRAFT, status=status)
    if status in (Status.DRAFT, Status.ARCHIVED):
        it.check_removable()
    else:
        with pytest.raises(WrongState, match=status):
            it.check_removable()


def test_another_version_than_the_expected_is_stale():
    DRAFT.expect(None)
    DRAFT.expect(1)
    with pytest.raises(VersionStale, match="at version 1, not 7"):
        DRAFT.expect(7)


def test_a_key_that_reads_like_an_id_is_refused():
    check_key("checkout-2")
    for like_an_id in (str(UUID(int=7)), UUID(int=7).hex):
        with pytest.raises(BadKey):
            check_key(like_an_id)
