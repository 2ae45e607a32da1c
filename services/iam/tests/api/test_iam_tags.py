"""Each thing has an ETag, and who has the newest is told so (RFC 9110, 13.1)."""

import pytest

A = "/api/v1"
LINE = {"idp": "okta", "value": "devs", "role_id": "developer"}


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", roles=["admin"])


@pytest.fixture
def ann(iam, boss):
    return iam.user(iam.world.tenants[boss.tenant], username="ann")


@pytest.fixture
async def made(web, asking, boss):
    """Return paths of one thing of each kind that had no ETag, or was answered whole to who had it."""
    me = asking(boss)
    invitation = {"email": "new@acme.test", "role_id": "user"}
    invited = await web.post(f"{A}/invitations", json=invitation, headers=me)
    line = await web.post(f"{A}/external-roles", json=LINE, headers=me)
    assert line.headers["etag"] == '"1"'
    return {
        "invitation": invited.headers["location"],
        "line": line.headers["location"],
        "organization": f"{A}/organizations/{boss.tenant}",
        "tenant": f"{A}/tenants/{boss.tenant}",
    }


@pytest.mark.parametrize("kind", ["invitation", "line", "organization", "tenant"])
async def test_who_has_the_newest_version_is_told_so(web, asking, boss, made, kind):
    got = await web.get(made[kind], headers=asking(boss))
    assert got.status_code == 200
    again = {**asking(boss), "if-none-match": got.headers["etag"]}
    assert (await web.get(made[kind], headers=again)).status_code == 304


async def test_an_invitation_that_expired_is_answered_whole(iam, web, asking, boss, made):
    got = await web.get(made["invitation"], headers=asking(boss))
    iam.clock.forward(days=8)
    again = {**asking(boss), "if-none-match": got.headers["etag"]}
    late = await web.get(made["invitation"], headers=again)
    assert (late.status_code, late.json()["status"]) == (200, "expired")


async def test_ones_own_names_are_changed_only_as_they_were_read(web, asking, ann):
    me = asking(ann)
    tag = (await web.get(f"{A}/users/me", headers=me)).headers["etag"]
    known = {**me, "if-match": tag}
    first = await web.patch(f"{A}/users/me", json={"first_name": "A"}, headers=known)
    late = await web.patch(f"{A}/users/me", json={"first_name": "B"}, headers=known)
    assert (first.status_code, late.status_code) == (200, 412)


async def test_a_changed_member_answers_the_next_version(web, asking, boss, ann):
    path = f"{A}/organizations/{boss.tenant}/users/{ann.id}"
    changed = await web.patch(path, json={"first_name": "A"}, headers=asking(boss))
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    known = {**asking(boss), "if-match": '"1"'}
    assert (await web.patch(path, json={"first_name": "B"}, headers=known)).status_code == 412
