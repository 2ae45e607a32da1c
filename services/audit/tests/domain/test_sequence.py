from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from audit.domain.entry import Event
from audit.domain.sequence import Head, placed
from chassis.facts import Actor, Target

T0 = datetime(2026, 1, 1, tzinfo=UTC)
TENANTS = [UUID(int=1), UUID(int=2)]


def event(tenant, number):
    return Event(
        id=UUID(int=number),
        tenant=tenant,
        occurred_at=T0,
        actor=Actor("user", "u"),
        action="a.b",
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
    log, seen = [], {}
    for events, seconds in batches:
        batch = placed(events, heads, seen, T0 + timedelta(seconds=seconds))
        heads |= {head.tenant: head for head in batch.heads}
        log += batch.entries
        for sent, receipt in zip(events, batch.receipts, strict=True):
            name = (sent.tenant, sent.id)
            assert receipt.event_id == sent.id
            assert receipt.seen_before == (name in seen)
            assert seen.setdefault(name, receipt.seq) == receipt.seq
    for tenant in TENANTS:
        own = [e for e in log if e.event.tenant == tenant]
        assert [e.seq for e in own] == list(range(1, len(own) + 1))
        assert [e.ts for e in own] == sorted(e.ts for e in own)
        assert len({e.event.id for e in own}) == len(own) == heads[tenant].seq
        assert heads[tenant].ts == (own[-1].ts if own else T0)


def test_only_heads_that_moved_are_named():
    heads = {t: Head(tenant=t, seq=4, ts=T0) for t in TENANTS}
    batch = placed(
        [event(TENANTS[0], 1), event(TENANTS[1], 2)], heads, {(TENANTS[1], UUID(int=2)): 3}, T0
    )
    assert [head.tenant for head in batch.heads] == [TENANTS[0]]
