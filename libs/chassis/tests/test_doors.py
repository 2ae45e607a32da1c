"""The REST side in process: stages, problem documents, pages, tags, strict bodies, limits."""

from dataclasses import dataclass, field, replace
from typing import Annotated
from uuid import uuid4

import httpx
import pytest
from fastapi import Path, Request, Response
from prometheus_client import REGISTRY

from authz.limits import Limiter
from chassis.caller import Caller
from chassis.context import asked
from chassis.errors import Conflict, NotFound, Unavailable
from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Id,
    Instant,
    Paging,
    Wiring,
    anybody,
    doors,
    given,
    keyed,
    needs,
    needs_somewhere,
    public,
    rest_app,
    tagged,
)
from chassis.identity import NoAuthority, NoCredential
from chassis.pages import Cursors, Slice

HUNG_UP = (
    "http_server_request_duration_seconds_count",
    {"method": "POST", "route": "/api/v1/things", "status": "499"},
)


class ThingTaken(Conflict):
    code = "thing.taken"


@dataclass
class Things:
    made: list = field(default_factory=list)


class ThingBody(Body):
    name: str
    size: int = 1
    ready: bool = False
    owner: Id | None = None
    at: Instant | None = None


class Anyone:
    """An identity that believes a name."""

    def __init__(self, callers):
        self.callers = callers

    async def of(self, headers):
        if found := self.callers.get(headers.get("x-test-caller")):
            return found
        raise NoCredential("an access token or an API key is needed")


router = doors("/api/v1/things", "things")
Uses = Annotated[Things, given(Things)]
ThingId = Annotated[str, Path(pattern=r"^[a-z0-9]+$", max_length=40)]


@router.post("", status_code=201, **needs("thing:create"))
async def create(body: ThingBody, caller: Asking, things: Uses) -> dict:
    if body.name in things.made:
        raise ThingTaken(f"{body.name} is taken")
    things.made.append(body.name)
    return {"name": body.name, "by": caller.name}


@router.get("", **needs("thing:read"))
async def listed(pager: Paging) -> dict:
    numbers = range(int(pager.ask.after[0]) + 1 if pager.ask.after else pager.ask.offset, 5)
    items = list(numbers)[: pager.ask.limit]
    more = (str(items[-1]),) if items and items[-1] < 4 else None
    return pager.render(Slice(items=items, next=more, total=5), lambda n: {"n": n})


@router.get("/mine", **anybody())
async def mine(caller: Asking) -> dict:
    return {"name": caller.name}


@router.get("/open", **public())
async def open_to_all() -> dict:
    return {}


@router.get("/broken", **public())
async def broken() -> dict:
    raise ZeroDivisionError("secret detail")


@router.get("/away", **public())
async def away() -> dict:
    raise Unavailable("the neighbour is down", retry_after=7)


@router.post("/keyed", **keyed("thing:read", **{"x-reads": True}))
async def for_keys() -> dict:
    return {}


@router.get("/{thing}", responses=TAGGED, **needs("thing:read"))
async def get(thing: ThingId, request: Request, response: Response, expected: Expected) -> dict:
    if thing == "missing":
        raise NotFound("no such thing")
    if tagged(response, request, 3):
        return Response(status_code=304, headers=dict(response.headers))
    return {"thing": thing, "expected": expected}


@router.post("/grants", **anybody())
async def grant() -> dict:
    asked().answer["x-authz-epoch"] = "42"
    return {}


@router.delete("/made/{thing}", **needs_somewhere("flag:delete"))
async def delete(thing: ThingId) -> dict:
    return {"gone": thing}


@pytest.fixture
def wiring(ana):
    callers = {
        "ana": ana,
        "zoe": replace(ana, permissions=frozenset(), name="zoe"),
        "bot": Caller(
            subject="k1", tenant=ana.tenant, kind="api_key", permissions=frozenset({"thing:read"})
        ),
        "stranger": replace(ana, tenant=uuid4()),
    }
    return Wiring(
        identity=Anyone(callers),
        cursors=Cursors(b"k" * 32),
        limiter=Limiter(1000),
        uses={Things: Things()},
    )


