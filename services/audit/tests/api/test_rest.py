"""The REST door in process: every status, what is refused, what an entry looks like."""

import os
from dataclasses import replace

import httpx
import pytest
from uuid_utils.compat import uuid7

from audit.api.rest import routers
from audit.api.views import EntryView, PageView
from audit.clients.seal import AesVault
from audit.usecases.reader import Reader
from audit.usecases.recorder import Recorder
from chassis.errors import Unauthenticated
from chassis.facts import Actor, Target
from chassis.http import Wiring, rest_app
from chassis.pages import Cursors

VAULT = AesVault("a secret of tests: at least 32 characters")

LIST = "/api/v1/audit-logs"


class Known:
    """Believes whoever says a name that it knows."""

    def __init__(self, **callers):
        self.callers = callers

    async def of(self, headers):
        try:
            return self.callers[headers.get("authorization", "")]
        except KeyError:
            raise Unauthenticated("who are you?") from None


@pytest.fixture
def callers(ana):
    return {
        "ana": ana,
        "nobody": replace(ana, permissions=frozenset()),
        "eve": replace(ana, tenant=uuid7()),
        "root": replace(ana, tenant=uuid7(), platform=True),
    }


@pytest.fixture
async def client(work, callers):
    wiring = Wiring(
        identity=Known(**callers), cursors=Cursors(b"test"), uses={Reader: Reader(work)}
    )
    app = httpx.ASGITransport(rest_app("audit", routers, wiring))
    async with httpx.AsyncClient(
        transport=app, base_url="http://audit", headers={"authorization": "ana"}
    ) as opened:
        yield opened


@pytest.fixture
def put(work, clock, flags_service, draft):
    recorder = Recorder(work, clock, os.urandom, VAULT)

    async def put(**changed):
        sent = draft(**changed)
        clock.tick()
        await recorder.append(flags_service, [sent])
        return sent

    return put


def as_who(name):
    return {"headers": {"authorization": name}}


async def test_a_toggle_is_listed_with_who_what_and_why(client, put, tenant):
    sent = await put(
        action="flag.toggle_enabled",
        before={"status": "disabled", "version": 1},
        after={"status": "enabled", "version": 2},
        reason="launch",
    )
    said = (await client.get(LIST)).json()
    assert (said["total"], said["page"], said["limit"], said["total_relation"]) == (1, 1, 50, "eq")
    assert "next_cursor" not in said
    (item,) = said["items"]
    assert item["timestamp"] == item["ts"] == "2026-01-31T12:00:01.000000Z"
    expected = {
        "id": sent.event_id,
        "seq": 1,
        "tenant": str(tenant),
        "action": "flag.toggle_enabled",
        "action_type": "toggle_enabled",
        "user_id": "u-1",
        "user_email": "ana@example.com",
        "entity_type": "flag",
        "entity_id": "f-1",
        "entity_name": "Dark mode",
        "old_value": "disabled",
        "new_value": "enabled",
        "reason": "launch",
        "outcome": "success",
        "actor": {
            "type": "user",
            "id": "u-1",
            "name": "ana@example.com",
            "on_behalf_of": "",
            "token_id": "s-1",
        },
        "erased": [],
        "targets": [{"type": "flag", "id": "f-1", "name": "Dark mode"}],
        "before": {"status": "disabled", "version": 1},
        "after": {"status": "enabled", "version": 2},
        "diff": [
            {"op": "replace", "path": "/status", "value": "enabled"},
            {"op": "replace", "path": "/version", "value": 2},
        ],
    }
    assert {name: item[name] for name in expected} == expected


async def test_what_is_shown_is_what_openapi_says(client, put):
    sent = await put(before={"n": 10**30}, after=["é"])
    page, one = (await client.get(LIST)).text, (await client.get(f"{LIST}/{sent.event_id}")).text
    assert len(PageView.model_validate_json(page).items) == 1
    assert EntryView.model_validate_json(one).before == {"n": 10**30}
    assert EntryView.model_fields.keys() == EntryView.model_validate_json(one).model_fields_set


async def test_other_actions_show_whole_documents_and_no_diff_where_one_is_missing(client, put):
    await put(action="flag.created", after={"status": "disabled"})
    item = (await client.get(LIST)).json()["items"][0]
    assert (item["old_value"], item["new_value"]) == (None, {"status": "disabled"})
    assert item["diff"] is None


@pytest.mark.parametrize("document", [None, [], "on", {"enabled": True}])
async def test_a_toggle_without_a_status_shows_the_whole_document(client, put, document):
    await put(action="flag.toggle_disabled", before=document)
    assert (await client.get(LIST)).json()["items"][0]["old_value"] == document


async def test_a_name_that_is_no_address_is_no_email(client, put):
    await put(actor=Actor("api_key", "k-1", "deploy key"))
    assert (await client.get(LIST)).json()["items"][0]["user_email"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("entity_id=f-2", ["f-2"]),
        ("entity_type=vm", ["f-3"]),
        ("action_type=toggle_enabled", ["f-2"]),
        ("action_type=flag.toggle_enabled", ["f-2"]),
        ("action_type=vm.toggle_enabled", []),
        ("user_id=u-1&q=LAUNCH", ["f-2"]),
        ("user_id=u-9", []),
        ("from_date=2026-01-31T12:00:02Z", ["f-3", "f-2"]),
        ("to_date=2026-01-31T14:00:02%2B02:00", ["f-2", "f-1"]),
        ("from_date=2026-01-31T12:00:02Z&to_date=2026-01-31T12:00:02Z", ["f-2"]),
    ],
)
async def test_filters_narrow_the_list(client, put, query, found):
    await put()
    await put(action="flag.toggle_enabled", target=Target("flag", "f-2"), reason="Launch day")
    await put(action="vm.created", target=Target("vm", "f-3"))
    said = (await client.get(f"{LIST}?{query}")).json()
    assert [item["entity_id"] for item in said["items"]] == found
    assert said["total"] == len(found)


