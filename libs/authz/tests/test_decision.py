from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import and_, or_

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz import verbs
from authz.decision import (
    GODMODE,
    AclEntry,
    Binding,
    Resource,
    Who,
    acl_mask,
    compile_subject,
    decide,
    explain,
)
from authz.permissions import ALL as CATALOGUE
from authz.verbs import ALL, BITS, CREATE, FETCH, LIST, MODIFY, READ, WRITE
from iam.domain.roles import SYSTEM

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KINDS = ("flag", "user", "vm", "session", "group", "membership")
TENANTS = ("home", "elsewhere", "")

mask = st.integers(0, ALL)
per_kind = st.dictionaries(st.sampled_from(KINDS), mask, max_size=3)
moment = st.none() | st.sampled_from([NOW - timedelta(days=1), NOW, NOW + timedelta(days=1)])
bindings = st.lists(
    st.builds(
        Binding,
        role=st.sampled_from(["a", "b", GODMODE]),
        masks=per_kind,
        level=st.sampled_from(["platform", "tenant", "project", "object"]),
        where=st.sampled_from(["home", "elsewhere", "p1", "o1"]),
        not_before=moment,
        expires_at=moment,
    ),
    max_size=5,
)
people = st.builds(
    Who,
    id=st.just("me"),
    tenant=st.just("home"),
    active=st.sampled_from([True, True, True, False]),
    scope=st.none() | per_kind,
)
resources = st.builds(
    Resource,
    kind=st.sampled_from(KINDS),
    tenant=st.sampled_from(TENANTS),
    owner=st.sampled_from(["me", "another", ""]),
    project=st.sampled_from(["p1", "p2", ""]),
    id=st.sampled_from(["o1", "o2"]),
    acl=mask,
)
caps = st.dictionaries(st.sampled_from(["guardrail", "assurance"]), mask)


def me(*held, **more):
    return compile_subject(Who(id="me", tenant="home", **more), held, NOW)


def a(role, level="tenant", where="home", **more):
    return Binding(
        role=role,
        masks=verbs.masks(SYSTEM[role].permissions),
        level=level,
        where=where if level == "tenant" else more.pop("at", ""),
        **more,
    )


def god():
    return Binding(role=GODMODE, masks={}, level="platform")


@given(people, bindings, bindings, mask, resources, mask)
def test_one_more_grant_never_takes_anything_away(who, some, more, need, on, cap):
    before = decide(compile_subject(who, some, NOW), need, on, cap)
    assert not before or decide(compile_subject(who, some + more, NOW), need, on, cap)


@given(people, bindings, mask, resources, mask)
def test_an_acl_entry_more_never_takes_anything_away(who, some, need, on, more):
    subject = compile_subject(who, some, NOW)
    wider = on._replace(acl=on.acl | more)
    assert not decide(subject, need, on) or decide(subject, need, wider)


@given(people, bindings, mask, resources, mask, mask, per_kind)
def test_one_more_cap_never_adds_anything(who, some, need, on, cap, more, scope):
    subject = compile_subject(who, some, NOW)
    held = dict.fromkeys(KINDS, ALL) if who.scope is None else who.scope
    narrowed = {k: m & scope.get(k, 0) for k, m in held.items()}
    for capped, left in (
        (subject, cap & more),
        (compile_subject(replace(who, scope=narrowed), some, NOW), cap),
        (compile_subject(replace(who, active=False), some, NOW), cap),
    ):
        assert decide(subject, need, on, cap) or not decide(capped, need, on, left)


@given(people, bindings, st.randoms(), mask, resources)
def test_the_order_of_grants_does_not_matter(who, some, random, need, on):
    shuffled = random.sample(some, len(some))
    one, other = (compile_subject(who, b, NOW) for b in (some, shuffled))
    assert decide(one, need, on) == decide(other, need, on)


@given(people, bindings, mask, resources, caps)
def test_an_explanation_agrees_with_the_decision(who, some, need, on, caps):
    subject = compile_subject(who, some, NOW)
    said = explain(subject, need, on, caps)
    assert said.allowed == decide(subject, need, on, reduce(and_, caps.values(), ALL))
    given_, taken = (reduce(or_, m.values(), 0) for m in (said.contributed_by, said.removed_by))
    assert said.allowed == (need > 0 and given_ & ~taken == need)
    assert (given_ == need) == (not said.would_need)


@given(people, bindings, mask, resources)
def test_nobody_crosses_into_another_tenant_without_a_grant_on_the_platform(who, some, need, on):
    local = [b for b in some if b.level != "platform"]
    abroad = on._replace(tenant="elsewhere")
    assert not decide(compile_subject(who, local, NOW), need, abroad)
    wide = reduce(or_, (b.masks.get(on.kind, 0) for b in some if b.level == "platform"), 0)
    if not any(b.role == GODMODE for b in some) and need & ~wide:
        assert not decide(compile_subject(who, some, NOW), need, abroad)


@given(bindings, mask.filter(bool), resources, st.none() | per_kind)
def test_godmode_may_everything_everywhere_but_what_its_credential_may_not(some, need, on, scope):
    who = Who(id="me", tenant="home", scope=scope)
    capped = scope is not None and need & ~scope.get(on.kind, 0)
    assert decide(compile_subject(who, [*some, god()], NOW), need, on) == (not capped)


@given(st.sampled_from(sorted(CATALOGUE)), resources)
def test_the_system_roles_are_nested(permission, on):
    kind, need = verbs.need_of(permission)
    on = on._replace(kind=kind, acl=0)
    allowed = [decide(me(a(r)), need, on) for r in ("user", "org_admin", "admin", "super_admin")]
    assert allowed == sorted(allowed)