@pytest.fixture
async def web(wiring):
    app = rest_app("things", [router], wiring)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://t/api/v1/things", headers={"x-test-caller": "ana"}
    ) as web:
        yield web


def told(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    said = response.json()
    assert (said["status"], said["code"]) == (status, code)
    assert said["request_id"] == response.headers["x-request-id"]
    assert isinstance(said["detail"], str)
    assert said["error"]["status"] == status
    return said


class TestStages:
    async def test_nobody_is_refused_before_anything_is_read(self, web):
        r = await web.post("", content=b"{", headers={"x-test-caller": "nobody"})
        said = told(r, 401, "no_credential")
        assert said["error"] == {
            "message": "Authorization failed: Unauthorized",
            "status": 401,
            "type": "authorization_error",
        }
        assert r.headers["www-authenticate"].startswith("Bearer")

    async def test_a_missing_permission_is_told_before_bad_syntax(self, web):
        r = await web.post("", content=b"{", headers={"x-test-caller": "zoe"})
        said = told(r, 403, "forbidden")
        assert said["detail"] == "Insufficient permissions: thing:create required"

    async def test_bad_syntax_is_told_before_what_is_missing(self, web):
        told(await web.get("/x'%20OR%201=1"), 422, "invalid")

    async def test_what_is_not_there_is_not_found(self, web):
        told(await web.get("/missing"), 404, "not_found")

    async def test_a_clash_is_told_by_its_own_code(self, web):
        await web.post("", json={"name": "x"})
        told(await web.post("", json={"name": "x"}), 409, "thing.taken")

    async def test_who_hangs_up_while_sending_is_no_bug(self, wiring, caplog):
        """A body that ends in the middle: nothing is done, nothing is answered, and no alarm is raised."""
        sent = []

        async def hung_up():
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/v1/things",
            "raw_path": b"/api/v1/things",
            "query_string": b"",
            "headers": [(b"x-test-caller", b"ana"), (b"content-type", b"application/json")],
        }
        before = REGISTRY.get_sample_value(*HUNG_UP) or 0
        await rest_app("things", [router], wiring)(scope, hung_up, send)
        assert (sent, caplog.records) == ([], [])
        assert wiring.uses[Things].made == []
        assert REGISTRY.get_sample_value(*HUNG_UP) == before + 1

    async def test_a_path_for_keys_takes_no_token(self, web):
        told(await web.post("/keyed"), 400, "api_key_needed")
        assert (await web.post("/keyed", headers={"x-test-caller": "bot"})).status_code == 200

    async def test_a_public_path_asks_nobody(self, web):
        assert (await web.get("/open", headers={"x-test-caller": ""})).status_code == 200

    async def test_an_unknown_path_and_method_are_problems_too(self, web):
        told(await web.get("/a/b/c"), 404, "no_such_path")
        told(await web.delete("/open"), 405, "method_not_allowed")

    async def test_a_bug_is_answered_without_its_secrets(self, web):
        said = told(await web.get("/broken"), 500, "internal")
        assert "secret" not in str(said)

    async def test_an_outage_says_when_to_come_again(self, web):
        r = await web.get("/away")
        told(r, 503, "unavailable")
        assert r.headers["retry-after"] == "7"

    def test_a_route_that_says_nothing_of_permission_keeps_the_app_from_starting(self):
        careless = doors("/x", "x")
        with pytest.raises(RuntimeError, match="permission"):
            careless.get("/y")(open_to_all)


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({}, "/name"),
            ({"name": 1}, "/name"),
            ({"name": "x", "size": "1"}, "/size"),
            ({"name": "x", "size": 1.0}, "/size"),
            ({"name": "x", "size": False}, "/size"),
            ({"name": "x", "ready": 0}, "/ready"),
            ({"name": "x", "owner": 5}, "/owner"),
            ({"name": "x", "owner": "nope"}, "/owner"),
            ({"name": "x", "at": 1700000000}, "/at"),
            ({"name": "x", "at": "2026-01-01T00:00:00"}, "/at"),
            ({"name": "x", "tenant_id": "y"}, "/tenant_id"),
            ({"name": "x" * 70000}, "/name"),
        ],
    )
    async def test_a_wrong_value_is_pointed_at(self, web, body, pointer):
        said = told(await web.post("", json=body), 422, "invalid")
        assert pointer in [e["pointer"] for e in said["errors"]]

    async def test_a_field_that_is_not_there_is_named_in_plain_words(self, web):
        said = told(await web.post("", json={"name": "a", "nmae": "b"}), 422, "invalid")
        assert said["detail"] == "/nmae: there is no such field here"
        assert said["errors"][0]["code"] == "extra_forbidden"

    @pytest.mark.parametrize("text", [b"{", b"", b'{"name": "\\u0000"}', b'{"name": NaN}'])
    async def test_what_is_no_json_is_told_so(self, web, text):
        r = await web.post("", content=text, headers={"content-type": "application/json"})
        assert told(r, 422, r.json()["code"])["code"] in ("bad_json", "invalid")

    async def test_times_and_ids_come_as_strings(self, web):
        body = {"name": "x", "owner": str(uuid4()), "at": "2026-01-01T00:00:00Z"}
        assert (await web.post("", json=body)).status_code == 201


