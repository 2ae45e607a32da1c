"""Which facts are told to those who listen."""

from uuid import uuid4

import pytest

from chassis.facts import Actor, Fact, Outcome, Target
from iam.domain.happening import ROLES, Note, Verb, notes_of, turns_rights

TENANT = uuid4()
WHO = Actor("user", "u")


def fact(action, type_, id_="7", **more):
    said = {"tenant": TENANT, "actor": WHO, "action": action, "target": Target(type_, id_)}
    return Fact(**(said | more))


@pytest.mark.parametrize(
    "kind", ["user", "group", "service_account", "pipeline_account", "project"]
)
@pytest.mark.parametrize("verb", ["created", "updated", "deleted"])
def test_what_happens_to_a_thing_is_told(kind, verb):
    assert notes_of(fact(f"{kind}.{verb}", kind)) == (Note(TENANT, f"{kind}s", "7", Verb(verb)),)


def test_a_membership_is_told_by_its_own_id():
    told = notes_of(fact("membership.created", "membership"))
    assert told == (Note(TENANT, "memberships", "7", Verb.CREATED),)


@pytest.mark.parametrize(
    "action", ["role.assigned", "role.unassigned", "role.expired", "role.begun"]
)
@pytest.mark.parametrize("kind", ["user", "group", "service_account"])
def test_who_got_or_lost_a_role_is_changed_and_everybodys_rights_with_it(action, kind):
    thing = Note(TENANT, f"{kind}s", "7", Verb.UPDATED)
    assert notes_of(fact(action, kind)) == (thing, Note(TENANT, ROLES, "7", Verb.UPDATED))


def test_a_role_that_changes_turns_rights_and_is_no_thing():
    assert notes_of(fact("role.updated", "role")) == (Note(TENANT, ROLES, "7", Verb.UPDATED),)


@pytest.mark.parametrize("verb", ["empowered", "disempowered"])
def test_a_super_permission_changes_with_its_holder(verb):
    told = notes_of(fact(f"user.{verb}", "user", reason="adm_godmode"))
    assert told[0] == Note(TENANT, "users", "7", Verb.UPDATED)
    assert told[1] == Note(TENANT, "permissions", "adm_godmode", Verb.UPDATED)


@pytest.mark.parametrize(
    "said",
    [
        fact("session.login_failed", "user", outcome=Outcome.FAILED),
        fact("session.created", "session"),
        fact("session.ended", "user"),
        fact("api_key.created", "api_key"),
        fact("user.password_changed", "user"),
        fact("tenant.updated", "tenant"),
        fact("group.updated", "group", outcome=Outcome.DENIED),
        fact("group.updated", "group", tenant=None),
        fact("user.created", "user", ""),
    ],
    ids=lambda f: f.action,
)
def test_nothing_else_is_told(said):
    assert notes_of(said) == ()


@pytest.mark.parametrize(
    ("action", "type_", "turns"),
    [
        ("user.created", "user", False),
        ("user.updated", "user", True),
        ("user.deleted", "user", True),
        ("role.assigned", "user", True),
        ("role.assigned", "group", True),
        ("membership.created", "membership", True),
        ("membership.deleted", "membership", True),
        ("role.updated", "role", True),
        ("group.updated", "group", False),
        ("project.updated", "project", False),
    ],
)
def test_rights_turn_with_people_their_groups_and_their_roles(action, type_, turns):
    assert any(map(turns_rights, notes_of(fact(action, type_)))) is turns
