"""Nobody sees another tenant: by lists, ids, cursors, keys, words, tags or time. Each of these tries to."""

import asyncio
import json
import statistics
import time
from uuid import uuid4

import httpx
import pytest

pytestmark = pytest.mark.journey

PASSWORD = "correct horse battery staple"
MARK = "zebra"  # in everything of the other tenant that has a name
OF_THE_REQUEST = ("request_id", "instance")


@pytest.fixture
async def theirs(other):
    """One of each thing in another tenant, under a name that is looked for afterwards."""
    web, made = other.web, {}

    async def make(name, path, body):
        answer = await web.post(f"/api/v1/{path}", json=body)
        assert answer.status_code == 201, (path, answer.text)
        made[name] = answer.json()

    person = {"email": f"{MARK}@{MARK}.example", "username": MARK, "password": PASSWORD}
    await make("user", "users", person)
    await make("role", "roles", {"name": MARK, "permission_ids": ["flag:read"]})
    await make("key", "api-keys", {"name": MARK})
    await make("flag", "feature-flags", {"key": MARK, "name": MARK})
    await make("experiment", "experiments", {"key": MARK, "name": MARK})
    await make("invitation", "invitations", {"email": f"i@{MARK}.example", "role_id": "user"})
    await make("group", "global/groups", {"id": f"g_{MARK}", "labels": {"a": MARK}})
    await make("project", "global/projects", {"id": MARK})
    await make("robot", "global/service_accounts", {"id": f"sa_{MARK}"})
    await make("edge", "global/memberships", {"principal": f"u_{MARK}", "group": f"g_{MARK}"})
    made["session"] = (await web.get("/api/v1/sessions")).json()["items"][0]
    made["entry"] = await _an_entry(web)
    return made


async def _an_entry(web):
    for _ in range(100):
        if found := (await web.get("/api/v1/audit-logs?limit=1")).json()["items"]:
            return found[0]
        await asyncio.sleep(0.05)
    raise AssertionError("no audit entry arrived")


def plain(answer, sent=""):
    """Return the bytes of an answer without what is the request's own, the name that it sent included."""
    kept = {k: v for k, v in answer.json().items() if k not in OF_THE_REQUEST}
    text = json.dumps(kept, sort_keys=True)
    return answer.status_code, text.replace(sent, "…") if sent else text


LISTS = (
    "users",
    "roles",
    "api-keys",
    "sessions",
    "invitations",
    "tenants",
    "feature-flags",
    "environments",
    "projects",
    "experiments",
    "vms",
    "audit-logs",
    *(f"global/{kind}" for kind in ("users", "groups", "projects", "memberships")),
    *(f"global/{kind}" for kind in ("service_accounts", "pipeline_accounts", "permissions")),
)


class TestLists:
    @pytest.mark.parametrize("path", LISTS)
    async def test_no_list_shows_what_is_another_tenants(self, org, theirs, path):
        await org.flag()
        answer = await org.web.get(f"/api/v1/{path}")
        assert answer.status_code == 200
        assert MARK not in answer.text
        for thing in theirs.values():
            for id_ in (thing.get("id"), thing.get("uuid")):
                assert not id_ or str(id_) not in answer.text

    @pytest.mark.parametrize(
        "query",
        [
            f"users?search={MARK}",
            f"users?search={MARK}&sort=-email",
            f"feature-flags?search={MARK}",
            f"experiments?search={MARK}",
            f"audit-logs?q={MARK}",
            f"global/groups?search={MARK}",
            f"global/users?search={MARK}&limit=10",
        ],
    )
    async def test_no_search_finds_what_is_another_tenants(self, org, theirs, query):
        answer = await org.web.get(f"/api/v1/{query}")
        assert answer.status_code in (200, 422), answer.text
        assert answer.status_code == 422 or answer.json()["items"] == []

    async def test_no_filter_of_the_audit_log_reaches_over(self, org, other, theirs):
        entry = theirs["entry"]
        for query in (
            f"user_id={entry['user_id']}",
            f"entity_id={entry['entity_id']}",
            f"entity_id={theirs['flag']['id']}",
        ):
            found = await org.web.get(f"/api/v1/audit-logs?{query}")
            assert (found.status_code, found.json()["items"]) == (200, []), query
        asked = await org.web.get(f"/api/v1/audit-logs?tenant_id={other.id}")
        assert asked.status_code == 403
        assert MARK not in asked.text

    async def test_a_filter_for_the_users_or_the_role_of_another_tenant_finds_nobody(
        self, org, theirs
    ):
        users = await org.web.get(f"/api/v1/roles/{theirs['role']['id']}/users")
        assert users.status_code == 404


