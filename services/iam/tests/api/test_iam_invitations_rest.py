from uuid import uuid4

import pytest

PATH = "/api/v1/invitations"
BODY = {"email": "new@acme.test", "role_id": "developer"}


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", roles=["admin"])


async def test_an_invitation_goes_from_creation_to_acceptance(web, asking, boss, make):
    me = asking(boss)
    made = await web.post(PATH, json=BODY, headers=me)
    said = made.json()
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    assert (said["status"], said["role"]) == ("pending", "developer")
    one = await web.get(made.headers["location"], headers=me)
    assert "token" not in one.json()
    listed = (await web.get(PATH, headers=me)).json()
    assert (listed["total"], listed["items"]) == (1, [one.json()])
    token = {"token": said["token"]}
    for verified in (
        await web.post(f"{PATH}/verify", json=token),
        await web.get(f"{PATH}/verify", params=token),
    ):
        assert verified.json()["valid"] is True
        assert verified.json()["organization_subdomain"] == "acme"
    body = {**token, "password": make.password, "first_name": "N", "last_name": "W"}
    accepted = await web.post(f"{PATH}/accept", json=body)
    assert accepted.status_code == 201
    assert accepted.json()["user"]["roles"] == ["developer"]
    assert accepted.json()["access_token"] == accepted.json()["token"]
    again = await web.post(f"{PATH}/accept", json=body)
    assert (again.status_code, again.json()["code"]) == (404, "iam.bad_invitation")


async def test_an_invitation_is_resent_and_revoked(web, asking, boss):
    me = asking(boss)
    said = (await web.post(PATH, json=BODY, headers=me)).json()
    again = await web.post(f"{PATH}/{said['id']}/resend", headers=me)
    assert again.status_code == 200
    assert again.json()["token"] != said["token"]
    old = await web.post(f"{PATH}/verify", json={"token": said["token"]})
    assert (old.status_code, old.json()["code"]) == (404, "iam.bad_invitation")
    revoked = await web.post(f"{PATH}/{said['id']}/revoke", headers=me)
    assert (revoked.status_code, revoked.json()["status"]) == (200, "revoked")
    closed = await web.delete(f"{PATH}/{said['id']}", headers=me)
    assert (closed.status_code, closed.json()["code"]) == (409, "iam.invitation_closed")
    other = (await web.post(PATH, json=BODY, headers=me)).json()
    assert (await web.delete(f"{PATH}/{other['id']}", headers=me)).status_code == 204


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"email": "nobody"}, "iam.bad_email"),
        ({"role_id": "emperor"}, "iam.unknown_role"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "iam.bad_expiry"),
        ({"tenant_id": str(uuid4())}, "invalid"),
        ({"role_id": None}, "invalid"),
    ],
)
async def test_an_invitation_that_is_none_is_422(web, asking, boss, change, code):
    answer = await web.post(PATH, json={**BODY, **change}, headers=asking(boss))
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_the_order_is_401_403_422_404(web, iam, asking, boss):
    ann = iam.user(iam.world.tenants[boss.tenant])
    assert (await web.get(f"{PATH}/x")).status_code == 401
    assert (await web.get(f"{PATH}/x", headers=asking(ann))).status_code == 403
    assert (await web.get(f"{PATH}/x", headers=asking(boss))).status_code == 422
    assert (await web.get(f"{PATH}/{uuid4()}", headers=asking(boss))).status_code == 404
