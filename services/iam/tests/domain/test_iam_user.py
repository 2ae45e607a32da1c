from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam.domain import names
from iam.domain.errors import (
    BadEmail,
    LastAdmin,
    MoreThanYouHold,
    SelfDeactivation,
    SelfDemotion,
    UnknownRole,
)
from iam.domain.roles import ADMINISTRATORS, SYSTEM, permissions_of
from iam.domain.user import Grant, check_change, known_roles

roles = st.lists(st.sampled_from(sorted(SYSTEM)), max_size=4, unique=True)


@given(st.emails())
def test_two_spellings_of_one_address_are_compared_alike(address):
    assert names.folded(address.upper()) == names.folded(names.folded(address.upper()))
    assert names.folded("É@x") == names.folded("e\u0301@X")


@pytest.mark.parametrize("bad", ["", "a", "a@", "@b", "a b@c", "a@b@c", "a@b\x00c", "a\u202e@b.c"])
def test_what_is_no_address_is_refused(bad):
    with pytest.raises(BadEmail):
        names.email(bad)


def test_a_role_over_the_whole_platform_stays_so_when_roles_are_set(make):
    root = make.user(grants=(Grant("super_admin", "platform"),))
    assert root.granted(["super_admin", "viewer"]).grants == (
        Grant("super_admin", "platform"),
        Grant("viewer", "tenant"),
    )


def test_a_small_platform_role_does_not_carry_tenant_permissions_over_the_wall(make):
    mixed = make.user(grants=(Grant("viewer", "platform"), Grant("admin", "tenant")))
    assert not mixed.platform
    assert make.user(grants=(Grant("admin", "platform"), Grant("user", "tenant"))).platform


@given(before=roles, after=roles, own=roles, others=st.integers(0, 2))
def test_no_change_ever_gives_or_decides_over_more_than_the_caller_holds(
    make, before, after, own, others
):
    boss = make.user(grants=tuple(Grant(r) for r in own))
    user = make.user(grants=tuple(Grant(r) for r in before))
    try:
        check_change(make.caller(boss), user, user.granted(after), others)
    except MoreThanYouHold:
        assert not permissions_of([*before, *after]) <= permissions_of(own)
    except LastAdmin:
        assert others == 0
        assert ADMINISTRATORS & set(before)
        assert not ADMINISTRATORS & set(after)
    else:
        assert permissions_of([*before, *after]) <= permissions_of(own)
        assert others or ADMINISTRATORS & set(after) or not ADMINISTRATORS & set(before)


def test_nobody_demotes_or_disables_themselves(make):
    admin = make.user(grants=(Grant("admin"),))
    me = make.caller(admin)
    with pytest.raises(SelfDemotion):
        check_change(me, admin, admin.granted(["viewer"]), 5)
    with pytest.raises(SelfDeactivation):
        check_change(me, admin, replace(admin, active=False), 5)
    with pytest.raises(SelfDeactivation):
        check_change(me, admin, replace(admin, deleted_at=make.start), 5)


def test_one_may_rename_oneself_and_swap_roles_that_hold_the_same(make):
    admin = make.user(grants=(Grant("admin"), Grant("org_admin")))
    check_change(make.caller(admin), admin, replace(admin, first_name="X"), 0)
    check_change(make.caller(admin), admin, admin.granted(["admin"]), 0)


def test_the_last_administrator_cannot_be_disabled(make):
    boss = make.caller(make.user(grants=(Grant("super_admin", "platform"),)))
    admin = make.user(grants=(Grant("admin"),))
    with pytest.raises(LastAdmin):
        check_change(boss, admin, replace(admin, active=False), 0)
    check_change(boss, admin, replace(admin, active=False), 1)


def test_roles_are_listed_mightiest_first(make):
    user = make.user(grants=tuple(Grant(r) for r in ("user", "viewer", "admin")))
    assert user.roles == ("admin", "viewer", "user")


def test_an_unknown_role_is_refused():
    with pytest.raises(UnknownRole):
        known_roles(["user", "emperor"])
