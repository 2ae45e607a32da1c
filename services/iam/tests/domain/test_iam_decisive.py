"""A user as replicas decide about them: everything that was given, everywhere, with whose place it holds at."""

from dataclasses import replace
from uuid import uuid4

import pytest

from authz.replica import Replica
from authz.standing import Thing
from iam.domain.authority import decisive_subject
from iam.domain.grants import Grant


@pytest.fixture
def away():
    return uuid4()


@pytest.fixture
def standing(make, away):
    """Return what somebody with these grants may do at home, or in the tenant that they are a guest of."""

    def found(*grants, elsewhere=(), abroad=False):
        user = make.user(tenant=uuid4())
        user = replace(user, grants=grants, elsewhere=elsewhere, tenants=(away,))
        subject = decisive_subject(user)
        assert subject.acts_in(str(away))
        tenant = str(away if abroad else user.tenant)
        return Replica().standing(subject, tenant, None, make.start.timestamp())

    return found


IN_SHOP = Thing(project="shop")


def test_a_role_in_a_project_holds_there(standing):
    may = standing(Grant("developer", "project", place="shop")).may
    assert may("flag:update", IN_SHOP)
    assert not may("flag:update")
    assert not may("flag:update", Thing(project="other"))


def test_a_role_at_one_thing_holds_there_and_for_its_kind_only(standing):
    may = standing(Grant("developer", "object", place="flag:f1")).may
    assert may("flag:update", Thing(id="f1"))
    assert not may("flag:update", Thing(id="f2"))
    assert not may("vm:update", Thing(id="f1"))


def test_what_holds_at_home_holds_nowhere_else_and_the_other_way_round(standing, away):
    home = Grant("developer", "project", place="shop")
    there = Grant("viewer", "project", place="shop", tenant=away)
    wide = Grant("analyst", tenant=away)
    abroad = standing(home, Grant("admin"), elsewhere=(there, wide), abroad=True)
    assert abroad.may("flag:read", IN_SHOP)
    assert abroad.may("audit:read")
    assert not abroad.may("flag:update", IN_SHOP)
    assert not abroad.may("user:create")
    at_home = standing(home, elsewhere=(there, wide))
    assert at_home.may("flag:update", IN_SHOP)
    assert not at_home.may("audit:read")


def test_what_holds_on_the_platform_holds_for_a_guest_too(standing):
    assert standing(Grant("admin", "platform"), abroad=True).may_everywhere("user:create")


def test_what_a_group_gives_is_told_with_the_rest(standing):
    assert standing(Grant("developer", through=uuid4())).may("flag:update")
