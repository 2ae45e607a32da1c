from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.confusable import skeleton
from iam.domain.external import Line, meant
from iam.domain.grant_errors import RoleNameTaken
from iam.domain.grants import Where
from iam.domain.roles import SYSTEM, check_name

GROUPS = st.sampled_from(["a", "b", "c"])


def a_line(number, value, role, place, rule, make):
    return Line(
        id=UUID(int=number),
        tenant=UUID(int=0),
        idp="okta",
        claim="groups",
        value=value,
        role=role,
        where=Where.of(place),
        rule=rule,
        created_by="boss",
        created_at=make.start,
    )


@given(
    said=st.lists(
        st.tuples(
            GROUPS,
            st.sampled_from(sorted(SYSTEM)),
            st.sampled_from(["tenant", "project:p"]),
            st.sampled_from(["highest", "union"]),
        ),
        max_size=8,
    ),
    groups=st.sets(GROUPS),
)
def test_the_order_of_the_table_is_nothing_and_highest_is_one_at_each_scope(make, said, groups):
    table = [a_line(n, *what, make) for n, what in enumerate(said)]
    claims = {"groups": groups}
    found = meant(table, "okta", claims)
    assert found == meant(reversed(table), "okta", claims)
    assert meant(table, "other", claims) == meant(table, "okta", {"roles": groups}) == frozenset()
    union = {(x.role, x.where) for x in table if x.rule == "union" and x.value in groups}
    assert union <= found
    for where in {where for _, where in found - union}:
        marked = [x for x in table if x.rule == "highest" and x.where == where]
        ranks = [list(SYSTEM).index(x.role) for x in marked if x.value in groups]
        (one,) = [role for role, at in found - union if at == where]
        assert list(SYSTEM).index(one) == min(ranks)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Admin", "Аdmin"),  # noqa: RUF001 - Cyrillic
        ("scope", "ѕсоре"),  # noqa: RUF001
        ("Keeper", "Ｋｅｅｐｅｒ"),  # noqa: RUF001 - full width
        ("Keeper", "Kee\u200bper"),
        ("Café", "Cafe\u0301"),
        ("file", "ﬁle"),
        ("Keeper", "  keeper "),
        ("ΟΚ", "OK"),  # noqa: RUF001 - Greek
    ],
)
def test_twins_have_one_skeleton(one, other):
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"), [("role1", "rolel"), ("Ñandú", "Nandx"), ("日本", "日木")]
)
def test_names_that_can_be_told_apart_have_two(one, other):
    assert skeleton(one) != skeleton(other)


@given(st.text(max_size=30))
def test_a_skeleton_is_its_own(name):
    assert skeleton(skeleton(name)) == skeleton(name)


@pytest.mark.parametrize("name", ["аdmin", "Ｖiewer", "Super\u200b administrator"])  # noqa: RUF001
def test_a_twin_of_a_system_role_is_taken(name):
    with pytest.raises(RoleNameTaken):
        check_name(name)