@given(per_kind, mask, resources)
def test_who_is_disabled_may_nothing(held, need, on):
    assert not decide(me(god(), Binding(role="x", masks=held), active=False), need, on)


def test_needing_nothing_is_not_allowed():
    assert not decide(me(god()), 0, Resource("flag", "home"))


def test_an_owner_may_what_their_role_may_not_do_to_others():
    subject = me(Binding(role="maker", masks={"flag": CREATE}, where="home"))
    assert decide(subject, MODIFY, Resource("flag", "home", owner="me"))
    assert not decide(subject, MODIFY, Resource("flag", "home", owner="another"))
    assert not decide(me(), MODIFY, Resource("flag", "home", owner="me"))
    assert decide(me(), verbs.DELETE, Resource("session", "home", owner="me"))


def test_a_thing_without_an_owner_is_nobodys_own():
    subject = compile_subject(Who(id="", tenant="home"), [], NOW)
    assert not decide(subject, FETCH, Resource("session", "home", owner=""))


def test_a_role_in_a_project_or_over_an_object_reaches_no_further():
    subject = me(a("developer", "project", at="p1"), a("viewer", "object", at="o7"))
    toggle = verbs.need_of("flag:toggle")[1]
    assert decide(subject, toggle, Resource("flag", "home", project="p1"))
    assert not decide(subject, toggle, Resource("flag", "home", project="p2"))
    assert not decide(subject, toggle, Resource("flag", "elsewhere", project="p1"))
    assert decide(subject, READ, Resource("flag", "home", id="o7"))
    assert not decide(subject, READ, Resource("flag", "home", id="p1"))


def test_a_role_of_another_tenant_is_not_held_here():
    assert not decide(me(a("admin", where="elsewhere")), READ, Resource("flag", "home"))


@pytest.mark.parametrize(
    ("window", "holds"),
    [
        ({}, True),
        ({"not_before": NOW}, True),
        ({"not_before": NOW + timedelta(seconds=1)}, False),
        ({"expires_at": NOW}, False),
        ({"expires_at": NOW + timedelta(seconds=1)}, True),
    ],
)
def test_a_binding_holds_from_its_beginning_until_before_its_end(window, holds):
    assert decide(me(a("viewer", **window)), READ, Resource("flag", "home")) == holds


def test_an_own_acl_replaces_the_projects_and_no_role():
    ours = [AclEntry(mask=WRITE, principals=frozenset({"me"}))]
    none = acl_mask([], ours, {"me"}, "group")
    assert (none, acl_mask(None, ours, {"me"}, "group")) == (0, WRITE)
    assert decide(me(a("admin")), WRITE, Resource("group", "home", acl=none))


def test_a_scoped_entry_of_an_acl_counts_for_its_kind_only():
    entries = [
        AclEntry(mask=FETCH, principals=frozenset({"g1"}), kind="group"),
        AclEntry(mask=LIST, principals=frozenset({"me"})),
        AclEntry(mask=ALL, principals=frozenset({"another"})),
    ]
    assert acl_mask(None, entries, {"me", "g1"}, "group") == FETCH | LIST
    assert acl_mask(None, entries, {"me", "g1"}, "project") == LIST


def test_an_explanation_names_who_gave_and_what_took_away():
    subject = me(a("viewer"), a("developer"), scope={"flag": READ})
    kind, need = verbs.need_of("flag:toggle")
    said = explain(subject, need | READ, Resource(kind, "home", acl=FETCH), {"guardrail": LIST})
    assert not said.allowed
    assert said.contributed_by == {
        "role:viewer@tenant:home": READ,
        "role:developer@tenant:home": need | READ,
        "acl": FETCH,
    }
    assert said.removed_by == {
        "credential_scope": need,
        "guardrail": (need | READ) & ~LIST,
    }
    assert explain(me(), need, Resource(kind, "home")).would_need == ("flag:toggle",)


def test_an_explanation_says_that_the_wall_stands_between_tenants():
    said = explain(me(), FETCH, Resource("flag", "elsewhere", acl=FETCH))
    assert said.removed_by == {"tenant_wall": FETCH}


def test_every_permission_has_bits_of_its_own_within_its_kind():
    for kind, bits in BITS.items():
        assert sum(bits.values()) == reduce(or_, bits.values()), kind
    named = {p for kind, b in BITS.items() for p in verbs.spelled(kind, sum(b.values()))}
    assert named == CATALOGUE
    assert verbs.spelled("session", CREATE) == ("session:create",)


@given(st.sets(st.sampled_from(sorted(CATALOGUE))))
def test_permissions_survive_as_masks(permissions):
    made = verbs.masks(permissions)
    assert {p for kind, m in made.items() for p in verbs.spelled(kind, m)} == permissions


@given(mask)
def test_the_wire_shows_modify_only_where_it_means_both(inside):
    wire = verbs.to_wire(inside)
    assert wire <= verbs.WIRE_ROOT
    assert bool(wire & verbs.WIRE_MODIFY) == (inside & MODIFY == MODIFY)
    assert verbs.from_wire(wire) & ~inside == 0
    assert verbs.to_wire(verbs.from_wire(wire)) == wire


def test_the_sums_of_the_wire_are_those_of_the_older_systems():
    assert [verbs.from_wire(m) for m in (7, 31, 127)] == [READ, WRITE, ALL]
    assert verbs.need_of("no:such") is None
    assert verbs.need_of("toggle_feature_flags") == ("flag", verbs.CUSTOM1)
