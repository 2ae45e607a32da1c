"""An organization from its registration on: invitations, roles, decisions, API keys; each to its end."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

pytestmark = pytest.mark.journey

PASSWORD = "correct horse battery staple"


@pytest.fixture
async def nobody(url):
    async with httpx.AsyncClient(base_url=url, timeout=20) as web:
        yield web


def bearer(token):
    return {"authorization": f"Bearer {token}"}


class TestRegistration:
    def body(self, slug, **more):
        return {
            "name": slug,
            "subdomain": slug,
            "admin_email": f"boss@{slug}.example",
            "admin_password": PASSWORD,
            **more,
        }

    async def test_one_of_twenty_at_once_has_the_name_and_the_others_leave_nothing(
        self, nobody, root
    ):
        slug = f"r{uuid4().hex[:10]}"
        answers = await asyncio.gather(
            *(
                nobody.post(
                    "/api/v1/organizations/register",
                    json=self.body(slug, admin_email=f"n{n}@{slug}.example"),
                )
                for n in range(20)
            )
        )
        assert sorted(a.status_code for a in answers) == [201] + [409] * 19
        [won] = [a.json() for a in answers if a.status_code == 201]
        found = await nobody.get("/api/v1/users", headers=bearer(won["access_token"]))
        assert [u["id"] for u in found.json()["items"]] == [won["admin"]["id"]]
        dump = (await root.get("/api/v1/debug/collections/users")).json()["documents"]
        assert len([d for d in dump if d.get("email", "").endswith(f"@{slug}.example")]) == 1

    @pytest.mark.parametrize(
        "wrong",
        [
            {"admin_password": "short"},
            {"subdomain": "Has Space"},
            {"admin_email": "no address"},
            {"is_active": True},
            {"role": "super_admin"},
        ],
    )
    async def test_what_is_refused_leaves_the_name_free(self, nobody, wrong):
        slug = f"r{uuid4().hex[:10]}"
        path = "/api/organizations/register"
        assert (await nobody.post(path, json=self.body(slug, **wrong))).status_code == 422
        made = await nobody.post(path, json=self.body(slug))
        assert made.status_code == 201
        assert made.json()["organization"]["subdomain"] == slug


class TestInvitations:
    async def test_a_colleague_comes_in_with_the_role_and_the_token_opens_once(
        self, org, nobody, eventually
    ):
        email = f"new@{org.slug}.example"
        sent = await org.web.post(
            "/api/v1/invitations", json={"email": email, "role_id": "developer"}
        )
        assert sent.status_code == 201, sent.text
        token, id_ = sent.json()["token"], sent.json()["id"]
        assert token not in (await org.web.get("/api/v1/invitations")).text
        told = (await nobody.post("/api/v1/invitations/verify", json={"token": token})).json()
        assert (told["valid"], told["email"], told["role"]) == (True, email, "developer")
        body = {"token": token, "password": PASSWORD, "first_name": "Ñ"}
        answers = await asyncio.gather(
            *(nobody.post("/api/v1/invitations/accept", json=body) for _ in range(10))
        )
        in_, *out = sorted(answers, key=lambda a: a.status_code)
        assert in_.status_code == 201, in_.text
        assert len({(a.status_code, a.json()["code"]) for a in out}) == 1
        assert in_.json()["user"]["roles"] == ["developer"]
        made = await nobody.post(
            "/api/v1/feature-flags",
            json={"key": "theirs", "name": "x"},
            headers=bearer(in_.json()["access_token"]),
        )
        assert made.status_code == 201, made.text
        assert (await org.web.get(f"/api/v1/invitations/{id_}")).json()["status"] == "accepted"

        async def entries():
            found = await org.web.get("/api/v1/audit-logs", params={"entity_type": "invitation"})
            return {e["action"] for e in found.json()["items"]} >= {
                "invitation.created",
                "invitation.accepted",
            }

        await eventually(entries)

    async def test_a_token_that_opens_nothing_is_refused_in_one_way(self, org, nobody):
        async def sent():
            email = f"{uuid4().hex[:8]}@x.example"
            body = {"email": email, "role_id": "user"}
            return (await org.web.post("/api/v1/invitations", json=body)).json()

        revoked, resent = await sent(), await sent()
        await org.web.post(f"/api/v1/invitations/{revoked['id']}/revoke")
        again = (await org.web.post(f"/api/v1/invitations/{resent['id']}/resend")).json()
        assert again["token"] != resent["token"]
        said = set()
        for token in (revoked["token"], resent["token"], "x" * 43):
            body = {"token": token, "password": PASSWORD}
            answer = await nobody.post("/api/v1/invitations/accept", json=body)
            said.add((answer.status_code, answer.json()["code"], answer.json()["detail"]))
        assert len(said) == 1
        body = {"token": again["token"], "password": PASSWORD}
        assert (await nobody.post("/api/v1/invitations/accept", json=body)).status_code == 201


class TestDecisions:
    async def test_check_explain_and_who_can_agree_with_what_happens(self, org):
        viewer = await org.person("viewer")
        me = (await viewer.get("/api/v1/users/me")).json()
        for permission, may in (("flag:read", True), ("flag:toggle", False)):
            body = {"permission": permission}
            check = (await viewer.post("/api/v1/authz/check", json=body)).json()
            told = (await viewer.post("/api/v1/authz/explain", json=body)).json()
            asked = {**body, "subject": me["id"]}
            other = (await org.web.post("/api/v1/authz/explain", json=asked)).json()
            who = (await org.web.post("/api/v1/authz/who-can", json=body)).json()["items"]
            assert check == {"allowed": may}
            assert told["allowed"] is other["allowed"] is may
            assert bool(told["contributed_by"]) is may
            assert bool(told["would_need"]) is not may
            assert (me["id"] in [p["id"] for p in who]) is may
        foreign = {"permission": "flag:read", "subject": str(uuid4())}
        assert (await viewer.post("/api/v1/authz/check", json=foreign)).status_code == 403
        unknown = await viewer.post("/api/v1/authz/check", json={"permission": "flag:fly"})
        assert unknown.status_code == 422

    async def test_authzen_answers_one_and_many(self, org):
        me = (await org.web.get("/api/v1/users/me")).json()["id"]
        subject = {"subject": {"type": "user", "id": me}}
        resource = {"resource": {"type": "flag", "id": "x"}}
        one = await org.web.post(
            "/access/v1/evaluation", json={**subject, **resource, "action": {"name": "toggle"}}
        )
        assert one.json() == {"decision": True}
        parts = [{"action": {"name": name}} for name in ("read", "fly", "delete")]
        body = {**subject, **resource, "evaluations": parts}
        many = (await org.web.post("/access/v1/evaluations", json=body)).json()["evaluations"]
        assert [d["decision"] for d in many] == [True, False, True]
        body["options"] = {"evaluations_semantic": "deny_on_first_deny"}
        few = (await org.web.post("/access/v1/evaluations", json=body)).json()["evaluations"]
        assert [d["decision"] for d in few] == [True, False]

    async def test_a_role_that_is_given_or_taken_is_felt_within_a_second(self, org, eventually):
        person = await org.person("viewer")
        me = (await person.get("/api/v1/users/me")).json()["id"]
        path = f"/api/v1/tenants/{org.id}/users/{me}/roles/developer"

        async def may():
            body = {"key": f"k{uuid4().hex[:8]}", "name": "x"}
            return (await person.post("/api/v1/feature-flags", json=body)).status_code == 201

        assert not await may()
        assert (await org.web.put(path)).status_code == 204
        await eventually(may, 1.5)
        assert (await org.web.delete(path)).status_code == 204

        async def may_not():
            return not await may()

        await eventually(may_not, 1.5)


class TestKeys:
    async def test_a_key_lives_from_its_making_over_a_rotation_to_its_end(
        self, org, url, eventually
    ):
        made = await org.web.post("/api/v1/api-keys", json={"name": "ci", "kind": "management"})
        assert made.status_code == 201, made.text
        key = made.json()
        path = f"/api/v1/api-keys/{key['id']}"
        listed = await org.web.get("/api/v1/api-keys")
        assert key["key"] not in listed.text
        assert "key" not in (await org.web.get(path)).json()

        async def works(text):
            async with httpx.AsyncClient(base_url=url, headers={"x-api-key": text}) as web:
                return (await web.get("/api/v1/feature-flags")).status_code

        async def has(text, status):
            async def seen():
                return await works(text) == status

            await eventually(seen, 3)

        await has(key["key"], 200)
        rotated = (await org.web.post(f"{path}/rotate", json={"overlap_seconds": 60})).json()
        await has(rotated["key"], 200)
        await has(key["key"], 200)
        last = (await org.web.post(f"{path}/rotate", json={"overlap_seconds": 0})).json()
        await has(key["key"], 401)
        await has(rotated["key"], 401)
        await has(last["key"], 200)
        assert (await org.web.delete(path)).status_code == 204
        await has(last["key"], 401)
        assert (await org.web.get(path)).status_code == 404

    async def test_a_key_ends_when_its_time_is_over(self, org, url, eventually):
        ends = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        text = await org.key(kind="management", expires_at=ends)
        async with httpx.AsyncClient(base_url=url, headers=bearer(text)) as web:

            async def status(wanted):
                return (await web.get("/api/v1/feature-flags")).status_code == wanted

            await eventually(lambda: status(200), 2)
            await eventually(lambda: status(401), 5)

    async def test_a_key_does_what_its_maker_may_and_no_more_when_they_may_less(
        self, org, url, eventually
    ):
        person = await org.person("developer")
        me = (await person.get("/api/v1/users/me")).json()["id"]
        made = await person.post("/api/v1/api-keys", json={"name": "k", "kind": "management"})
        async with httpx.AsyncClient(base_url=url, headers=bearer(made.json()["key"])) as web:

            async def may(wanted):
                body = {"key": f"k{uuid4().hex[:8]}", "name": "x"}
                return (await web.post("/api/v1/feature-flags", json=body)).status_code == wanted

            await eventually(lambda: may(201), 2)
            await org.web.patch(f"/api/v1/users/{me}", json={"roles": ["viewer"]})
            await eventually(lambda: may(403), 2)
            await org.web.patch(f"/api/v1/users/{me}", json={"is_active": False})
            await eventually(lambda: may(401), 2)