class TestPages:
    async def test_a_page_says_how_many_there_are(self, web):
        said = (await web.get("", params={"limit": 2, "page": 2})).json()
        assert [i["n"] for i in said["items"]] == [2, 3]
        assert (said["total"], said["page"], said["limit"]) == (5, 2, 2)

    async def test_cursors_lead_through_the_whole_list(self, web):
        seen, cursor = [], (await web.get("", params={"limit": 2})).json()["next_cursor"]
        while cursor:
            said = (await web.get("", params={"limit": 2, "cursor": cursor})).json()
            seen += [i["n"] for i in said["items"]]
            assert said["has_more"] is ("next_cursor" in said)
            cursor = said.get("next_cursor")
        assert seen == [2, 3, 4]

    async def test_a_cursor_of_another_tenant_is_refused(self, web):
        cursor = (await web.get("", params={"limit": 2})).json()["next_cursor"]
        r = await web.get("", params={"cursor": cursor}, headers={"x-test-caller": "stranger"})
        told(r, 400, "bad_cursor")

    async def test_a_cursor_of_other_filters_is_refused(self, web):
        cursor = (await web.get("", params={"limit": 2, "search": "a"})).json()["next_cursor"]
        told(await web.get("", params={"cursor": cursor, "search": "b"}), 400, "bad_cursor")

    async def test_page_and_cursor_contradict_each_other(self, web):
        told(await web.get("", params={"page": 1, "cursor": "x"}), 400, "page_and_cursor")

    @pytest.mark.parametrize("query", ["page=0", "limit=0", "limit=101", "limit=x", "page=-1"])
    async def test_a_page_that_cannot_be_is_refused(self, web, query):
        said = told(await web.get(f"?{query}"), 422, "invalid")
        assert said["errors"][0]["pointer"] == f"query:{query.split('=')[0]}"


