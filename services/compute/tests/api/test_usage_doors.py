"""The REST doors of the ledger, in process."""

from uuid import uuid4

import pytest

PATH = "/api/v1/usage"
WHEN = {"since": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}


def as_(name):
    return {"authorization": f"Bearer {name}"}


@pytest.fixture
async def agent(client):
    body = {"agent_type": "writer", "name": "Writer"}
    return (await client.post("/api/v1/agents", json=body)).json()["id"]


@pytest.fixture
def one(agent):
    def tell(called="e1", **said):
        return {"source": "app", "event_id": called, "agent_id": agent} | said

    return tell


async def test_events_are_recorded_once_and_what_is_not_known_is_null(client, one):
    body = {"records": [one(token_count=7, cost_micros=15_000), one("e2")]}
    answer = await client.post(PATH, json=body)
    told = answer.json()
    assert (answer.status_code, told["accepted"], told["duplicates"]) == (201, 2, 0)
    assert [r["token_count"] for r in told["records"]] == [7, None]
    assert [r["cost_cents"] for r in told["records"]] == [2, None]
    again = (await client.post(PATH, json=body)).json()
    assert (again["accepted"], again["duplicates"], again["records"]) == (0, 2, told["records"])
    listed = (await client.get(PATH, params=WHEN)).json()
    assert (listed["total"], {r["id"] for r in listed["items"]}) == (
        2,
        {r["id"] for r in told["records"]},
    )


