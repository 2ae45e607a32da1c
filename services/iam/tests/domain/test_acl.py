from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.verbs import ALL, LIST, from_wire
from iam.domain import acl as acls
from iam.domain.acl import Acl, Entry, EntryDraft
from iam.domain.gitops_errors import BadAcl

PEOPLE = [UUID(int=n) for n in range(5)]
people = st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4, unique=True).map(tuple)
entries = st.builds(Entry, st.integers(1, 127), people, st.sampled_from(["", "groups", "users"]))
lists = st.lists(entries, max_size=6).map(lambda made: Acl(tuple(made)))
kinds = st.sampled_from(["group", "user", "project"])


@given(lists, entries, st.frozensets(st.sampled_from(PEOPLE)), kinds)
def test_one_more_entry_never_takes_anything_away(acl, entry, names, kind):
    more = Acl((*acl.entries, entry))
    assert acl.mask(names, kind) & ~more.mask(names, kind) == 0


@given(lists, st.frozensets(st.sampled_from(PEOPLE)), kinds)
def test_the_order_of_entries_does_not_matter(acl, names, kind):
    assert acl.mask(names, kind) == Acl(acl.entries[::-1]).mask(names, kind)


@given(lists, kinds)
def test_readers_are_those_whom_the_mask_lets_list(acl, kind):
    seeing = {p for p in PEOPLE if acl.mask([p], kind) & LIST}
    assert acl.readers(kind) == seeing


@given(lists, lists, st.integers(0, ALL))
def test_a_list_gives_beyond_exactly_if_somebody_gains_what_the_giver_lacks(before, after, held):
    gained = any(
        after.mask([p], kind) & ~before.mask([p], kind) & ~held
        for p in PEOPLE
        for kind in ("group", "user", "project")
    )
    if gained:
        assert after.gives_beyond(before, held)
    assert not after.gives_beyond(before, ALL)
    assert not after.gives_beyond(after, held)


@given(lists, st.sampled_from(PEOPLE))
def test_root_is_given_once(acl, person):
    once = acl.with_root(person, None)
    assert once.mask([person], "project") & from_wire(127) == from_wire(127)
    assert once.with_root(person, None) == once


@pytest.mark.parametrize(
    "bad",
    [
        [EntryDraft(1, ("u_a",))] * 1001,
        [EntryDraft(0, ("u_a",))],
        [EntryDraft(-1, ("u_a",))],
        [EntryDraft(128, ("u_a",))],
        [EntryDraft(1, ())],
        [EntryDraft(1, ("u_a",) * 1001)],
        [EntryDraft(1, ("u_a",), "nothing")],
    ],
)
def test_a_list_that_cannot_be_kept_is_refused_with_a_pointer(bad):
    with pytest.raises(BadAcl) as refused:
        acls.checked(bad)
    assert refused.value.errors[0].pointer.startswith("/acl/list")


def test_the_longest_list_is_kept():
    longest = [EntryDraft(127, ("u_a",) * 1000, "groups")] * 1000
    assert acls.checked(longest) == longest
