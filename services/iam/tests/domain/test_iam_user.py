from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam.domain import names
from iam.domain.errors import BadEmail, LastAdmin, MoreThanYouHold, SelfDeactivation, SelfDemotion
from iam.domain.grant_errors import BadWindow
from iam.domain.grants import Grant, Window
from iam.domain.roles import ADMINISTRATORS, SYSTEM, Role, permissions_of
from iam.domain.user import check_change, over_people


def granted(user, names, now):
    return user.granted([SYSTEM[name] for name in names], Window(), now)


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
    assert granted(root, ["super_admin", "viewer"], make.start).grants == (
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
    turned = permissions_of({*before} ^ {*after})
    decided = turned | over_people(permissions_of([*before, *after]))
    try:
        check_change(make.caller(boss), user, granted(user, after, make.start), others)
    except MoreThanYouHold:
        assert not decided <= permissions_of(own)
    except LastAdmin:
        assert others == 0
        assert ADMINISTRATORS & set(before)
        assert not ADMINISTRATORS & set(after)
    else:
        assert decided <= permissions_of(own)
        assert others or ADMINISTRATORS & set(after) or not ADMINISTRATORS & set(before)


def test_nobody_demotes_or_disables_themselves(make):
    admin = make.user(grants=(Grant("admin"),))
    me = make.caller(admin)
    with pytest.raises(SelfDemotion):
        check_change(me, admin, granted(admin, ["viewer"], make.start), 5)
    with pytest.raises(SelfDeactivation):
        check_change(me, admin, replace(admin, active=False), 5)
    with pytest.raises(SelfDeactivation):
        check_change(me, admin, replace(admin, deleted_at=make.start), 5)


def test_one_may_rename_oneself_and_swap_roles_that_hold_the_same(make):
    admin = make.user(grants=(Grant("admin"), Grant("org_admin")))
    check_change(make.caller(admin), admin, replace(admin, first_name="X"), 0)
    check_change(make.caller(admin), admin, granted(admin, ["admin"], make.start), 0)


def test_the_last_administrator_cannot_be_disabled(make):
    boss = make.caller(make.user(grants=(Grant("super_admin", "platform"),)))
    admin = make.user(grants=(Grant("admin"),))
    with pytest.raises(LastAdmin):
        check_change(boss, admin, replace(admin, active=False), 0)
    check_change(boss, admin, replace(admin, active=False), 1)


def test_roles_are_listed_mightiest_first(make):
    user = make.user(grants=tuple(Grant(r) for r in ("user", "viewer", "admin")))
    assert user.roles == ("admin", "viewer", "user")


def test_a_role_of_the_tenants_own_holds_what_it_says_and_is_named_last(make):
    own = Role("x1", "Zoo keeper", "", frozenset({"vm:read"}), tenant=uuid4())
    user = make.user(grants=(Grant("viewer"), Grant(own.id, custom=own)))
    assert user.roles == ("viewer", "Zoo keeper")
    assert user.permissions == SYSTEM["viewer"].permissions | {"vm:read"}


def test_a_role_for_later_holds_nothing_yet_but_needs_its_giver_to_hold_it(make):
    ann, boss = make.user(), make.user(grants=(Grant("org_admin"),))
    later = Window(not_before=make.start + timedelta(days=1))
    after = ann.given(SYSTEM["admin"], later, make.start)
    assert (after.permissions, after.roles) == (frozenset(), ())
    with pytest.raises(MoreThanYouHold):
        check_change(make.caller(boss), ann, after, 5)


def test_an_administrator_for_a_time_does_not_count_as_the_last(make):
    for_a_day = Window(expires_at=make.start + timedelta(days=1))
    ann = make.user().given(SYSTEM["admin"], for_a_day, make.start)
    assert ann.roles == ("admin",)
    assert not ann.administers


@pytest.mark.parametrize(
    "window",
    [
        Window(expires_at=datetime(2020, 1, 1, tzinfo=UTC)),
        Window(
            not_before=datetime(2030, 1, 2, tzinfo=UTC), expires_at=datetime(2030, 1, 1, tzinfo=UTC)
        ),
    ],
)
def test_a_role_that_would_never_be_in_force_is_refused(make, window):
    with pytest.raises(BadWindow):
        make.user().given(SYSTEM["user"], window, make.start)


def test_a_role_given_anew_keeps_its_reach(make):
    root = make.user(grants=(Grant("admin", "platform"),))
    again = root.given(SYSTEM["admin"], Window(reason="audit"), make.start)
    assert [(g.scope, g.reason) for g in again.grants] == [("platform", "audit")]
    assert again.without(SYSTEM["admin"]).grants == ()


@pytest.mark.parametrize("role", ["developer", "viewer", "analyst"])
def test_who_administers_people_edits_those_who_do_other_work(make, role):
    boss = make.caller(make.user(grants=(Grant("org_admin"),)))
    theirs = make.user(grants=(Grant(role),))
    for change in ({"first_name": "X"}, {"active": False}, {"deleted_at": make.start}):
        check_change(boss, theirs, replace(theirs, **change), 1)
    check_change(boss, theirs, granted(theirs, [role, "org_admin"], make.start), 1)


@pytest.mark.parametrize(
    "change", [{"email": "mine@x.y"}, {"username": "mine"}, {"password": "fake$"}]
)
def test_nobody_writes_a_name_or_a_password_of_whoever_may_do_more(make, change):
    boss = make.caller(make.user(grants=(Grant("org_admin"),)))
    theirs = make.user(grants=(Grant("developer"),))
    with pytest.raises(MoreThanYouHold):
        check_change(boss, theirs, replace(theirs, **change), 1)


@pytest.mark.parametrize(
    "grants",
    [(), (Grant("developer"),), (Grant("developer", "project", place="shop"), Grant("viewer"))],
)
def test_nobody_gives_takes_or_moves_a_role_that_they_do_not_hold(make, grants):
    boss = make.caller(make.user(grants=(Grant("org_admin"),)))
    theirs = make.user(grants=(Grant("developer", "project", place="shop"),))
    with pytest.raises(MoreThanYouHold):
        check_change(boss, theirs, replace(theirs, grants=grants), 1)


def test_nobody_edits_whoever_has_more_to_say_about_people(make):
    boss = make.caller(make.user(grants=(Grant("org_admin"),)))
    theirs = make.user(grants=(Grant("admin"),))
    with pytest.raises(MoreThanYouHold):
        check_change(boss, theirs, replace(theirs, active=False), 1)