async def test_pages_and_cursors_lead_to_the_same_entries(client, put):
    for _ in range(5):
        await put()
    one = (await client.get(f"{LIST}?limit=2")).json()
    two = (await client.get(f"{LIST}?limit=2&page=2")).json()
    three = (await client.get(f"{LIST}?limit=2&page=3")).json()
    assert [[i["seq"] for i in p["items"]] for p in (one, two, three)] == [[5, 4], [3, 2], [1]]
    follow = (await client.get(LIST, params={"limit": 2, "cursor": one["next_cursor"]})).json()
    assert follow["items"] == two["items"]
    assert follow["has_more"] is True
    last = (await client.get(LIST, params={"limit": 2, "cursor": follow["next_cursor"]})).json()
    assert (last["has_more"], last["items"], "next_cursor" in last) == (
        False,
        three["items"],
        False,
    )


async def test_new_entries_do_not_shift_what_a_cursor_leads_to(client, put):
    for _ in range(4):
        await put()
    cursor = (await client.get(f"{LIST}?limit=2")).json()["next_cursor"]
    await put()
    follow = (await client.get(LIST, params={"limit": 2, "cursor": cursor})).json()
    assert [item["seq"] for item in follow["items"]] == [2, 1]


async def test_a_cursor_serves_only_the_list_it_came_from(client, put, callers):
    await put()
    await put()
    cursor = (await client.get(f"{LIST}?limit=1")).json()["next_cursor"]
    for query, who in (("&entity_id=f-1", "ana"), ("", "eve")):
        answer = await client.get(f"{LIST}?limit=1&cursor={cursor}{query}", **as_who(who))
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


async def test_a_cursor_that_was_tampered_with_is_refused(client, put):
    await put()
    await put()
    cursor = (await client.get(f"{LIST}?limit=1")).json()["next_cursor"]
    for at in range(0, len(cursor) - 1, 5):  # some bits of the last letter mean nothing
        bad = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        answer = await client.get(f"{LIST}?limit=1&cursor={bad}")
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor"), at


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "page=0",
        "page=-1",
        "from_date=2026-01-31T12:00:00",
        "from_date=2026-01-31",
        "from_date=1700000000",
        "from_date=yesterday",
        "to_date=9999-12-31T23:59:59-12:00",
        "from_date=2026-01-02T00:00:00Z&to_date=2026-01-01T00:00:00Z",
        "user=u-1",
        "userid=u-1",
        "sort=ts",
        "user_id=u-1&user_id=u-2",
        "user_id=%27%20OR%201=1",
        "user_id=",
        "entity_type=FLAG;",
        "entity_id=" + "x" * 256,
        "action_type=a.b.c",
        "q=" + "x" * 201,
        "q=%00",
        "tenant_id=none",
    ],
)
async def test_what_the_list_does_not_understand_is_refused(client, query):
    answer = await client.get(f"{LIST}?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"].startswith("query:")


async def test_page_and_cursor_together_are_refused(client):
    assert (await client.get(f"{LIST}?page=1&cursor=x")).status_code == 400


async def test_who_may_not_is_told_before_what_is_wrong(client):
    assert (await client.get(f"{LIST}?page=0", **as_who("stranger"))).status_code == 401
    refused = await client.get(f"{LIST}?page=0", **as_who("nobody"))
    assert refused.status_code == 403
    assert refused.json()["detail"] == "Insufficient permissions: audit:read required"
    assert (await client.get(f"{LIST}/{uuid7()}", **as_who("nobody"))).status_code == 403
    assert (await client.get(f"{LIST}/'--", **as_who("stranger"))).status_code == 401


async def test_one_entry_has_an_etag_that_holds_for_ever(client, put):
    sent = await put()
    answer = await client.get(f"{LIST}/{sent.event_id}")
    assert (answer.status_code, answer.json()["id"]) == (200, sent.event_id)
    again = await client.get(
        f"{LIST}/{sent.event_id}", headers={"if-none-match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]


async def test_another_tenants_entry_is_not_there(client, put):
    sent = await put()
    other = await client.get(f"{LIST}/{sent.event_id}", **as_who("eve"))
    none = await client.get(f"{LIST}/{uuid7()}", **as_who("eve"))
    assert other.status_code == none.status_code == 404
    vary = ("instance", "request_id")
    assert {k: v for k, v in other.json().items() if k not in vary} == {
        k: v for k, v in none.json().items() if k not in vary
    }


async def test_an_id_that_is_none_is_refused(client):
    assert (await client.get(f"{LIST}/1%27%20OR%20%271%27=%271")).status_code == 422


async def test_only_the_platform_may_name_another_tenant(client, put, tenant):
    sent = await put()
    theirs = {"params": {"tenant_id": str(tenant)}}
    assert (await client.get(LIST, **theirs, **as_who("root"))).json()["total"] == 1
    assert (await client.get(LIST, **as_who("root"))).json()["total"] == 0
    one = f"{LIST}/{sent.event_id}"
    assert (await client.get(one, **theirs, **as_who("root"))).status_code == 200
    assert (await client.get(one, **as_who("root"))).status_code == 404
    for path in (LIST, one):
        refused = await client.get(path, **theirs, **as_who("eve"))
        assert (refused.status_code, refused.json()["code"]) == (403, "audit.other_tenant")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_the_log_cannot_be_written_from_outside(client, put, method):
    sent = await put()
    for path in (LIST, f"{LIST}/{sent.event_id}"):
        assert (await client.request(method, path, json={})).status_code == 405
