from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam.domain.gitops import (
    PREFIXES,
    C,
    Draft,
    Entity,
    Ref,
    edge,
    known_key,
    new_key,
    principal_key,
    user_key,
)
from iam.domain.gitops_errors import BadField, BadKey, HashStale, VersionStale

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = UUID(int=7)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)


def entity(**more):
    values = {"id": ID, "tenant": ID, "collection": C.GROUPS, "key": "g_x"}
    return Entity(**(values | {"created_at": NOW, "updated_at": NOW} | more))


@given(names, st.sampled_from(sorted(PREFIXES)))
def test_a_prefix_and_a_name_are_a_key_kept_as_sent(name, collection):
    key = PREFIXES[collection] + name
    assert new_key(collection, key) == key
    assert known_key(collection, key) == key
    assert principal_key(key) == key
    assert edge(f"{key}::g_x") == (key, "g_x")


@given(st.text(max_size=80))
def test_whatever_is_sent_is_a_key_or_refused(text):
    for collection in C:
        try:
            known = known_key(collection, text)
        except BadKey:
            continue
        assert isinstance(known, str | UUID)


@pytest.mark.parametrize(
    "twin", ["g_\u043eps", "g_\uff4fps", "g_óps", "g_o\u0301ps", "g_ops\u200b", "g_ops\n"]
)
def test_a_twin_in_other_letters_is_no_key(twin):
    with pytest.raises(BadKey):
        new_key(C.GROUPS, twin)


def test_a_project_cannot_be_called_as_an_id():
    with pytest.raises(BadKey):
        new_key(C.PROJECTS, str(ID))
    assert known_key(C.PROJECTS, str(ID)) == ID


def test_a_user_is_called_by_name_then_address_then_id():
    assert user_key("Zoë", "z@x.test", ID) == "u_Zoë"
    assert user_key(None, "z@x.test", ID) == "u_z@x.test"
    assert user_key("a/b", "z@x.test", ID) == str(ID)


def test_each_version_has_a_hash_of_its_own_and_so_has_each_thing():
    one = entity()
    hashes = {one.hash_code, one.changed(NOW).hash_code, entity(id=UUID(int=8)).hash_code}
    assert len(hashes) == 3
    assert one.hash_code == entity().hash_code


def test_a_stale_client_is_told_so():
    ref = Ref(C.GROUPS, "g_x", expected=1)
    ref.checked(entity(), Draft(hash_code=entity().hash_code))
    with pytest.raises(VersionStale):
        ref.checked(entity(version=2))
    with pytest.raises(HashStale):
        ref.checked(entity(), Draft(hash_code="x"))
    with pytest.raises(BadField):
        Ref(C.GROUPS, str(ID)).checked(entity(), Draft(key="g_other"))


def test_a_draft_is_called_by_path_id_or_edge_if_they_agree():
    assert Draft().called(C.GROUPS, "g_x").key == "g_x"
    assert Draft(key="g_x").called(C.GROUPS).key == "g_x"
    ends = Draft(fields={"principal": "u_a", "group": "g_x"})
    assert ends.called(C.MEMBERSHIPS).key == "u_a::g_x"
    for draft, key in ((Draft(), None), (Draft(key="g_y"), "g_x")):
        with pytest.raises(BadField):
            draft.called(C.GROUPS, key)


def test_writing_whole_forgets_and_writing_in_part_keeps():
    old = entity(fields={"name": "n", "description": "d"}, labels={"a": "1"})
    draft = Draft(fields={"name": "m", "project": "p"})
    part, whole = old.written(draft, whole=False), old.written(draft, whole=True)
    assert (part.fields, part.labels) == ({"name": "m", "description": "d"}, {"a": "1"})
    assert (whole.fields, whole.labels) == ({"name": "m", "description": ""}, {})
