"""Keys of service accounts over REST."""

import pytest

KEYS, ACCOUNTS = "/api/v1/api-keys", "/api/v1/global/service_accounts"


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", roles=["admin"])


async def test_a_key_is_made_for_an_account_and_belongs_to_it(web, asking, boss):
    account = (await web.post(ACCOUNTS, json={"id": "sa_ci"}, headers=asking(boss))).json()
    made = await web.post(KEYS, json={"name": "ci", "account": "sa_ci"}, headers=asking(boss))
    assert made.status_code == 201, made.text
    said = made.json()
    assert (said["kind"], said["owner_id"]) == ("management", account["uuid"])
    listed = (await web.get(KEYS, headers=asking(boss))).json()["items"]
    assert [key["owner_id"] for key in listed] == [account["uuid"]]


@pytest.mark.parametrize(
    ("account", "more", "code"),
    [
        ("sa_none", {}, "iam.unknown_account"),
        ("00000000-0000-7000-8000-000000000000", {}, "iam.unknown_account"),
        ("u_boss", {}, "invalid"),
        ("sa_'; --", {}, "invalid"),
        ("sa_ci", {"kind": "server"}, "iam.account_key_kind"),
    ],
)
async def test_what_is_no_account_or_no_kind_for_one_is_refused(
    web, iam, asking, boss, account, more, code
):
    await web.post(ACCOUNTS, json={"id": "sa_ci"}, headers=asking(boss))
    body = {"name": "ci", "account": account, **more}
    refused = await web.post(KEYS, json=body, headers=asking(boss))
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert more or refused.json()["errors"][0]["pointer"] == "/account"
    assert not iam.world.keys
