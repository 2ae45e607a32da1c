"""The doors of reports, of an experiment's past, of layers and holdouts, in process."""

from uuid import uuid4

import pytest

from experiments.domain.experiment import Status
from experiments.domain.trial import Span, Trial

PATH = "/api/v1/experiments"
REPORTS = "/api/v1/reports"
HALF = {"key": "page", "start": 0, "end": 50_000}


def as_(name):
    return {"headers": {"authorization": f"Bearer {name}"}}


@pytest.fixture
async def started(client, work, clock):
    """An experiment that runs, of which nothing has been measured yet."""
    made = (await client.post(PATH, json={"key": "checkout", "name": "Checkout"})).json()
    answer = (await client.post(f"{PATH}/checkout/start")).json()
    it = work.experiments.kept[next(iter(work.experiments.kept))]
    work.trials.kept = [
        Trial(
            id=it.id,
            tenant=it.tenant,
            key=it.key,
            owner_id=it.owner_id,
            status=Status.ACTIVE,
            variants=("control", "treatment"),
            spans=(Span(1, clock(), None, (50_000, 50_000)),),
            uses=(),
            analysis=it.analysis,
            plan_hash=it.plan_hash,
        )
    ]
    assert answer["id"] == made["id"]
    return answer


async def saved(client, **more):
    body = {"experiment": "checkout", "title": "Größe", **more}
    answer = await client.post(REPORTS, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


class TestReports:
    async def test_a_result_is_saved_with_the_hash_of_the_plan(self, client, started):
        made = await saved(client, note="as of Monday")
        assert (made["experiment"], made["access"], made["approved"]) == (
            "checkout",
            "private",
            False,
        )
        assert made["result"]["experiment_key"] == "checkout"
        hash_ = started["plan_hash"]
        assert made["plan"] == {
            "settled": hash_,
            "saved": hash_,
            "now": hash_,
            "changed": False,
            "warning": None,
        }
        again = await client.get(f"{REPORTS}/{made['id']}")
        assert (again.json(), again.headers["etag"]) == (made, '"1"')

    async def test_a_change_of_the_plan_after_the_start_is_shown(self, client, started):
        early = await saved(client)
        await client.patch(f"{PATH}/checkout", json={"hypothesis": "What came out"})
        shown = (await client.get(f"{REPORTS}/{early['id']}")).json()["plan"]
        assert shown["warning"] == "the analysis plan was changed after this report was saved"
        late = (await saved(client))["plan"]
        assert late["warning"].endswith("changed after the start, before this report was saved")
        plans = (await client.get(f"{PATH}/checkout/plan")).json()
        assert plans["changed"]
        assert [p["number"] for p in plans["items"]] == [1, 2]
        assert plans["items"][0]["hash"] == plans["settled"] == started["plan_hash"]

    async def test_who_only_reads_sees_what_is_shared_and_approved(self, client, started):
        made = await saved(client, access="tenant")
        path, missing = f"{REPORTS}/{made['id']}", f"{REPORTS}/{uuid4()}"
        hidden = await client.get(path, **as_("vera"))
        assert hidden.status_code == 404
        unknown = await client.get(missing, **as_("vera"))
        assert hidden.json()["code"] == unknown.json()["code"] == "experiments.report_not_found"
        await client.patch(path, json={"approved": True, "reason": "checked"})
        assert (await client.get(path, **as_("vera"))).status_code == 200
        assert (await client.get(REPORTS, **as_("vera"))).json()["total"] == 1
        refused = await client.patch(path, json={"title": "Mine"}, **as_("vera"))
        assert refused.status_code == 403
        await client.patch(path, json={"access": "private"})
        assert (await client.get(path, **as_("vera"))).status_code == 404
        assert (await client.get(REPORTS, **as_("vera"))).json()["items"] == []
        assert (await client.get(path, **as_("otto"))).status_code == 404

    async def test_a_link_is_read_by_whoever_has_it_until_it_is_revoked(self, client, started):
        made = await saved(client, access="link")
        path, link = f"{REPORTS}/{made['id']}", made["link"]
        nobody = {"headers": {"authorization": ""}}
        shown = await client.get(link, **nobody)
        assert (shown.status_code, shown.json()["id"]) == (200, made["id"])
        assert shown.json()["link"] is None
        assert shown.headers["cache-control"] == "no-store"
        renewed = (await client.patch(path, json={"relink": True})).json()["link"]
        assert (await client.get(link, **nobody)).status_code == 404
        assert (await client.get(renewed, **nobody)).status_code == 200
        await client.patch(path, json={"access": "private"})
        assert (await client.get(renewed, **nobody)).status_code == 404
        assert (await client.get(f"{link[:-1]}x", **nobody)).status_code == 404

    async def test_the_audit_log_is_told_of_a_link_and_never_its_token(self, client, started, work):
        made = await saved(client, access="link")
        fact = work.facts[-1]
        assert (fact.action, fact.after["has_link"]) == ("report.created", True)
        assert made["link"].rpartition("/")[2] not in str(fact)

    async def test_a_result_saved_anew_has_to_be_approved_anew(self, client, started):
        made = await saved(client, access="tenant")
        path = f"{REPORTS}/{made['id']}"
        await client.patch(path, json={"approved": True})
        after = (await client.patch(path, json={"refresh": True})).json()
        assert (after["approved"], after["version"]) == (False, 3)

    async def test_a_stale_or_unknown_change_changes_nothing(self, client, started):
        made = await saved(client)
        path = f"{REPORTS}/{made['id']}"
        stale = await client.patch(path, json={"title": "x"}, headers={"if-match": '"7"'})
        assert stale.status_code == 412
        for body in ({"owner_id": "otto"}, {"title": ""}, {"access": "world"}):
            assert (await client.patch(path, json=body)).status_code == 422
        assert (await client.get(path)).json() == made
        assert (await client.delete(path)).status_code == 204
        assert (await client.get(path)).status_code == 404

    async def test_a_report_of_nothing_is_not_found_and_needs_a_permission(self, client):
        body = {"experiment": "gone", "title": "T"}
        assert (await client.post(REPORTS, json=body)).status_code == 404
        assert (await client.post(REPORTS, json=body, **as_("vera"))).status_code == 403
        assert (await client.get(f"{REPORTS}/1;DROP")).status_code == 422

    async def test_pages_go_on_and_may_be_of_one_experiment(self, client, started):
        for _ in range(3):
            await saved(client)
        first = (await client.get(f"{REPORTS}?limit=2&cursor=")).json()
        assert len(first["items"]) == 2
        assert (await client.get(f"{REPORTS}?experiment=checkout")).json()["total"] == 3
        assert (await client.get(f"{REPORTS}?experiment=gone")).json()["total"] == 0


class TestPast:
    async def test_phases_and_allocation_are_told(self, client, started):
        [phase] = (await client.get(f"{PATH}/checkout/phases")).json()["items"]
        assert (phase["number"], phase["control"], phase["ended_at"]) == (1, "control", None)
        told = (await client.get(f"{PATH}/checkout/allocation")).json()
        assert (told["state"], told["version"], told["flag_key"]) == ("pending", 2, "checkout")

    async def test_of_a_draft_there_is_nothing_yet(self, client):
        await client.post(PATH, json={"key": "d", "name": "D"})
        assert (await client.get(f"{PATH}/d/phases")).json() == {"items": []}
        assert (await client.get(f"{PATH}/d/plan")).json()["settled"] is None
        told = (await client.get(f"{PATH}/d/allocation")).json()
        assert (told["state"], told["version"]) == ("nothing_to_tell", None)
        for part in ("phases", "plan", "allocation"):
            assert (await client.get(f"{PATH}/d/{part}", **as_("otto"))).status_code == 404


class TestWholeBody:
    async def test_everything_that_was_said_comes_back(self, client):
        await client.post("/api/v1/layers", json={"key": "page", "name": "Page"})
        metric = {"key": "signup", "name": "S", "kind": "proportion", "event": "signup"}
        await client.post("/api/v1/metrics", json=metric)
        body = {
            "key": "whole",
            "name": "Whole",
            "environment": "development",
            "traffic": 50_000,
            "targeting": {"op": "eq", "attribute": "plan", "value": "pro"},
            "layer": HALF,
            "metrics": [{"key": "signup", "role": "guardrail", "margin": 0.02}],
            "analysis": {"method": "grouped", "looks": [0.5, 1.0], "units": 4000},
            "tags": ["a", "b"],
        }
        made = (await client.post(PATH, json=body)).json()
        assert made["metrics"][0]["margin"] == 0.02
        assert made["analysis"]["looks"] == [0.5, 1.0]
        for name in ("environment", "traffic", "targeting", "tags"):
            assert made[name] == body[name]
        assert made["layer"]["end"] == 50_000
        taken = (await client.get("/api/v1/layers/page")).json()["taken"]
        assert taken == [{"experiment": "whole", "start": 0, "end": 50_000}]
        other = {"key": "other", "name": "O", "layer": HALF}
        refused = await client.post(PATH, json=other)
        assert (refused.status_code, refused.json()["code"]) == (409, "experiments.range_taken")
        freed = await client.patch(f"{PATH}/whole", json={"layer": None, "metric_keys": ["signup"]})
        assert (freed.json()["layer"], freed.json()["metrics"][0]["role"]) == (None, "success")
        assert (await client.post(PATH, json=other)).status_code == 201

    @pytest.mark.parametrize(
        "words",
        [
            {"traffic": 100_001},
            {"traffic": 0.5},
            {"targeting": {}},
            {"layer": {"key": "page", "start": 5, "end": 5}},
            {"metrics": [{"key": "gone"}]},
            {"metrics": [{"key": "a", "margin": 0.1}]},
            {"metrics": [{"key": "a", "role": "hope"}]},
            {"metric_keys": ["a", "a"]},
            {"analysis": {"alpha": 0.9}},
            {"analysis": {"looks": [1.0, 0.5]}},
            {"analysis": {"looks": []}},
            {"tags": [""]},
            {"status": "ACTIVE"},
            {"plan_hash": "x"},
        ],
    )
    async def test_what_makes_no_sense_is_422_and_nothing_is_made(self, client, words):
        await client.post("/api/v1/layers", json={"key": "page", "name": "Page"})
        answer = await client.post(PATH, json={"key": "bad", "name": "Bad", **words})
        assert answer.status_code == 422, answer.text
        assert (await client.get(PATH)).json()["items"] == []

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/api/v1/layers", {"key": "k", "name": "N"}),
            ("/api/v1/holdouts", {"key": "k", "name": "N", "share": 5}),
        ],
    )
    async def test_layers_and_holdouts_live_and_die(self, client, path, body):
        made = await client.post(path, json=body)
        assert (made.status_code, made.headers["etag"]) == (201, '"1"')
        assert (await client.post(path, json=body)).status_code == 409
        assert (await client.post(path, json=body, **as_("vera"))).status_code == 403
        assert (await client.get(path, **as_("vera"))).json()["total"] == 1
        assert (await client.get(path, **as_("nora"))).status_code == 403
        it = f"{path}/k"
        assert (await client.get(it, **as_("otto"))).status_code == 404
        after = await client.patch(it, json={"name": "M", "reason": "r"})
        assert (after.json()["name"], after.json()["version"]) == ("M", 2)
        stale = await client.patch(it, json={"name": "O"}, headers={"if-match": '"1"'})
        assert stale.status_code == 412
        assert (await client.get(it)).json()["name"] == "M"
        assert (await client.delete(it)).status_code == 204
        assert (await client.get(it)).status_code == 404

    @pytest.mark.parametrize(
        ("path", "more"), [("/api/v1/layers", {}), ("/api/v1/holdouts", {"share": 5})]
    )
    async def test_lists_are_sought_through_and_sorted(self, client, path, more):
        for key in ("b", "a", "other"):
            await client.post(path, json={"key": key, "name": f"The {key}", **more})

        async def keys(**query):
            answer = await client.get(path, params=query)
            return [it["key"] for it in answer.json()["items"]], answer.json()["total"]

        assert await keys() == (["a", "b", "other"], 3)
        assert await keys(sort="-key") == (["other", "b", "a"], 3)
        assert await keys(search="OTH") == (["other"], 1)
        assert (await client.get(path, params={"sort": "colour"})).status_code == 422
