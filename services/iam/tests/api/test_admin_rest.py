"""The platform in numbers: who may see them, and that they are counted."""

import pytest

from iam.domain.gitops import C, Draft
from iam.domain.user import Grant

STATS = "/api/v1/admin/stats"


@pytest.fixture
def root(iam):
    grants = (Grant("adm_godmode", "platform"),)
    return iam.user(iam.tenant("platform"), "root@x.test", grants=grants)


async def test_an_administrator_of_the_platform_sees_what_there_is(web, asking, iam, make, root):
    tenant = iam.tenant(active=False)
    boss = iam.user(tenant, roles=["admin"])
    iam.user(tenant, "off@acme.test", active=False)
    await iam.gitops.create(make.caller(boss), C.GROUPS, Draft(key="g_ops"))
    with iam.hall.seat("ann"), iam.hall.stream():
        said = (await web.get(STATS, headers=asking(root))).json()
    assert {n: v for n, v in said.items() if n not in ("usage", "reasons")} == {
        "replicas": 1,
        "websockets": 1,
        "streams": 1,
        "tenants": 2,
        "tenants_active": 1,
        "users": 3,
        "users_active": 2,
        "sessions": 0,
        "api_keys": 0,
    }
    assert said["usage"] == {
        "logins_24h": 0,
        "users_seen_24h": 0,
        "changes_24h": 1,
        "flag_evaluations": None,
        "audit_entries": None,
        "vm_hours": None,
    }
    assert {n for n, v in said["usage"].items() if v is None} == {
        name.removeprefix("usage.") for name in said["reasons"]
    }


async def test_what_nobody_can_tell_is_null_with_a_reason(web, asking, iam, root):
    iam.presence.away = True
    said = (await web.get(STATS, headers=asking(root))).json()
    for name in ("replicas", "websockets", "streams"):
        assert said[name] is None
        assert "Redis" in said["reasons"][name]
    assert said["users"] == 1


@pytest.mark.parametrize("role", ["admin", "org_admin", "developer", "viewer", "user"])
async def test_nobody_else_sees_them(web, asking, iam, role):
    person = iam.user(iam.tenant(), roles=[role])
    answer = await web.get(STATS, headers=asking(person))
    assert answer.status_code == 403
    assert (await web.get(STATS)).status_code == 401
