import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz import permissions
from iam.domain.roles import SYSTEM, permissions_of


@pytest.mark.parametrize(
    ("lesser", "greater"), [("user", "org_admin"), ("org_admin", "admin"), ("admin", "super_admin")]
)
def test_each_role_of_the_chain_holds_strictly_less_than_the_next(lesser, greater):
    assert SYSTEM[lesser].permissions < SYSTEM[greater].permissions


@given(st.lists(st.sampled_from(sorted(SYSTEM)), max_size=5), st.sampled_from(sorted(SYSTEM)))
def test_one_more_role_never_takes_a_permission_away(roles, more):
    assert permissions_of(roles) <= permissions_of([*roles, more])


def test_every_permission_of_every_role_is_in_the_catalogue():
    held = frozenset().union(*(role.permissions for role in SYSTEM.values()))
    assert held == permissions.ALL


def test_admin_holds_all_but_debug_and_platform_configuration():
    assert permissions.ALL - SYSTEM["admin"].permissions == {"debug:read", "platform:configure"}


def test_viewers_only_read():
    assert all(p.endswith(":read") for p in SYSTEM["viewer"].permissions)


def test_analysts_write_nothing_but_reports():
    writes = {p for p in SYSTEM["analyst"].permissions if not p.endswith(":read")}
    assert writes == {"report:create", "report:update", "report:delete"}


def test_developers_toggle_and_schedule_but_manage_nobody():
    held = SYSTEM["developer"].permissions
    assert {"flag:toggle", "experiment:schedule", "vm:power_manage"} <= held
    assert not held & {"user:create", "role:assign_users", "api_key:create"}


def test_a_role_that_is_no_more_holds_nothing():
    assert permissions_of(["gone"]) == frozenset()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("toggle_feature_flags", "flag:toggle"),
        ("view_audit_logs", "audit:read"),
        ("flag:toggle", "flag:toggle"),
        ("flag:explode", None),
        ("", None),
    ],
)
def test_older_names_stand_for_permissions_of_the_catalogue(name, meant):
    assert permissions.named(name) == meant


def test_every_alias_means_a_permission_that_exists():
    assert set(permissions.ALIASES.values()) <= permissions.ALL


def test_the_catalogue_says_which_module_a_permission_belongs_to():
    assert {p.module for p in permissions.catalogue()} == set(permissions.CATALOGUE)