class TestHeaders:
    async def test_a_version_that_the_client_has_is_not_sent_again(self, web):
        r = await web.get("/abc")
        assert r.headers["etag"] == '"3"'
        again = await web.get("/abc", headers={"if-none-match": '"1", "3"'})
        assert (again.status_code, again.content) == (304, b"")

    async def test_if_match_says_which_version_is_expected(self, web):
        assert (await web.get("/abc", headers={"if-match": '"7"'})).json()["expected"] == 7
        assert (await web.get("/abc", headers={"if-match": "*"})).json()["expected"] is None

    @pytest.mark.parametrize("sent", ["nonsense", '""', "-1", '"1", "2"', "\u00b2", "9" * 5000])
    async def test_an_if_match_that_is_no_etag_of_ours_is_refused(self, web, sent):
        headers = {"if-match": sent.encode("latin-1")}
        assert (
            "as you were given it"
            in told(await web.get("/abc", headers=headers), 422, "bad_if_match")["detail"]
        )

    async def test_if_match_does_not_come_before_a_path_that_cannot_be(self, web):
        r = await web.get("/A-B", headers={"if-match": '"1"'})
        assert told(r, 422, "invalid")["errors"][0]["pointer"] == "path:thing"

    @pytest.mark.parametrize("sent", ['W/"3"', "*", '"1", W/"3"'])
    async def test_a_weak_tag_names_the_same_version(self, web, sent):
        assert (await web.get("/abc", headers={"if-none-match": sent})).status_code == 304

    async def test_head_is_answered_like_get(self, web):
        got, head = await web.get("/abc"), await web.head("/abc")
        assert (head.status_code, head.headers["etag"]) == (200, got.headers["etag"])
        assert (await web.head("/keyed/none")).status_code == 404

    async def test_a_wrong_method_is_told_all_that_are_right(self, web):
        r = await web.put("", json={})
        told(r, 405, "method_not_allowed")
        assert r.headers["allow"] == "GET, HEAD, POST"

    async def test_a_request_id_comes_back(self, web):
        r = await web.get("/abc", headers={"x-request-id": "my-request-1"})
        assert r.headers["x-request-id"] == "my-request-1"

    async def test_a_trailing_slash_makes_no_difference(self, web):
        assert (await web.get("/abc/")).json() == (await web.get("/abc")).json()

    async def test_answers_say_how_many_more_are_allowed(self, web):
        r = await web.get("/abc")
        assert r.headers["ratelimit-policy"] == '"default";q=1000;w=1'
        assert r.headers["ratelimit"].startswith('"default";r=999')

    async def test_too_many_requests_are_refused(self, web, wiring):
        wiring.limiter = Limiter(1)
        assert (await web.get("/abc")).status_code == 200
        r = await web.get("/abc")
        told(r, 429, "rate_limited")
        assert r.headers["retry-after"] == "1"


