"""The REST doors of metrics: every status, strict bodies, pages, ETags, and who may what."""

import pytest

BUY = {"key": "buy", "name": "Buys", "kind": "proportion", "event": "purchase"}
PATH = "/api/v1/metrics"


@pytest.fixture
async def made(client):
    answer = await client.post(PATH, json=BUY)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_the_smallest_metric_is_answered_whole(client):
    answer = await client.post(PATH, json=BUY)
    said = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{PATH}/{said['id']}"
    assert answer.headers["etag"] == '"1"'
    assert said["window"] == {"after": 0, "length": None}
    assert (said["owner_id"], said["more_is_better"], said["denominator"]) == ("ana", True, None)


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "mean", "event": "purchase", "cap": {"low": 0, "high": 500}},
        {"kind": "mean", "event": "purchase", "winsorize": {"high": 0.99}, "lookback": 1209600},
        {"kind": "count", "event": "open", "more_is_better": False},
        {"kind": "ratio", "event": "purchase", "denominator": {"event": "visit", "summed": True}},
        {"kind": "quantile", "event": "wait", "quantile": 0.95},
        {"kind": "retention", "event": "open", "window": {"after": 604800, "length": 604800}},
        {"kind": "funnel", "steps": ["open", "cart", "purchase"]},
    ],
    ids=lambda body: body["kind"],
)
async def test_every_kind_can_be_made_and_read_again(client, body):
    made = (await client.post(PATH, json={"key": "m", "name": "M", **body})).json()
    read = (await client.get(f"{PATH}/m")).json()
    assert read == made
    for name, value in body.items():
        if not isinstance(value, dict):
            assert read[name] == value


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "median"}, "invalid"),
        ({"event": None}, "experiments.bad_metric"),
        ({"event": ""}, "invalid"),
        ({"surprise": 1}, "invalid"),
        ({"kind": "ratio"}, "experiments.bad_metric"),
        ({"window": {"length": 0}}, "invalid"),
        ({"cap": {"low": 2, "high": 1}}, "experiments.bad_metric"),
        ({"quantile": 1}, "invalid"),
        ({"lookback": -1}, "invalid"),
        ({"key": "a b"}, "invalid"),
        ({"key": "0198c0de-0000-7000-8000-000000000000"}, "experiments.bad_key"),
    ],
)
async def test_what_cannot_be_measured_is_refused_with_a_reason(client, change, code):
    answer = await client.post(PATH, json={**BUY, **change})
    assert answer.status_code == 422
    assert answer.json()["code"] == code
    assert (await client.get(PATH)).json()["total"] == 0


async def test_a_key_is_given_once(client, made):
    answer = await client.post(PATH, json=BUY)
    assert (answer.status_code, answer.json()["code"]) == (409, "experiments.metric_key_taken")


async def test_a_patch_changes_what_it_says_and_nothing_else(client, made):
    answer = await client.patch(
        f"{PATH}/buy",
        json={"name": "Покупки", "window": {"length": 3600}},
        headers={"if-match": '"1"'},
    )
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    said = answer.json()
    assert (said["name"], said["window"]["length"], said["event"]) == ("Покупки", 3600, "purchase")


async def test_a_patch_that_contradicts_the_rest_changes_nothing(client, made):
    answer = await client.patch(f"{PATH}/buy", json={"kind": "funnel"})
    assert (answer.status_code, answer.json()["code"]) == (422, "experiments.bad_metric")
    assert (await client.get(f"{PATH}/buy")).json() == made


async def test_an_old_version_cannot_be_changed_or_deleted(client, made):
    old = {"if-match": '"7"'}
    assert (await client.patch(f"{PATH}/buy", json={"name": "x"}, headers=old)).status_code == 412
    assert (await client.delete(f"{PATH}/buy", headers=old)).status_code == 412


async def test_an_unchanged_metric_is_not_sent_again(client, made):
    answer = await client.get(f"{PATH}/buy", headers={"if-none-match": '"1"'})
    assert answer.status_code == 304


async def test_a_metric_that_a_running_experiment_measures_stays(client, made, work):
    work.metrics.running["buy"] = ["checkout"]
    answer = await client.delete(f"{PATH}/buy")
    assert (answer.status_code, answer.json()["code"]) == (409, "experiments.metric_in_use")
    assert "checkout" in answer.json()["detail"]
    assert (await client.get(f"{PATH}/buy")).status_code == 200


async def test_a_deleted_metric_is_gone_and_its_key_free(client, made, work):
    assert (await client.delete(f"{PATH}/{made['id']}")).status_code == 204
    assert (await client.get(f"{PATH}/buy")).status_code == 404
    assert (await client.delete(f"{PATH}/buy")).status_code == 404
    assert (await client.post(PATH, json=BUY)).status_code == 201
    assert work.actions == ["metric.created", "metric.deleted", "metric.created"]


async def test_pages_filters_and_sorting(client):
    for key, kind in (("a", "mean"), ("b", "count"), ("c", "mean")):
        await client.post(PATH, json={**BUY, "key": key, "name": key.upper(), "kind": kind})
    means = (await client.get(PATH, params={"kind": "mean", "sort": "key"})).json()
    assert [it["key"] for it in means["items"]] == ["a", "c"]
    first = (await client.get(PATH, params={"limit": 2, "sort": "-key"})).json()
    rest = await client.get(
        PATH, params={"limit": 2, "sort": "-key", "cursor": first["next_cursor"]}
    )
    assert [it["key"] for it in first["items"] + rest.json()["items"]] == ["c", "b", "a"]
    assert (await client.get(PATH, params={"search": "B"})).json()["total"] == 1
    assert (await client.get(PATH, params={"kind": "median"})).status_code == 422


async def test_who_may_what(client, made):
    async def status(who, method, path, **more):
        headers = {"authorization": f"Bearer {who}"}
        return (await client.request(method, path, headers=headers, **more)).status_code

    assert await status("nobody", "GET", PATH) == 401
    assert await status("nora", "GET", f"{PATH}/none") == 403
    assert await status("vera", "GET", f"{PATH}/buy") == 200
    assert await status("vera", "POST", PATH, json=BUY) == 403
    assert await status("vera", "DELETE", f"{PATH}/buy") == 403
    for method in ("GET", "PATCH", "DELETE"):
        more = {"json": {"name": "x"}} if method == "PATCH" else {}
        assert await status("otto", method, f"{PATH}/{made['id']}", **more) == 404
    assert await status("ana", "GET", f"{PATH}/';--") == 422