READS = [
    ("users", "user", "id"),
    ("roles", "role", "id"),
    ("api-keys", "key", "id"),
    ("sessions", "session", "id"),
    ("invitations", "invitation", "id"),
    ("feature-flags", "flag", "id"),
    ("feature-flags", "flag", "key"),
    ("experiments", "experiment", "id"),
    ("experiments", "experiment", "key"),
    ("audit-logs", "entry", "id"),
    ("global/groups", "group", "id"),
    ("global/groups", "group", "uuid"),
    ("global/projects", "project", "id"),
    ("global/projects", "project", "uuid"),
    ("global/service_accounts", "robot", "uuid"),
    ("global/memberships", "edge", "id"),
    ("global/memberships", "edge", "uuid"),
    ("global/users", "user", "id"),
]
ABSENT = {"key": "no-such-key", "global/memberships": f"u_nn{MARK}::g_nn{MARK}"}


def absent(path, by, thing):
    """Return a name of the same form that nothing has."""
    if by == "uuid" or (by == "id" and not path.startswith("global")) or len(thing["id"]) == 36:
        return str(uuid4())
    prefixes = {"global/groups": "g_", "global/service_accounts": "sa_"}
    return ABSENT.get(path) or ABSENT.get(by) or f"{prefixes.get(path, '')}nn{uuid4().hex[:8]}"


class TestIds:
    @pytest.mark.parametrize(("path", "name", "by"), READS)
    async def test_what_is_another_tenants_reads_byte_for_byte_like_what_is_missing(
        self, org, theirs, path, name, by
    ):
        thing = theirs[name]
        for method, more in (
            ("GET", {}),
            ("GET", {"headers": {"if-none-match": '"1"'}}),
            ("DELETE", {}),
            ("DELETE", {"headers": {"if-match": '"1"'}}),
            ("DELETE", {"headers": {"if-match": '"999"'}}),
            ("PATCH", {"json": {}}),
        ):
            nowhere = absent(path, by, thing)
            seen = await org.web.request(method, f"/api/v1/{path}/{thing[by]}", **more)
            blank = await org.web.request(method, f"/api/v1/{path}/{nowhere}", **more)
            assert plain(seen, thing[by]) == plain(blank, nowhere), (method, more)
            if method == "GET":
                assert seen.status_code == 404
            hidden = {"connection", "date", "x-envoy-upstream-service-time", "ratelimit"}
            assert {k for k in seen.headers if k not in hidden} == {
                k for k in blank.headers if k not in hidden
            }

    async def test_nothing_of_theirs_is_changed_by_all_that(self, org, other, theirs):
        for path, name, by in READS:
            for method in ("DELETE", "PATCH", "PUT", "POST"):
                await org.web.request(method, f"/api/v1/{path}/{theirs[name][by]}", json={})
        assert (await other.web.get("/api/v1/users/me")).status_code == 200
        for path, name, by in READS:
            if name not in ("entry", "session") and (path, by) != ("global/users", "id"):
                still = await other.web.get(f"/api/v1/{path}/{theirs[name][by]}")
                assert still.status_code == 200, (path, still.text)
                assert still.json().get("version", 1) == theirs[name].get("version", 1)

    async def test_no_body_can_name_what_is_another_tenants(self, org, other, theirs):
        mine = (await org.web.get("/api/v1/users/me")).json()["id"]
        role, user = theirs["role"]["id"], theirs["user"]["id"]
        own = await org.web.post(
            "/api/v1/roles", json={"name": "own", "permission_ids": ["flag:read"]}
        )
        tries = [
            ("POST", "invitations", {"email": "a@b.example", "role_id": role}),
            ("POST", f"tenants/{org.id}/users/{mine}/roles", {"role_id": role}),
            ("POST", f"tenants/{other.id}/users/{user}/roles", {"role_id": "user"}),
            ("PUT", f"tenants/{org.id}/users/{user}/roles/user", {}),
            ("PUT", f"tenants/{org.id}/users/{mine}/roles/{role}", {}),
            ("PUT", f"roles/{own.json()['id']}/users", {"user_ids": [user]}),
            ("PUT", "roles/viewer/users", {"user_ids": [mine, user]}),
            ("POST", "users", {"email": "c@d.example", "password": PASSWORD, "roles": [role]}),
            ("PATCH", f"users/{mine}", {"roles": ["admin", role]}),
            ("POST", "global/memberships", {"principal": f"u_{MARK}", "group": f"g_{MARK}"}),
            ("POST", "global/pipeline_accounts", {"id": "pa_x", "project": MARK}),
            ("POST", "global/groups", {"id": "g_in", "project": theirs["project"]["uuid"]}),
            (
                "POST",
                "global/groups",
                {"id": "g_x", "acl": {"list": [{"permissions": 1, "principals": [user]}]}},
            ),
        ]
        for method, path, body in tries:
            answer = await org.web.request(method, f"/api/v1/{path}", json=body)
            assert answer.status_code in (404, 409, 422), (method, path, answer.text)
            absent_one = _without(body, theirs)
            blank = await org.web.request(
                method, f"/api/v1/{_without(path, theirs)}", json=absent_one
            )
            assert (answer.status_code, answer.json()["code"]) == (
                blank.status_code,
                blank.json()["code"],
            ), (method, path)

    async def test_an_organization_that_is_not_yours_is_refused_before_it_is_looked_for(
        self, org, other
    ):
        for path in ("", "/users", f"/users/{uuid4()}"):
            method = "DELETE" if "-" in path else "GET"
            there = await org.web.request(method, f"/api/v1/organizations/{other.id}{path}")
            nowhere = await org.web.request(method, f"/api/v1/organizations/{uuid4()}{path}")
            assert plain(there) == plain(nowhere)
            assert there.status_code in (403, 404)


