"""What a replica decides, however it heard of things."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import pairwise
from operator import or_

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.decision import AclEntry, Binding, decide, explain
from authz.permissions import ALL as CATALOGUE
from authz.replica import DEPTH, MOST_KEPT, Membership, Replica, Subject
from authz.standing import NEEDS, Project, Thing, plain
from authz.verbs import ALL, DELETE, READ, UPDATE, spelled

NOW = datetime(2026, 1, 2, tzinfo=UTC)
AT = NOW.timestamp()
KINDS = ("flag", "vm", "user", "session")
GROUPS = ("g1", "g2", "g3")
SLUGS = ("p1", "p2")
TENANTS = ("home", "away")

moment = st.none() | st.sampled_from([NOW - timedelta(days=1), NOW, NOW + timedelta(days=1)])
bindings = st.builds(
    Binding,
    role=st.sampled_from(["a", "b", "adm_godmode"]),
    masks=st.dictionaries(st.sampled_from(KINDS), st.integers(0, ALL), max_size=3),
    level=st.sampled_from(["platform", "tenant", "project", "object"]),
    where=st.sampled_from(["home", "away", "p1", "o1"]),
    tenant=st.sampled_from(["", *TENANTS]),
    not_before=moment,
    expires_at=moment,
)
subjects = st.builds(
    Subject,
    id=st.sampled_from(["me", "you"]),
    tenant=st.just("home"),
    active=st.sampled_from([True, True, False]),
    name=st.just("n"),
    roles=st.just(()),
    permissions=st.frozensets(st.sampled_from(sorted(CATALOGUE)), max_size=3),
    platform=st.booleans(),
    bindings=st.lists(bindings, max_size=3).map(tuple),
    member_of=st.just(frozenset({"away"})),
)
memberships = st.builds(
    Membership,
    id=st.sampled_from(["m1", "m2", "m3", "m4"]),
    tenant=st.sampled_from(TENANTS),
    principal=st.sampled_from(["me", "you", *GROUPS]),
    group=st.sampled_from(GROUPS),
)
entries = st.builds(
    AclEntry,
    mask=st.integers(1, ALL),
    principals=st.frozensets(st.sampled_from(["me", "you", *GROUPS]), min_size=1, max_size=2),
    kind=st.sampled_from(["", "flag", "vm"]),
)
projects = st.builds(
    Project,
    id=st.sampled_from(["i1", "i2", "i3"]),
    tenant=st.sampled_from(TENANTS),
    slug=st.sampled_from(SLUGS),
    acl=st.lists(entries, max_size=3).map(tuple),
)
told = st.lists(subjects | memberships | projects, max_size=12)
scopes = st.none() | st.frozensets(st.sampled_from(sorted(CATALOGUE)), max_size=4)
things = st.builds(
    Thing,
    owner=st.sampled_from(["me", "you", ""]),
    project=st.sampled_from([*SLUGS, ""]),
    id=st.sampled_from(["o1", "o2", ""]),
)
permissions = st.sampled_from([p for p in sorted(CATALOGUE) if p.partition(":")[0] in KINDS])


def enter(replica, thing):
    match thing:
        case Subject():
            replica.subjects[thing.id] = thing
        case Membership():
            replica.put_membership(thing)
        case Project():
            replica.put_project(thing)


def drop(replica, thing):
    match thing:
        case Subject():
            replica.subjects.pop(thing.id, None)
        case Membership():
            replica.drop_membership(thing.id)
        case Project():
            replica.drop_project(thing.id)


def final(things):
    """Return what stands at the end: the last of each id, and of each slug one bearer."""
    kept = {(type(thing), thing.id): thing for thing in things}
    borne = set()
    for name, thing in list(kept.items()):
        if isinstance(thing, Project):
            if (place := (thing.tenant, thing.slug)) in borne:
                del kept[name]
            borne.add(place)
    return kept


def fed(things):
    replica = Replica()
    for thing in things:
        enter(replica, thing)
    return replica


def me(*bindings, id_="me", **more):
    made = {"tenant": "home", "active": True, "name": "me", "roles": (), "platform": False}
    more = {"permissions": frozenset(), "bindings": bindings, **made, **more}
    return Subject(id=id_, **more)


def standing(replica, subject="me", tenant="home", scope=None, now=AT):
    return replica.standing(replica.subjects[subject], tenant, scope, now)


def answers(replica):
    """Return every decision about every subject."""
    asked = [
        (p, Thing(owner, project, "o1"))
        for p in ("flag:read", "flag:update", "vm:delete", "session:read")
        for owner in ("me", "")
        for project in ("", *SLUGS)
    ]
    return {
        (subject, tenant): [standing(replica, subject, tenant).may(*one) for one in asked]
        + [standing(replica, subject, tenant).may_some(p) for p, _ in asked]
        for subject in replica.subjects
        for tenant in TENANTS
    }


class TestProperties:
    @given(told, st.data())
    def test_any_order_of_events_leads_to_what_the_final_state_leads_to(self, things, data):
        """Each thing's own events keep their order, as iam's log has them; between things any order will do."""
        stays = final(things)
        runs = {
            name: [t for t in things if (type(t), t.id) == name]
            for name in {(type(t), t.id) for t in things}
        }
        replica = Replica()
        left = {name: list(run) for name, run in runs.items()}
        while left:
            name = data.draw(st.sampled_from(sorted(left, key=str)))
            enter(replica, left[name].pop(0))
            answers(replica)  # what was kept meanwhile must not be answered later
            if not left[name]:
                del left[name]
                if name not in stays:
                    drop(replica, runs[name][-1])
        assert answers(replica) == answers(fed(stays.values()))

    @given(told, bindings, permissions, things, scopes)
    def test_one_more_grant_never_takes_anything_away(self, things, more, permission, on, scope):
        replica = fed([*final(things).values(), me()])
        before = standing(replica, scope=scope).may(permission, on)
        replica.subjects["me"] = me(more)
        assert not before or standing(replica, scope=scope).may(permission, on)

    @given(told, memberships, entries, permissions, things)
    def test_one_more_group_or_entry_never_takes_anything_away(
        self, things, membership, entry, permission, on
    ):
        kept = [t for t in final(things).values() if t.id not in (membership.id, "i9")]
        replica = fed([*kept, me()])
        before = standing(replica).may(permission, on)
        replica.put_membership(membership)
        assert not before or standing(replica).may(permission, on)
        before = standing(replica).may(permission, on)
        slugs = {(p.tenant, p.slug): p for p in kept if isinstance(p, Project)}
        known = slugs.get(("home", "p1"), Project(id="i9", tenant="home", slug="p1"))
        wider = Project(id=known.id, tenant="home", slug="p1", acl=(*known.acl, entry))
        replica.put_project(wider)
        assert not before or standing(replica).may(permission, on)

    @given(told, subjects, permissions, things, scopes, scopes)
    def test_a_narrower_scope_never_adds_anything(self, things, who, permission, on, scope, less):
        replica = fed([*final(things).values(), who])
        both = less if scope is None else scope if less is None else scope & less
        narrow = standing(replica, who.id, scope=both).may(permission, on)
        assert standing(replica, who.id, scope=scope).may(permission, on) or not narrow

    @given(told, subjects, permissions, things, scopes)
    def test_an_explanation_agrees_with_the_decision(self, things, who, permission, on, scope):
        asked = standing(fed([*final(things).values(), who]), who.id, scope=scope)
        kind, need = NEEDS[permission]
        said = explain(asked.compiled, need, asked.on(kind, on))
        assert said.allowed == asked.may(permission, on)
        given_ = reduce(or_, said.contributed_by.values(), 0)
        assert said.would_need == spelled(kind, need & ~given_)

    @given(told, subjects, permissions, things)
    def test_nothing_of_another_tenant_without_a_grant_for_the_platform(
        self, things, who, permission, on
    ):
        replica = fed([*final(things).values(), who])
        asked = standing(replica, who.id)
        kind, need = NEEDS[permission]
        wide = any(b.level == "platform" for b in who.held)
        assert wide or not decide(asked.compiled, need, asked.on(kind, on, "away"))
        assert wide or not asked.may_everywhere(permission)

    @given(told, subjects, permissions, things, scopes)
    def test_what_is_refused_for_all_is_refused_for_each(self, things, who, permission, on, scope):
        asked = standing(fed([*final(things).values(), who]), who.id, scope=scope)
        assert asked.may_some(permission) or not asked.may(permission, on)

    @given(told, subjects, permissions, things, scopes)
    def test_what_one_replica_tells_of_somebody_is_enough_for_another(
        self, things, who, permission, on, scope
    ):
        whole = fed([*final(things).values(), who])
        for tenant in TENANTS:
            part = fed([who, *(t for told in whole.about(who, tenant) for t in told)])
            ours = standing(part, who.id, tenant, scope)
            assert ours.may(permission, on) == standing(whole, who.id, tenant, scope).may(
                permission, on
            )
            assert ours.may_some(permission) == standing(whole, who.id, tenant, scope).may_some(
                permission
            )


class TestGroups:
    def chain(self, length):
        links = ["me", *(f"g{n}" for n in range(1, length + 1))]
        return [
            Membership(f"m{n}", "home", inner, outer)
            for n, (inner, outer) in enumerate(pairwise(links))
        ]

    def test_ten_steps_count_and_eleven_do_not(self):
        groups = fed(self.chain(DEPTH + 1)).groups("home", "me")
        assert groups == {f"g{n}" for n in range(1, DEPTH + 1)}

    def test_circles_do_no_harm(self):
        replica = fed([*self.chain(3), Membership("back", "home", "g3", "me")])
        replica.put_membership(Membership("self", "home", "g2", "g2"))
        assert replica.groups("home", "me") == {"g1", "g2", "g3", "me"}

    def test_groups_of_another_tenant_are_not_ours(self):
        assert fed(self.chain(2)).groups("away", "me") == frozenset()

    def test_of_two_memberships_in_one_group_one_is_enough(self):
        replica = fed(Membership(m, "home", "me", "g1") for m in ("m1", "m2"))
        replica.drop_membership("m1")
        assert replica.groups("home", "me") == {"g1"}
        replica.drop_membership("m2")
        replica.drop_membership("m2")
        assert replica.groups("home", "me") == frozenset()


class TestProjects:
    def project(self, *entries, slug="p1", id_="i1"):
        return Project(id=id_, tenant="home", slug=slug, acl=entries)

    def test_a_list_gives_directly_and_through_groups_and_by_kind(self):
        mine = AclEntry(mask=READ, principals=frozenset({"me"}), kind="flag")
        ours = AclEntry(mask=DELETE, principals=frozenset({"g1"}))
        replica = fed([me(), Membership("m", "home", "me", "g1"), self.project(mine, ours)])
        asked = standing(replica)
        assert asked.may("flag:read", Thing(project="p1"))
        assert asked.may("flag:delete", Thing(project="p1"))
        assert asked.may("vm:delete", Thing(project="p1"))
        assert not asked.may("vm:read", Thing(project="p1"))
        assert not asked.may("flag:read", Thing(project="p2"))
        assert not asked.may("flag:read")
        assert asked.may_some("flag:read")

    def test_a_project_without_its_list_gives_nothing_any_more(self):
        entry = AclEntry(mask=ALL, principals=frozenset({"me"}))
        replica = fed([me(), self.project(entry)])
        assert standing(replica).may("flag:read", Thing(project="p1"))
        replica.put_project(self.project())
        assert not standing(replica).may("flag:read", Thing(project="p1"))

    def test_another_bearer_of_a_slug_stays_when_the_first_goes(self):
        entry = AclEntry(mask=ALL, principals=frozenset({"me"}))
        replica = fed([me(), self.project(), self.project(entry, id_="i2")])
        replica.drop_project("i1")
        assert standing(replica).may("flag:read", Thing(project="p1"))
        replica.drop_project("i2")
        replica.drop_project("i2")
        assert not standing(replica).may("flag:read", Thing(project="p1"))

    def test_a_role_in_a_project_counts_there_and_in_that_tenant_only(self):
        held = Binding(
            role="dev", masks={"flag": UPDATE}, level="project", where="p1", tenant="home"
        )
        replica = fed([me(held, member_of=frozenset({"away"}))])
        assert standing(replica).may("flag:update", Thing(project="p1"))
        assert not standing(replica).may("flag:update", Thing(project="p2"))
        assert not standing(replica, tenant="away").may("flag:update", Thing(project="p1"))


class TestStandings:
    def test_it_is_kept_as_long_as_nothing_changed(self):
        replica = fed([me(Binding(role="a", masks={"flag": READ}, where="home"))])
        first = standing(replica)
        replica.put_membership(Membership("m", "away", "me", "g1"))
        assert standing(replica) is first
        replica.put_membership(Membership("m", "home", "me", "g1"))
        assert standing(replica) is not first

    def test_a_role_begins_and_ends_by_the_clock(self):
        day = timedelta(days=1)
        held = Binding(
            role="a", masks={"flag": READ}, where="home", not_before=NOW, expires_at=NOW + day
        )
        replica = fed([me(held)])
        times = [AT - 1, AT, AT + 86_399, AT + 86_400]
        assert [standing(replica, now=at).may("flag:read") for at in times] == [
            False,
            True,
            True,
            False,
        ]

    def test_a_member_has_what_that_tenant_gave_and_nothing_from_home(self):
        here = Binding(role="a", masks={"flag": ALL}, where="home")
        there = Binding(role="b", masks={"flag": READ}, where="away")
        replica = fed([me(here, there, member_of=frozenset({"away"}))])
        away = standing(replica, tenant="away")
        assert away.may("flag:read")
        assert not away.may("flag:update")
        assert away.permissions == {"flag:read"}

    @pytest.mark.parametrize(("tenant", "acts"), [("home", True), ("away", True), ("other", False)])
    def test_one_acts_at_home_and_where_one_is_a_member(self, tenant, acts):
        assert me(member_of=frozenset({"away"})).acts_in(tenant) is acts

    def test_an_older_iam_tells_only_what_is_held_at_home(self):
        told = frozenset({"flag:read"})
        assert standing(fed([me(permissions=told)])).permissions == told
        wide = me(permissions=told, platform=True)
        assert standing(fed([wide])).may_everywhere("flag:read")

    def test_not_more_are_kept_than_there_is_room_for(self):
        replica = fed([me()])
        for n in range(MOST_KEPT + 10):
            standing(replica, tenant=f"t{n}")
        assert len(replica._kept) <= MOST_KEPT


class TestPlain:
    def test_a_key_that_is_nobodys_has_its_permissions_and_no_more(self):
        key = plain("k", "home", frozenset({"flag:evaluate", "audit:append"}), frozenset())
        assert not key.may("flag:evaluate")
        key = plain("k", "home", frozenset({"flag:evaluate", "audit:append"}))
        assert key.may("flag:evaluate")
        assert key.may("audit:append")
        assert key.may_some("audit:append")
        assert not key.may("no:such")
        assert not key.may_everywhere("audit:append")

    def test_who_may_create_may_do_all_to_their_own_within_the_scope(self):
        makes = frozenset({"flag:create"})
        assert plain("k", "home", makes).may("flag:delete", Thing("k"))
        assert not plain("k", "home", makes, makes).may("flag:delete", Thing("k"))

    def test_what_is_held_everywhere_is_held_in_other_tenants(self):
        assert plain("k", "home", frozenset({"flag:read"}), platform=True).may_everywhere(
            "flag:read"
        )