@pytest.mark.parametrize(
    "change",
    [
        {"token_count": -1},
        {"token_count": 1.0},
        {"token_count": "1"},
        {"token_count": 10**12 + 1},
        {"cost_micros": 1.5},
        {"cost_micros": -1},
        {"cost_micros": 10**18},
        {"cost_micros": True},
        {"cost_cents": 1},
        {"calls": -1},
        {"agent_id": None},
        {"agent_id": "writer"},
        {"agent_id": str(uuid4())},
        {"kind": "vm_running"},
        {"source": "compute.meter"},
        {"source": ""},
        {"event_id": ""},
        {"event_id": "a b"},
        {"event_id": "x" * 201},
        {"occurred_at": "2099-01-01T00:00:00Z"},
        {"occurred_at": "1969-01-01T00:00:00Z"},
        {"occurred_at": "2026-01-01T00:00:00"},
        {"occurred_at": 1},
        {"corrects": str(uuid4())},
        {"tenant": str(uuid4())},
    ],
)
async def test_a_batch_with_one_bad_row_is_422_names_it_and_records_nothing(
    client, one, change, work
):
    answer = await client.post(PATH, json={"records": [one("good"), one("bad", **change)]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/records/1")
    assert work.ledger.kept == {}


@pytest.mark.parametrize("records", [[], None, {}, "all"])
async def test_no_batch_is_422(client, records):
    assert (await client.post(PATH, json={"records": records})).status_code == 422


async def test_the_same_event_twice_in_a_batch_is_422_and_told_otherwise_409(client, one):
    assert (await client.post(PATH, json={"records": [one(), one()]})).status_code == 422
    await client.post(PATH, json={"records": [one()]})
    other = await client.post(PATH, json={"records": [one(token_count=1)]})
    assert (other.status_code, other.json()["code"]) == (409, "compute.usage_conflict")


async def test_usage_of_a_foreign_agent_is_422_like_that_of_none(client, one):
    told = []
    for body in (one(), one(agent_id=str(uuid4()))):
        answer = await client.post(PATH, json={"records": [body]}, headers=as_("otto"))
        told.append((answer.status_code, answer.json()["detail"].replace(body["agent_id"], "?")))
    assert told[0] == told[1] == (422, "there is no agent ?")


async def test_a_correction_is_told_by_the_record_that_it_corrects(client, one):
    made = await client.post(PATH, json={"records": [one(token_count=9, cost_micros=20_000)]})
    first = made.json()["records"][0]
    fix = {"source": "app", "event_id": "fix", "corrects": first["id"], "cost_micros": -10_000}
    assert (await client.post(PATH, json={"records": [fix]})).status_code == 201
    less = {**fix, "event_id": "fix2", "cost_micros": -10_001}
    refused = await client.post(PATH, json={"records": [less]})
    assert (refused.status_code, refused.json()["code"]) == (422, "compute.bad_correction")
    totals = (await client.get(f"{PATH}/summary", params=WHEN)).json()["totals"]
    assert (totals["records"], totals["corrections"], totals["calls"]) == (1, 1, 1)
    assert (totals["cost_micros"], totals["cost_cents"], totals["token_count"]) == (10_000, 1, 9)


async def test_a_summary_goes_by_period_kind_and_agent_with_a_cursor(client, one):
    days = ["2026-05-01T10:00:00Z", "2026-05-01T23:59:59+01:00", "2026-05-02T00:30:00+01:00"]
    rows = [one(f"e{n}", occurred_at=at, token_count=n + 1) for n, at in enumerate(days)]
    rows.append(one("t", kind="agent_tokens", occurred_at="2026-05-03T00:00:00Z", token_count=90))
    assert (await client.post(PATH, json={"records": rows})).status_code == 201
    whole = (await client.get(f"{PATH}/summary", params=WHEN)).json()
    assert [(it["period"], it["kind"], it["token_count"]) for it in whole["items"]] == [
        ("2026-05-01T00:00:00Z", "agent_call", 6),
        ("2026-05-03T00:00:00Z", "agent_tokens", 90),
    ]
    assert (whole["totals"]["token_count"], whole["has_more"]) == (96, False)
    hours = {**WHEN, "period": "hour", "limit": 2}
    first = (await client.get(f"{PATH}/summary", params=hours)).json()
    asked = {**hours, "cursor": first["next_cursor"]}
    last = (await client.get(f"{PATH}/summary", params=asked)).json()
    assert first["totals"] == last["totals"] == whole["totals"]
    assert [it["token_count"] for it in first["items"] + last["items"]] == [1, 2, 3, 90][:4]
    assert "next_cursor" not in last
    second = (await client.get(f"{PATH}/summary", params={**hours, "page": 2})).json()
    assert second["items"] == last["items"]
    by_kind = {**WHEN, "group_by": "kind"}
    lines = (await client.get(f"{PATH}/summary", params=by_kind)).json()["items"]
    assert [(it["kind"], it["period"], it["records"]) for it in lines] == [
        ("agent_call", None, 3),
        ("agent_tokens", None, 1),
    ]
    one_kind = {**WHEN, "kind": "agent_tokens"}
    assert (await client.get(f"{PATH}/summary", params=one_kind)).json()["totals"]["records"] == 1


async def test_a_summary_of_nothing_is_zero_records_and_unknown_sums(client):
    answer = (await client.get(f"{PATH}/summary")).json()
    assert (answer["items"], answer["has_more"]) == ([], False)
    assert (answer["totals"]["records"], answer["totals"]["cost_cents"]) == (0, None)


@pytest.mark.parametrize(
    "query",
    [
        "period=year",
        "group_by=colour",
        "since=2026-01-01T00:00:00",
        "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
        "since=1000-01-01T00:00:00Z",
        "kind=coffee",
        "agent_id=1",
        "since=0001-01-01T00:00:00%2B14:00",
    ],
)
async def test_a_question_that_makes_no_sense_is_422(client, query):
    assert (await client.get(f"{PATH}/summary?{query}")).status_code == 422


async def test_the_stages_come_in_order(client, one):
    assert (await client.get(f"{PATH}/summary", headers=as_("stranger"))).status_code == 401
    assert (await client.get(f"{PATH}/summary", headers=as_("nora"))).status_code == 403
    refused = await client.post(PATH, json={}, headers=as_("vera"))
    assert (refused.status_code, "usage:create" in refused.json()["detail"]) == (403, True)