def _without(said, theirs):
    """Return the same request with ids that exist nowhere."""
    if isinstance(said, dict):
        return {k: _without(v, theirs) for k, v in said.items()}
    if isinstance(said, list):
        return [_without(v, theirs) for v in said]
    if not isinstance(said, str):
        return said
    for thing in theirs.values():
        for id_ in (thing.get("id"), thing.get("uuid")):
            if id_ and len(id_) == 36:
                said = said.replace(id_, str(uuid4()))
    return said.replace(MARK, f"no{uuid4().hex[:8]}")


class TestCursorsAndKeys:
    @pytest.mark.parametrize(
        "path", ["users", "feature-flags", "experiments", "audit-logs", "global/groups"]
    )
    async def test_a_cursor_of_another_tenant_opens_nothing(self, org, other, theirs, path):
        await other.flag()
        await other.web.post("/api/v1/experiments", json={"key": "second", "name": "x"})
        await other.web.post("/api/v1/global/groups", json={"id": "g_second"})
        page = (await other.web.get(f"/api/v1/{path}?limit=1")).json()
        cursor = page["next_cursor"]
        there = await other.web.get(f"/api/v1/{path}", params={"limit": 1, "cursor": cursor})
        assert there.status_code == 200
        flipped = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
        for tried in (cursor, flipped, cursor[: len(cursor) // 2], cursor + "A", "AAAA"):
            answer = await org.web.get(f"/api/v1/{path}", params={"limit": 1, "cursor": tried})
            assert answer.status_code == 400, answer.text
            assert MARK not in answer.text

    async def test_an_idempotency_key_of_another_tenant_replays_nothing(self, org, other):
        headers = {"idempotency-key": uuid4().hex}
        body = {"name": "secret"}
        first = await other.web.post("/api/v1/api-keys", json=body, headers=headers)
        second = await org.web.post("/api/v1/api-keys", json=body, headers=headers)
        assert (first.status_code, second.status_code) == (201, 201)
        assert "idempotent-replayed" not in second.headers
        assert first.json()["key"] != second.json()["key"]
        assert second.json()["tenant_id"] == org.id

    async def test_a_tag_or_an_if_match_of_theirs_tells_nothing(self, org, theirs):
        for path in (f"users/{theirs['user']['id']}", f"feature-flags/{theirs['flag']['id']}"):
            for tag in ('"1"', '"2"', "*", 'W/"1"'):
                for header in ("if-match", "if-none-match"):
                    answer = await org.web.get(f"/api/v1/{path}", headers={header: tag})
                    assert answer.status_code == 404
                    assert "etag" not in answer.headers
                    changed = await org.web.patch(f"/api/v1/{path}", json={}, headers={header: tag})
                    assert changed.status_code in (404, 422)

    async def test_a_header_that_names_another_tenant_is_worth_nothing(self, org, other, theirs):
        spoofed = {
            "x-tenant-id": other.id,
            "x-organization-id": other.id,
            "x-authz-tenant": other.id,
            "x-user-id": theirs["user"]["id"],
            "x-switchyard-tenant": other.id,
        }
        answer = await org.web.get("/api/v1/users", headers=spoofed)
        assert MARK not in answer.text
        me = await org.web.get("/api/v1/users/me", headers=spoofed)
        assert me.json()["tenant_id"] == org.id


class TestDecisions:
    async def test_nobody_of_another_tenant_is_told_of(self, org, theirs):
        user = theirs["user"]["id"]
        asked = {"permission": "flag:read", "subject": user}
        blank = {"permission": "flag:read", "subject": str(uuid4())}
        for path in ("check", "explain"):
            seen = await org.web.post(f"/api/v1/authz/{path}", json=asked)
            nowhere = await org.web.post(f"/api/v1/authz/{path}", json=blank)
            assert plain(seen) == plain(nowhere)
            assert seen.status_code == 404
        for action in ("read", "delete"):
            answers = [
                await org.web.post(
                    "/access/v1/evaluation",
                    json={
                        "subject": {"type": "user", "id": who},
                        "action": {"name": action},
                        "resource": {"type": "flag", "id": theirs["flag"]["id"]},
                    },
                )
                for who in (user, str(uuid4()))
            ]
            assert [a.json() for a in answers] == [{"decision": False}] * 2

    async def test_who_can_names_nobody_outside_and_a_thing_outside_is_not_decided(
        self, org, theirs
    ):
        everybody = await org.web.post("/api/v1/authz/who-can", json={"permission": "flag:read"})
        assert everybody.status_code == 200
        assert MARK not in everybody.text
        thing = {"kind": "group", "id": theirs["group"]["uuid"]}
        body = {"permission": "group:read", "resource": thing}
        foreign = await org.web.post("/api/v1/authz/check", json=body)
        thing["id"] = str(uuid4())
        blank = await org.web.post("/api/v1/authz/check", json=body)
        assert plain(foreign) == plain(blank)

    async def test_a_key_of_one_tenant_is_none_of_another(self, org, other, url):
        flag = await other.flag("only-theirs")
        key = await org.key(kind="management")
        async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}) as web:
            assert (await web.get(f"/api/v1/feature-flags/{flag['id']}")).status_code == 404
            assert "only-theirs" not in (await web.get("/api/v1/feature-flags")).text
        mine = await org.key()
        async with httpx.AsyncClient(base_url=url, headers={"x-api-key": mine}) as sdk:
            one = await sdk.post("/ofrep/v1/evaluate/flags/only-theirs", json={"context": {}})
            none = await sdk.post("/ofrep/v1/evaluate/flags/never-was", json={"context": {}})
            assert one.status_code == none.status_code == 404
            assert one.text.replace("only-theirs", "") == none.text.replace("never-was", "")


