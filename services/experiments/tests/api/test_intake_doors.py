"""The doors of exposures and events: both forms of a batch, what is refused whole or by itself, and durability."""

import json
from datetime import timedelta

import pytest

from experiments.domain.analysis import Analysis
from experiments.domain.experiment import Status
from experiments.domain.trial import Span, Trial

EVENTS, EXPOSURES = "/api/v1/events", "/api/v1/exposures"


@pytest.fixture
def event(clock):
    def make(**said):
        at = (clock() - timedelta(minutes=1)).isoformat()
        return {"event_id": "e1", "unit": "u1", "name": "buy", "timestamp": at, **said}

    return make


@pytest.fixture
def seen(clock, draft, work):
    trial = Trial(
        id=draft.id, tenant=draft.tenant, key=draft.key, owner_id="ana", status=Status.ACTIVE,
        variants=("control", "treatment"), uses=(), analysis=Analysis(),
        spans=(Span(1, clock() - timedelta(days=1), None, (1, 1)),),
    )  # fmt: skip
    work.trials.kept.append(trial)

    def make(**said):
        at = (clock() - timedelta(minutes=1)).isoformat()
        given = {"experiment": "checkout", "variant": "control", "unit": "u1", "timestamp": at}
        return {**given, **said}

    return make


async def test_good_events_are_kept_and_bad_ones_come_back_with_index_and_reason(
    client, event, stream
):
    batch = [event(), event(unit=""), event(value=None), event(event_id="e2", value=3.5), 7]
    answer = await client.post(EVENTS, json={"events": batch})
    assert answer.status_code == 202
    said = answer.json()
    assert (said["accepted"], said["durable"]) == (2, False)
    assert [(it["index"], it["code"]) for it in said["rejected"]] == [
        (1, "bad_unit"),
        (2, "bad_value"),
        (4, "bad_item"),
    ]
    assert sum(parcel.n for parcel in stream.kept) == 2


async def test_lines_are_taken_and_one_with_nan_costs_no_other(client, event, stream):
    lines = [
        json.dumps(event()),
        json.dumps(event(value=float("nan"))),
        "{",
        "",
        json.dumps(event()),
    ]
    answer = await client.post(
        EVENTS, content="\n".join(lines), headers={"content-type": "application/x-ndjson"}
    )
    assert answer.status_code == 202
    assert [it["code"] for it in answer.json()["rejected"]] == ["bad_json", "bad_json"]
    assert sum(parcel.n for parcel in stream.kept) == 2


async def test_an_empty_batch_is_fine(client):
    answer = await client.post(EVENTS, json={"events": []})
    assert answer.json() == {"accepted": 0, "rejected": [], "durable": True}


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"", "application/json", "experiments.bad_batch"),
        (b"[]", "application/json", "experiments.bad_batch"),
        (b'{"events": {}}', "application/json", "experiments.bad_batch"),
        (b'{"events": [], "more": 1}', "application/json", "experiments.bad_batch"),
        (b'{"events": [{"value": NaN}]}', "application/json", "bad_json"),
        (b"a,b", "text/csv", "experiments.bad_batch"),
    ],
)
async def test_what_is_no_batch_is_refused_whole(client, stream, body, kind, code):
    answer = await client.post(EVENTS, content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert stream.kept == []


async def test_too_many_items_and_too_many_bytes_are_refused(client, event, stream):
    many = await client.post(EVENTS, json={"events": [1] * 10_001})
    lines = b"\n".join([json.dumps(event(source="x" * 150)).encode()] * 6_000)
    large = await client.post(EVENTS, content=lines, headers={"content-type": "application/jsonl"})
    for answer in (many, large):
        assert answer.status_code == 413
        assert answer.json()["code"] == "experiments.batch_too_large"
    assert stream.kept == []


async def test_durable_goes_to_the_database_and_not_to_the_stream(client, event, stream, work):
    answer = await client.post(EVENTS, json={"events": [event()]}, params={"durable": "true"})
    assert answer.json()["durable"] is True
    assert (len(work.intake.left), stream.kept) == (1, [])


async def test_without_redis_the_database_keeps_the_batch(client, event, stream, work):
    stream.away = True
    answer = await client.post(EVENTS, json={"events": [event()]})
    assert (answer.status_code, answer.json()["durable"]) == (202, True)
    assert len(work.intake.left) == 1


async def test_with_neither_nothing_is_acknowledged(client, event, stream, work, monkeypatch):
    from chassis.db import DatabaseAway

    async def away(parcels):
        raise DatabaseAway("the database does not answer")

    stream.away = True
    work.intake.leave = away
    answer = await client.post(EVENTS, json={"events": [event()]})
    assert (answer.status_code, answer.json()["code"]) == (503, "experiments.intake_away")
    assert answer.headers["retry-after"]


async def test_exposures_are_held_against_their_experiment(client, seen, stream):
    batch = [
        seen(),
        seen(experiment="other"),
        seen(variant="c"),
        seen(timestamp="2026-01-01T00:00:00Z"),
        seen(timestamp="2030-01-01T00:00:00Z"),
        seen(unit="u2", properties={"country": "DE"}),
    ]
    said = (await client.post(EXPOSURES, json={"exposures": batch})).json()
    assert said["accepted"] == 2
    assert [(it["index"], it["code"]) for it in said["rejected"]] == [
        (1, "unknown_experiment"),
        (2, "unknown_variant"),
        (3, "not_running"),
        (4, "in_the_future"),
    ]
    assert {parcel.kind for parcel in stream.kept} == {"exposure"}


async def test_an_experiment_of_another_tenant_is_unknown(client, seen, stream):
    headers = {"authorization": "Bearer otto"}
    answer = await client.post(EXPOSURES, json={"exposures": [seen()]}, headers=headers)
    assert answer.json()["rejected"][0]["code"] == "unknown_experiment"
    assert stream.kept == []


async def test_who_may_send(client, event):
    for who, status in (("nobody", 401), ("vera", 403), ("nora", 403), ("ana", 202)):
        headers = {"authorization": f"Bearer {who}"}
        for path, name in ((EVENTS, "events"), (EXPOSURES, "exposures")):
            answer = await client.post(path, json={name: []}, headers=headers)
            assert answer.status_code == status, (who, path)


async def test_units_are_said_to_be_others(client, work):
    batch = [
        {"unit": "anon-7", "same_as": "user-1"},
        {"unit": "user-1", "same_as": "user-1"},
        {"unit": "anon-8"},
    ]
    said = (await client.post("/api/v1/identities", json={"identities": batch})).json()
    assert (said["accepted"], said["durable"]) == (1, True)
    assert [(it["index"], it["code"]) for it in said["rejected"]] == [
        (1, "bad_same_as"),
        (2, "bad_same_as"),
    ]
    assert len(work.intake.joined) == 1
    many = await client.post("/api/v1/identities", json={"identities": batch * 34})
    assert many.status_code == 413
