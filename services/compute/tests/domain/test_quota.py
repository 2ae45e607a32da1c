"""Arithmetic of quotas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.domain.errors import QuotaExceeded, QuotaStale
from compute.domain.quota import RESOURCES, Amount, Limits, Quota

AMOUNTS = st.builds(Amount, **{name: st.integers(0, 1000) for name in RESOURCES})


@given(limit=AMOUNTS, takes=st.lists(AMOUNTS, max_size=10))
def test_nobody_ever_has_more_than_the_limit(limit, takes):
    quota = Quota(limit)
    for more in takes:
        try:
            quota = quota.taken(more)
        except QuotaExceeded:
            assert any(getattr(quota.used + more, n) > getattr(limit, n) for n in RESOURCES)
    assert all(getattr(quota.used, n) <= getattr(limit, n) for n in RESOURCES)


def test_the_last_piece_may_be_taken():
    limit = Amount(vms=1, cpu=2, memory_gb=3, disk_gb=4)
    assert Quota(limit).taken(limit).used == limit


def test_a_refusal_names_each_thing_of_which_there_is_not_enough():
    quota = Quota(Amount(vms=2, cpu=4, memory_gb=8, disk_gb=9), Amount(vms=1, cpu=3))
    with pytest.raises(QuotaExceeded) as refusal:
        quota.taken(Amount(vms=1, cpu=2, memory_gb=9))
    assert refusal.value.detail == (
        "that is more than the quota: cpu 3 of 4 used, 2 more asked; memory_gb 0 of 8 used, 9 more asked"
    )


def test_who_has_more_than_a_lowered_limit_keeps_it_and_gets_no_more_of_it():
    default = Amount(vms=4, cpu=8, memory_gb=16, disk_gb=32)
    had = Quota(default, Amount(vms=3, cpu=6))
    lowered = had.limited(Limits(cpu=2), default)
    assert (lowered.limit.cpu, lowered.limit.vms, lowered.used, lowered.version) == (
        2,
        4,
        had.used,
        2,
    )
    with pytest.raises(QuotaExceeded, match="cpu 6 of 2 used"):
        lowered.taken(Amount(vms=1, cpu=1))
    assert lowered.taken(Amount(disk_gb=5)).used.disk_gb == 5
    assert lowered.limited(Limits(cpu=2), default) is lowered
    assert lowered.limited(Limits(), default).limit == default
    with pytest.raises(QuotaStale):
        lowered.expect(1)
