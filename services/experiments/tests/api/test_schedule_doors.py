"""The REST doors of schedules, in process."""

import pytest

PATH = "/api/v1/experiments"
PLAN = {
    "start_date": "2026-07-01T09:00:00",
    "end_date": "2026-07-08T09:00:00",
    "time_zone": "Europe/Berlin",
}


async def put(client, **body):
    return await client.put(f"{PATH}/checkout/schedule", json=body)


async def test_a_schedule_is_shown_as_instants_and_wall_times(client, draft):
    answer = await put(client, **PLAN, reason="after the freeze")
    after = answer.json()
    assert (answer.status_code, answer.headers["etag"], after["status"]) == (200, '"2"', "DRAFT")
    assert after["start_date"] == "2026-07-01T07:00:00Z"
    assert after["end_date"] == "2026-07-08T07:00:00Z"
    assert after["start_local"] == "2026-07-01T09:00:00"
    assert after["time_zone"] == "Europe/Berlin"


async def test_utc_is_the_zone_unless_said(client, draft):
    after = (await put(client, start_date="2026-07-01T09:00")).json()
    assert (after["time_zone"], after["start_date"]) == ("UTC", "2026-07-01T09:00:00Z")
    assert (after["end_date"], after["end_local"]) == (None, None)


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({}, "experiments.bad_schedule", ""),
        (
            {"start_date": "2026-07-01T09:00", "end_date": "2026-07-01T09:30"},
            "experiments.bad_schedule",
            "/end_date",
        ),
        ({"end_date": "2026-05-01T09:00"}, "experiments.bad_schedule", "/end_date"),
        (
            {"start_date": "2027-03-28T02:30", "time_zone": "Europe/Berlin"},
            "experiments.skipped_time",
            "/start_date",
        ),
        (
            {"end_date": "2026-10-25T02:30", "time_zone": "Europe/Berlin"},
            "experiments.repeated_time",
            "/end_date",
        ),
        ({"start_date": "2026-02-30T02:30"}, "experiments.bad_date", "/start_date"),
        (
            {"start_date": "2026-07-01T09:00", "time_zone": "Mars/Olympus"},
            "experiments.unknown_time_zone",
            "/time_zone",
        ),
        ({"start_date": "tomorrow"}, "invalid", "/start_date"),
        ({"start_date": "2026-07-01"}, "invalid", "/start_date"),
        ({"start_date": "9999-12-31T23:59:59-12:00"}, "invalid", "/start_date"),
        ({"start_date": 1782896400}, "invalid", "/start_date"),
        ({"start_date": "2026-07-01T09:00", "fold": 1}, "invalid", "/fold"),
        ({"start_date": "2026-07-01T09:00", "when": "now"}, "invalid", "/when"),
    ],
)
async def test_a_schedule_that_cannot_be_is_422_and_says_where(client, draft, body, code, pointer):
    answer = await put(client, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert (await client.get(f"{PATH}/checkout")).json()["version"] == 1


@pytest.mark.parametrize(
    ("fold", "start"), [("first", "2026-10-25T00:30:00Z"), ("second", "2026-10-25T01:30:00Z")]
)
async def test_a_repeated_time_says_which_it_means(client, draft, fold, start):
    after = await put(client, start_date="2026-10-25T02:30", time_zone="Europe/Berlin", fold=fold)
    assert after.json()["start_date"] == start


async def test_what_runs_cannot_be_scheduled(client, draft):
    await client.post(f"{PATH}/checkout/start")
    answer = await put(client, **PLAN)
    assert (answer.status_code, answer.json()["code"]) == (409, "experiments.wrong_state")


async def test_a_stale_schedule_is_412(client, draft):
    url = f"{PATH}/checkout/schedule"
    assert (await client.put(url, json=PLAN, headers={"if-match": '"9"'})).status_code == 412


async def test_a_schedule_can_be_removed(client, draft):
    await put(client, **PLAN)
    assert (await client.delete(f"{PATH}/checkout/schedule")).status_code == 204
    after = (await client.get(f"{PATH}/checkout")).json()
    assert (after["start_date"], after["time_zone"], after["version"]) == (None, None, 3)


async def test_processing_tells_what_was_written_down(client, draft, clock):
    await put(client, start_date="2026-06-01T13:00", end_date="2026-06-01T15:00")
    clock.forward(hours=2)
    told = (await client.post(f"{PATH}/schedules/process")).json()
    assert told == {
        "processed": 1,
        "moves": [
            {
                "experiment_id": str(draft.id),
                "key": "checkout",
                "move": "start",
                "status": "ACTIVE",
                "at": "2026-06-01T13:00:00Z",
            }
        ],
    }
    assert (await client.post(f"{PATH}/schedules/process")).json()["processed"] == 0
