from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.domain.entry import Event
from audit.domain.merkle import Frontier, leaf_hash
from audit.domain.sequence import Head, Placing, placed
from audit.domain.strands import values
from audit.domain.writing import prepared
from chassis.facts import Actor, Target

T0 = datetime(2026, 1, 1, tzinfo=UTC)
TENANTS = [UUID(int=1), UUID(int=2)]


def event(tenant, number):
    return Event(
        id=UUID(int=number),
        tenant=tenant,
        occurred_at=T0,
        actor=Actor("user", "u"),
        action=f"a.b{number % 2}",
        target=Target("a", "1"),
    )


BATCHES = st.lists(
    st.tuples(
        st.lists(st.builds(event, st.sampled_from(TENANTS), st.integers(1, 8)), max_size=12),
        st.integers(-5, 5),
    ),
    max_size=6,
)


@given(BATCHES)
def test_numbers_have_no_gaps_times_never_go_back_and_nothing_is_there_twice(batches):
    heads = {t: Head(tenant=t, seq=0, ts=T0) for t in TENANTS}
    log, seen, counts = [], {}, {}
    for events, seconds in batches:
        events = [prepared(e, bytes(32)) for e in events]
        batch = placed(events, heads, seen, counts, T0 + timedelta(seconds=seconds))
        heads |= {head.tenant: head for head in batch.heads}
        log += batch.leaves
        for sent, receipt in zip(events, batch.receipts, strict=True):
            name = (sent.event.tenant, sent.event.id)
            assert receipt.event_id == sent.event.id
            assert receipt.seen_before == (name in seen)
            assert seen.setdefault(name, receipt.seq) == receipt.seq
    for tenant in TENANTS:
        leaves = [one for one in log if one.tenant == tenant]
        assert [e.seq for e in leaves] == list(range(1, len(leaves) + 1))
        assert [e.ts for e in leaves] == sorted(e.ts for e in leaves)
        assert len({e.one.event.id for e in leaves}) == len(leaves) == heads[tenant].seq
        assert heads[tenant].ts == (leaves[-1].ts if leaves else T0)
        tree = Frontier()
        for one in leaves:
            assert one.leaf == leaf_hash(one.body)
            tree.grow(one.leaf)
        assert (heads[tenant].leaves, heads[tenant].edge) == (len(leaves), tree.packed())
        numbers = {}
        for one in leaves:
            for which, value in enumerate(values(one.one.event)):
                numbers[which, value] = numbers.get((which, value), 0) + 1
                assert one.ordinals[which] == numbers[which, value]


def test_only_heads_that_moved_are_named():
    edge = Frontier()
    for n in range(4):
        edge.grow(leaf_hash(bytes([n])))
    heads = {t: Head(tenant=t, seq=4, ts=T0, leaves=4, edge=edge.packed()) for t in TENANTS}
    events = [prepared(event(TENANTS[n], n + 1), bytes(32)) for n in (0, 1)]
    batch = placed(events, heads, {(TENANTS[1], UUID(int=2)): 3}, {}, T0)
    assert [head.tenant for head in batch.heads] == [TENANTS[0]]


def test_what_stands_already_is_adopted_in_its_place_and_in_no_other():
    head = Head(tenant=TENANTS[0], seq=2, ts=T0)
    placing = Placing({TENANTS[0]: head}, {})
    one = prepared(event(TENANTS[0], 1), bytes(32))
    with pytest.raises(ValueError, match="not the next leaf"):
        placing.adopt(one, 2, T0)
    leaf = placing.adopt(one, 1, T0 - timedelta(days=1))
    assert (leaf.seq, leaf.ts) == (1, T0 - timedelta(days=1))
    (moved,) = placing.heads()
    assert (moved.seq, moved.ts, moved.leaves) == (2, T0, 1)
