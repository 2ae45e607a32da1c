"""What a newcomer gets wrong at first, through the gateway: never a 500, and always told what to do next."""

import asyncio
from uuid import uuid4

import httpx
import pytest

pytestmark = pytest.mark.journey

PASSWORD = "correct horse battery staple"
FLAGS = "/api/v1/feature-flags"


def told(answer, status, *words):
    """Check that an answer refuses with words that help; return the document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["request_id"] == answer.headers["x-request-id"]
    assert [word for word in words if word not in said["detail"]] == [], said["detail"]
    return said


class TestBodies:
    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
    @pytest.mark.parametrize("path", [FLAGS, "/api/v1/experiments", "/api/v1/users", "/api/v1/vms"])
    async def test_what_is_not_sent_as_json_is_415(self, org, path, kind):
        headers = {"content-type": kind} if kind else {}
        answer = await org.web.post(path, content='{"key": "a", "name": "b"}', headers=headers)
        told(answer, 415, "content-type: application/json")

    async def test_no_body_at_all_is_told_to_send_one(self, org):
        told(await org.web.post(FLAGS), 422, "send a JSON object")

    async def test_a_form_with_a_nul_does_not_reach_the_database(self, url):
        async with httpx.AsyncClient(base_url=url) as web:
            form = {"content-type": "application/x-www-form-urlencoded"}
            sent = "username=%00&password=x"
            told(await web.post("/api/v1/auth/token", content=sent, headers=form), 422, "NUL")

    async def test_a_time_beyond_the_calendar_is_refused(self, org):
        body = {"name": "k", "expires_at": "9999-12-31T23:59:59-23:59"}
        told(await org.web.post("/api/v1/api-keys", json=body), 422, "/expires_at")

    async def test_a_number_that_clients_would_read_as_another_is_refused(self, org):
        body = {"key": "big", "name": "Big", "type": "integer", "variants": {"a": 2**53 + 1}}
        told(await org.web.post(FLAGS, json=body), 422, "9007199254740991")

    async def test_a_clock_time_that_is_jumped_over_is_refused(self, org):
        await org.web.post("/api/v1/experiments", json={"key": "gap", "name": "Gap"})
        body = {"start_date": "2040-03-25T02:30", "time_zone": "Europe/Berlin"}
        path = "/api/v1/experiments/gap/schedule"
        told(await org.web.put(path, json=body), 422, "Europe/Berlin", "choose another time")


class TestQueriesAndHeaders:
    @pytest.mark.parametrize(
        "path", ["/api/v1/users", FLAGS, "/api/v1/experiments", "/api/v1/vms", "/api/v1/audit-logs"]
    )
    async def test_a_list_asked_for_with_nul_or_twice_is_422(self, org, path):
        told(await org.web.get(f"{path}?search=%00"), 422)
        said = told(await org.web.get(f"{path}?limit=1&limit=2"), 422, "send it once")
        assert said["errors"][0]["pointer"] == "query:limit"

    @pytest.mark.parametrize("tag", ["rubbish", "\u00b2", '"' + "9" * 3000 + '"', '"1", "2"', "-1"])
    async def test_an_if_match_that_is_no_etag_is_told_what_one_looks_like(self, org, tag):
        await org.flag("tagged")
        headers = {"if-match": tag.encode("latin-1")}
        answer = await org.web.patch(f"{FLAGS}/tagged", json={"name": "x"}, headers=headers)
        told(answer, 422, "If-Match", "as you were given it")

    async def test_a_weak_tag_is_known_as_well(self, org):
        await org.flag("weak")
        tag = (await org.web.get(f"{FLAGS}/weak")).headers["etag"]
        again = await org.web.get(f"{FLAGS}/weak", headers={"if-none-match": f"W/{tag}"})
        assert (again.status_code, again.content) == (304, b"")

    @pytest.mark.parametrize("key", ["x" * 256, "\u00e9", "a\tb"])
    async def test_a_key_that_is_none_is_refused_where_it_counts(self, org, key):
        flag = await org.flag()
        headers = {"idempotency-key": key.encode("latin-1")}
        told(await org.web.post(f"{FLAGS}/{flag['key']}/toggle", headers=headers), 422, "1 to 255")
        assert (await org.web.get(f"{FLAGS}/{flag['key']}", headers=headers)).status_code == 200

    async def test_head_answers_like_get_and_a_wrong_method_says_which_are_right(self, org):
        await org.flag("seen")
        head = await org.web.head(f"{FLAGS}/seen")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["etag"] == '"1"'
        refused = await org.web.put(f"{FLAGS}/seen", json={})
        told(refused, 405)
        assert refused.headers["allow"] == "DELETE, GET, HEAD, PATCH"

    async def test_a_slash_in_a_path_is_told_of_ids(self, org):
        flag = await org.flag("team/dark")
        told(await org.web.get(f"{FLAGS}/team%2Fdark"), 400, "by its id")
        assert (await org.web.get(f"{FLAGS}/{flag['id']}")).json()["key"] == "team/dark"


class TestTheSecondClick:
    async def test_five_deletions_at_once_are_one(self, org):
        flag = await org.flag()
        user = await org.web.post(
            "/api/v1/users", json={"email": "gone@x.example", "password": PASSWORD}
        )
        key = await org.web.post("/api/v1/api-keys", json={"name": "gone"})
        for path in (
            f"{FLAGS}/{flag['id']}",
            f"/api/v1/users/{user.json()['id']}",
            f"/api/v1/api-keys/{key.json()['id']}",
        ):
            answers = await asyncio.gather(*(org.web.delete(path) for _ in range(5)))
            assert sorted(a.status_code for a in answers) == [204, 404, 404, 404, 404]

    async def test_five_creations_at_once_are_one(self, org):
        body = {"key": "race", "name": "Race"}
        answers = await asyncio.gather(*(org.web.post(FLAGS, json=body) for _ in range(5)))
        assert sorted(a.status_code for a in answers) == [201, 409, 409, 409, 409]

    async def test_a_refresh_token_used_twice_at_once_has_one_successor(self, org, url):
        body = {"refresh_token": org.refresh_token}
        async with httpx.AsyncClient(base_url=url) as web:
            path = "/api/v1/auth/refresh"
            answers = await asyncio.gather(*(web.post(path, json=body) for _ in range(2)))
            assert [a.status_code for a in answers] == [200, 200]
            assert len({a.json()["refresh_token"] for a in answers}) == 1
            await org.web.post("/api/v1/auth/logout")
            told(await web.post(path, json=body), 401, "log in again")


class TestPeople:
    async def test_two_administrators_who_delete_each_other_leave_one(self, org, eventually):
        second = await org.person("admin")
        ids = [(await web.get("/api/v1/users/me")).json()["id"] for web in (org.web, second)]
        answers = await asyncio.gather(
            org.web.delete(f"/api/v1/users/{ids[1]}"), second.delete(f"/api/v1/users/{ids[0]}")
        )
        assert [a.status_code for a in answers].count(204) == 1, [a.text for a in answers]

    async def test_one_address_in_two_organizations_is_two_people(self, org, other, url):
        body = {"email": f"{uuid4().hex}@x.example", "password": PASSWORD}
        ids = {(await o.web.post("/api/v1/users", json=body)).json()["id"] for o in (org, other)}
        assert len(ids) == 2
        async with httpx.AsyncClient(base_url=url) as web:
            for tenant in (org.slug, other.slug):
                login = {**body, "tenant_subdomain": tenant}
                answer = await web.post("/api/v1/auth/login", json=login)
                assert answer.json()["organization_subdomain"] == tenant
            login = {**body, "tenant_subdomain": "no-such-tenant"}
            told(await web.post("/api/v1/auth/login", json=login), 401)

    async def test_a_disabled_user_is_out_with_a_token_that_still_lives(self, org, eventually):
        person = await org.person("viewer")
        me = (await person.get("/api/v1/users/me")).json()
        path = f"/api/v1/users/{me['id']}"
        assert (await org.web.patch(path, json={"is_active": False})).status_code == 200

        async def out():
            answer = await person.get(FLAGS)
            return answer if answer.status_code == 401 else None

        told(await eventually(out), 401)
