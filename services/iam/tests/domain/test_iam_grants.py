from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.decision import Resource, Who, compile_subject, decide
from authz.verbs import CUSTOM1, READ
from iam.domain.authority import decisive_subject
from iam.domain.grants import Grant, Where, Window, held_at, without_grant
from iam.domain.reach_errors import BadPlace
from iam.domain.roles import ADMINISTRATORS, SYSTEM

PLACES = st.sampled_from(["tenant", "platform", "project:a", "project:b", "object:flag:1"])
ROLES = st.sampled_from(sorted(SYSTEM))


@pytest.mark.parametrize(
    "text",
    [
        *("", "project", "project:", "project:-a", "project:a b", "object:flag", "object:flag:"),
        *("object:nothing:1", "tenant:x", "platform:x", "everything", "object:flag:a:b"),
        "project:" + "a" * 64,
    ],
)
def test_what_is_no_scope_is_refused(text):
    with pytest.raises(BadPlace):
        Where.of(text)


@given(PLACES)
def test_a_scope_is_read_as_it_is_written(text):
    assert str(Where.of(text)) == text


@given(st.lists(st.tuples(ROLES, PLACES), max_size=6), ROLES, PLACES)
def test_giving_and_taking_at_one_scope_leaves_the_others_alone(had, role, place):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    grants = ()
    for name, at in had:
        grants = Window().anew(grants, SYSTEM[name], now, Where.of(at))
    where, meant = Where.of(place), SYSTEM[role]
    others = {(g.role, g.at) for g in grants} - {(role, where)}
    more = Window().anew(grants, meant, now, where)
    assert {(g.role, g.at) for g in more} == others | {(role, where)}
    less = without_grant(more, meant, where)
    assert {(g.role, g.at) for g in less} == others
    assert held_at(less, meant, where) == ()


def test_a_role_at_a_project_counts_there_and_nowhere_else(make):
    user = make.user(grants=(Grant("developer", "project", place="shop"),))
    assert (user.permissions, user.roles, user.platform) == (frozenset(), (), False)
    compiled = compile_subject(
        Who(id=str(user.id), tenant=str(user.tenant)), user.bindings, make.start
    )
    here = Resource("flag", str(user.tenant), project="shop")
    assert decide(compiled, READ | CUSTOM1, here)
    assert not decide(compiled, READ, here._replace(project="other"))
    assert not decide(compiled, READ, here._replace(tenant=str(uuid4())))


def test_a_role_for_one_thing_gives_only_what_is_about_its_kind(make):
    user = make.user(grants=(Grant("developer", "object", place="flag:f1"),))
    who = Who(id=str(user.id), tenant=str(user.tenant))
    compiled = compile_subject(who, user.bindings, make.start)
    assert decide(compiled, READ, Resource("flag", str(user.tenant), id="f1"))
    assert not decide(compiled, READ, Resource("vm", str(user.tenant), id="f1"))
    assert not decide(compiled, READ, Resource("flag", str(user.tenant), id="f2"))


def test_an_administrator_of_a_project_administers_no_tenant(make):
    for role in ADMINISTRATORS:
        assert not make.user(grants=(Grant(role, "project", place="shop"),)).administers


def test_a_guest_shows_nothing_of_home(make):
    there = uuid4()
    user = make.user(
        grants=(Grant("admin"), Grant("viewer", "project", place="secret")),
        tenants=(there,),
        elsewhere=(Grant("analyst", tenant=there), Grant("developer", tenant=uuid4())),
    )
    guest = user.within(there)
    assert (guest.tenant, guest.home, guest.roles) == (there, user.tenant, ("analyst",))
    assert (guest.tenants, guest.elsewhere) == ((), ())
    assert {b.where for b in guest.bindings} == {str(there)}
    assert (user.within(user.tenant), user.roles) == (user, ("admin",))


def test_what_holds_everywhere_a_guest_holds_too(make):
    root = make.user(grants=(Grant("super_admin", "platform"),))
    assert root.within(uuid4()).platform


def test_a_role_from_an_identity_provider_stays_beside_the_one_given_by_hand(make):
    user = make.user(grants=(Grant("viewer", source="okta"),))
    both = user.given(SYSTEM["viewer"], Window(granted_by="boss"), make.start)
    assert [g.source for g in both.grants] == ["", "okta"]
    assert both.without(SYSTEM["viewer"]).grants == ()
    listed = both.granted([SYSTEM["user"]], Window(), make.start)
    assert {(g.role, g.source) for g in listed.grants} == {("user", ""), ("viewer", "okta")}


def test_what_a_group_gives_is_not_taken_from_its_member(make):
    user = make.user(grants=(Grant("viewer", through=uuid4()),))
    assert user.without(SYSTEM["viewer"]) == user
    assert user.granted([], Window(), make.start).grants == user.grants
    assert not user.has(SYSTEM["viewer"])
    assert user.roles == ("viewer",)


def test_a_window_is_kept_at_the_scope_that_was_named(make):
    ends = make.start + timedelta(days=1)
    user = make.user().given(
        SYSTEM["viewer"], Window(expires_at=ends), make.start, Where("project", "shop")
    )
    assert [(str(g.at), g.expires_at) for g in user.grants] == [("project:shop", ends)]


def test_replicas_hear_of_every_tenant_and_of_nothing_more(make):
    there = uuid4()
    user = make.user(
        grants=(Grant("viewer"), Grant("developer", "project", place="shop")),
        tenants=(there,),
        elsewhere=(
            Grant("admin", tenant=there),
            Grant("viewer", "project", place="p", tenant=there),
        ),
    )
    told = decisive_subject(user)
    assert told.member_of == {str(there)}
    home = str(user.tenant)
    assert {(b.level, b.where, b.tenant) for b in told.bindings} == {
        ("tenant", home, ""),
        ("project", "shop", home),
        ("tenant", str(there), ""),
        ("project", "p", str(there)),
    }


def test_who_reaches_all_tenants_may_nowhere_do_more_than_in_all(make):
    """Or what an administrator holds as a guest would reach every tenant, with what they hold on the platform."""
    there = uuid4()
    user = make.user(
        grants=(Grant("viewer", "platform"),),
        tenants=(there,),
        elsewhere=(Grant("admin", tenant=there),),
    )
    assert (user.platform, decisive_subject(user).platform) == (True, False)