async def test_the_log_of_a_tenant_does_not_tell_of_what_others_tried_in_vain(
    org, other, theirs, eventually
):
    """Who tries is told in their own log; the one who was tried at is not told who else there is."""
    await org.web.delete(f"/api/v1/global/groups/{theirs['group']['uuid']}")

    async def mine():
        found = await org.web.get("/api/v1/audit-logs?action_type=denied")
        return found.json()["items"]

    [entry] = await eventually(mine, 15)
    assert entry["tenant"] == org.id
    there = await other.web.get("/api/v1/audit-logs?action_type=denied")
    assert there.json()["items"] == []


@pytest.mark.parametrize(
    ("path", "name", "by"),
    [
        ("users", "user", "id"),
        ("roles", "role", "id"),
        ("feature-flags", "flag", "id"),
        ("global/groups", "group", "uuid"),
    ],
)
async def test_time_does_not_tell_what_is_another_tenants(org, theirs, path, name, by):
    """The medians of looking for what is foreign and what is missing, in turn, differ by less than the noise."""
    foreign = f"/api/v1/{path}/{theirs[name][by]}"

    async def timed(target):
        begun = time.perf_counter()
        assert (await org.web.get(target)).status_code == 404
        return time.perf_counter() - begun

    await timed(foreign)
    for _attempt in range(3):
        pairs = [
            (await timed(foreign), await timed(f"/api/v1/{path}/{uuid4()}")) for _ in range(60)
        ]
        there, nowhere = (sorted(side) for side in zip(*pairs, strict=True))
        apart = abs(statistics.median(there) - statistics.median(nowhere))
        noise = statistics.quantiles(nowhere, n=4)[2] - statistics.quantiles(nowhere, n=4)[0]
        if apart <= max(noise, 0.002):
            return
    raise AssertionError(
        f"{apart * 1000:.2f} ms apart, three times over; the noise is {noise * 1000:.2f} ms"
    )


async def test_whom_the_platform_trusts_is_not_taken_over_by_their_tenant(org, other, root):
    person = await org.person("user")
    me = (await person.get("/api/v1/users/me")).json()
    role = f"/api/v1/tenants/{org.id}/users/{me['id']}/roles/developer?scope=platform"
    assert (await root.put(role)).status_code == 204
    path = f"/api/v1/users/{me['id']}"
    for answer in (
        await org.web.post(f"{path}/password-reset"),
        await org.web.patch(path, json={"email": f"mine@{org.slug}.example"}),
        await org.web.patch(path, json={"roles": ["user"]}),
        await org.web.delete(role),
    ):
        assert (answer.status_code, answer.json()["code"]) in (
            (403, "iam.more_than_you_hold"),
            (403, "iam.platform_only"),
        ), answer.text
    assert (await root.post(f"{path}/password-reset")).status_code == 201
    assert (await person.get("/api/v1/users/me")).status_code == 200