class TestReading:
    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
    async def test_a_body_of_another_kind_is_refused_with_what_to_send(self, web, kind):
        headers = {"content-type": kind} if kind else {}
        r = await web.post("", content=b'{"name": "a"}', headers=headers)
        said = told(r, 415, "unsupported_media_type")
        assert "content-type: application/json" in said["detail"]

    async def test_a_body_of_another_kind_is_not_looked_at_before_the_permission(self, web):
        headers = {"x-test-caller": "bob", "content-type": "text/plain"}
        assert (await web.post("", content=b"x", headers=headers)).status_code in (401, 403)

    @pytest.mark.parametrize("body", [b"", b"[]", b"null"])
    async def test_what_is_no_object_is_told_so(self, web, body):
        headers = {"content-type": "application/json"}
        said = told(await web.post("", content=body, headers=headers), 422, "invalid")
        assert "JSON object" in said["detail"]

    @pytest.mark.parametrize(
        "query", ["limit=1&limit=2", "x=%00", "%00=x", "limit=1&other=1&other=1"]
    )
    async def test_a_query_that_readers_disagree_on_is_refused(self, web, query):
        said = told(await web.get(f"?{query}"), 422, "bad_query")
        assert said["errors"][0]["pointer"].startswith("query:")

    async def test_a_mistyped_parameter_changes_nothing(self, web, wiring):
        refused = await web.post("?naem=b&x=1", json={"name": "a"})
        said = told(refused, 422, "bad_query")
        assert (said["errors"][0]["pointer"], said["errors"][0]["code"]) == (
            "query:naem",
            "unknown",
        )
        assert "known are: none" in said["detail"]
        assert wiring.uses[Things].made == []
        assert (await web.get("?naem=b")).status_code == 200

    @pytest.mark.parametrize("at", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
    async def test_a_moment_that_utc_does_not_know_is_refused(self, web, at):
        said = told(await web.post("", json={"name": "a", "at": at}), 422, "invalid")
        assert said["detail"] == "/at: is beyond the calendar"


class TestDescription:
    def test_what_may_be_sent_and_comes_back_is_described(self):
        paths = rest_app("things", [router]).openapi()["paths"]
        post, get = paths["/api/v1/things"]["post"], paths["/api/v1/things/{thing}"]["get"]
        assert {"201", "415"} <= set(post["responses"])
        assert set(post["responses"]["201"]["headers"]) == {"Location", "ETag"}
        [key] = [p for p in post["parameters"] if p["name"] == "Idempotency-Key"]
        assert (key["schema"]["maxLength"], key["schema"]["minLength"]) == (255, 1)
        assert "If-None-Match" in [p["name"] for p in get["parameters"]]
        assert set(get["responses"]["200"]["headers"]) == {"ETag"}
        assert "415" not in get["responses"]
        asked = paths["/api/v1/things/keyed"]["post"]
        assert "parameters" not in asked
        assert "409" not in asked["responses"]
        assert "403" in paths["/api/v1/things/mine"]["get"]["responses"]

    def test_every_operation_says_what_it_needs_and_how_it_can_fail(self):
        made = rest_app("things", [router]).openapi()
        post = made["paths"]["/api/v1/things"]["post"]
        assert post["x-permission"] == "thing:create"
        assert {"401", "403", "409", "422", "429", "503"} <= set(post["responses"])
        assert post["security"] == [{"bearer": []}, {"apiKey": []}]
        assert "Idempotency-Key" in [p["name"] for p in post["parameters"]]
        assert made["paths"]["/api/v1/things/open"]["get"]["security"] == []
        assert made["paths"]["/api/v1/things/keyed"]["post"]["security"] == [{"apiKey": []}]
        assert made["openapi"] == "3.1.0"


class TestAuthority:
    """A caller of whom only old news is known; what an answer says of a change of authority."""

    @pytest.fixture
    def asked_iam(self, wiring, ana):
        asked = []

        async def confirm():
            asked.append(ana.name)
            return replace(ana, permissions=frozenset({"thing:read"}))

        wiring.identity.callers["ana"] = replace(ana, confirm=confirm)
        return asked

    async def test_reading_goes_on_with_what_is_known(self, web, asked_iam):
        assert (await web.get("/x")).status_code == 200
        assert (await web.get("/mine")).status_code == 200
        assert asked_iam == []

    async def test_a_change_is_decided_by_what_iam_says(self, web, asked_iam, wiring):
        told(await web.post("", json={"name": "a"}), 403, "forbidden")
        assert asked_iam == ["ana"]
        assert wiring.uses[Things].made == []

    async def test_without_iam_nothing_is_changed(self, web, wiring, ana):
        async def nobody():
            raise NoAuthority("iam cannot be asked; nothing was changed", retry_after=2)

        wiring.identity.callers["ana"] = replace(ana, confirm=nobody)
        refused = await web.post("", json={"name": "a"})
        told(refused, 503, "authority_unavailable")
        assert refused.headers["retry-after"] == "2"
        assert wiring.uses[Things].made == []

    async def test_an_answer_says_how_fresh_the_next_decision_must_be(self, web):
        assert (await web.post("/grants")).headers["x-authz-epoch"] == "42"
        assert "x-authz-epoch" not in (await web.get("/mine")).headers

    async def test_a_thing_is_refused_at_the_door_to_who_could_do_it_to_none(
        self, web, wiring, ana
    ):
        callers = wiring.identity.callers
        callers["ana"] = replace(ana, permissions=frozenset({"flag:read"}))
        told(await web.delete("/made/x", headers={"x-test-caller": "ana"}), 403, "forbidden")
        callers["ana"] = replace(ana, permissions=frozenset({"flag:create"}))
        assert (await web.delete("/made/x")).status_code == 200
