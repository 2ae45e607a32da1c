"""Usage, stale flags, schedules, rollouts and the kill switch in REST."""

import httpx
import pytest

from chassis.errors import Unavailable
from chassis.http import Wiring, rest_app
from flags.api.rest import routers
from flags.domain.answers import Answers, Reason
from flags.domain.guard import Evidence

URL = "/api/v1/feature-flags"
LATER = "2026-06-01T12:00:00+02:00"


@pytest.fixture
async def web(identity, flags, projects, usages, schedules, rollouts, emergency):
    served = (flags, projects, usages, schedules, rollouts, emergency)
    uses = {type(use): use for use in served}
    app = rest_app("flags", routers, Wiring(identity=identity, uses=uses))
    headers = {"authorization": "Bearer ana"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://flags.test", headers=headers
    ) as client:
        made = await client.post(URL, json={"key": "f", "name": "F", "default_variant": "off"})
        assert made.status_code == 201
        yield client


class TestUsage:
    async def test_usage_is_told_by_hour_with_totals(self, web, rulesets, counting, ana):
        held = await rulesets.open(ana)
        held.tally.answers[Answers({"on": True}, "f").of("on", Reason.SPLIT)] += 3
        await counting.flush()
        told = (await web.get(f"{URL}/f/usage")).json()
        assert (told["total"], told["variants"], told["by"]) == (3, {"on": 3}, "hour")
        [item] = told["items"]
        assert (item["reason"], item["at"]) == ("SPLIT", told["last_evaluated_at"])
        by_day = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "by": "day"}
        assert (await web.get(f"{URL}/f/usage", params=by_day)).json()["total"] == 3

    @pytest.mark.parametrize(
        "query",
        [
            {"by": "minute"},
            {"from": "yesterday"},
            {"from": "2026-01-01T00:00:00"},
            {"from": "2027-01-01T00:00:00Z"},
            {"from": "2020-01-01T00:00:00Z"},
        ],
    )
    async def test_what_cannot_be_told_is_refused(self, web, query):
        assert (await web.get(f"{URL}/f/usage", params=query)).status_code == 422

    async def test_stale_flags_are_listed_with_their_reasons(self, web):
        patched = await web.patch(f"{URL}/f", json={"lifecycle": "stale"})
        assert patched.json()["lifecycle"] == "stale"
        told = (await web.get(f"{URL}/stale")).json()
        assert [(i["key"], [r["why"] for r in i["reasons"]]) for i in told["items"]] == [
            ("f", ["marked"])
        ]
        assert told["total"] == 1
        assert (await web.get(f"{URL}/stale", params={"unchanged_days": 0})).status_code == 422


class TestSchedules:
    async def test_a_change_is_scheduled_shown_and_cancelled(self, web):
        body = {"at": LATER, "change": {"status": "enabled", "rules": []}, "reason": "launch"}
        made = await web.post(f"{URL}/f/schedules", json=body)
        assert made.status_code == 201, made.text
        path, told = made.headers["location"], made.json()
        assert (told["status"], told["change"], told["at"]) == (
            "pending",
            body["change"],
            "2026-06-01T10:00:00Z",
        )
        again = await web.get(path, headers={"if-none-match": made.headers["etag"]})
        assert again.status_code == 304
        assert (await web.get(f"{URL}/f/schedules")).json()["total"] == 1
        stale = await web.post(f"{path}/cancel", headers={"if-match": '"999"'})
        assert (stale.status_code, stale.json()["code"]) == (412, "flags.plan_stale")
        now = {"if-match": made.headers["etag"]}
        cancelled = await web.post(f"{path}/cancel", json={"reason": "not yet"}, headers=now)
        assert cancelled.json()["status"] == "cancelled"
        assert (await web.post(f"{path}/cancel")).status_code == 409

    @pytest.mark.parametrize(
        "body",
        [
            {"at": LATER},
            {"at": "2026-06-01T12:00:00", "change": {"name": "x"}},
            {"at": LATER, "change": {}},
            {"at": LATER, "change": {"owner_id": "me"}},
            {"at": LATER, "change": {"rules": [{"variant": "nope"}]}},
            {"at": "2020-01-01T00:00:00Z", "change": {"name": "x"}},
        ],
    )
    async def test_what_cannot_be_scheduled_is_refused(self, web, body):
        assert (await web.post(f"{URL}/f/schedules", json=body)).status_code == 422
        assert (await web.get(f"{URL}/f/schedules")).json()["items"] == []


RAMP = {"variant": "on", "stages": [{"weight": 1000, "hold_seconds": 60}, {"weight": 100_000}]}


class TestRollouts:
    async def test_a_rollout_is_started_held_let_go_and_given_up(self, web, clockwork):
        made = await web.post(f"{URL}/f/rollouts", json=RAMP)
        assert made.status_code == 201, made.text
        path = made.headers["location"]
        assert (made.json()["stage"], made.json()["otherwise"]) == (0, "off")
        assert (await web.post(f"{URL}/f/rollouts", json=RAMP)).status_code == 409
        await clockwork.process_due()
        told = (await web.get(path)).json()
        assert (told["status"], told["stage"], told["weight"]) == ("running", 1, 1000)
        [rule] = (await web.get(f"{URL}/f")).json()["rules"]
        assert rule["id"] == told["rule_id"]
        for verb in ("pause", "resume", "abort"):
            stale = await web.post(f"{path}/{verb}", headers={"if-match": '"999"'})
            assert (stale.status_code, stale.json()["code"]) == (412, "flags.plan_stale")
        now = {"if-match": (await web.get(path)).headers["etag"]}
        held = await web.post(f"{path}/pause", headers=now)
        assert (held.status_code, held.headers["etag"] != now["if-match"]) == (200, True)
        again = await web.post(f"{path}/resume", headers=now)
        assert again.status_code == 412
        for verb, status in (("pause", "paused"), ("resume", "running"), ("abort", "aborted")):
            assert (await web.post(f"{path}/{verb}")).json()["status"] == status
        assert (await web.get(f"{URL}/f")).json()["rules"] == []
        assert (await web.post(f"{path}/abort")).status_code == 409
        assert (await web.get(f"{URL}/f/rollouts")).json()["total"] == 1

    async def test_a_guard_is_asked_shown_and_stops_what_harms(self, web, guarding, lab):
        guard = {"experiment": "checkout", "metric": "errors"}
        made = await web.post(f"{URL}/f/rollouts", json={**RAMP, "guard": guard})
        assert made.status_code == 201, made.text
        told = made.json()["guard"]
        assert told.pop("look_at") is not None
        assert told == {**guard, "on_harm": "roll_back", "held": False, "verdict": None}
        path, lab.says = made.headers["location"], Unavailable("experiments is away")
        await guarding.process_due()
        held = (await web.get(path)).json()
        assert (held["status"], held["guard"]["held"]) == ("waiting", True)
        assert held["guard"]["verdict"]["said"] == "unknown"
        assert held["trouble"] == "experiments: experiments is away"
        lab.says = Evidence(watched=frozenset({"errors"}), harmed=(("errors", "b"),), units=9)
        assert (await web.post(f"{path}/pause")).json()["status"] == "paused"
        assert (await web.post(f"{path}/resume")).json()["status"] == "waiting"
        await guarding.process_due()
        told = (await web.get(path)).json()
        assert (told["status"], told["guard"]["verdict"]["units"]) == ("rolled_back", 9)
        assert "'errors' in 'b'" in told["trouble"]
        assert (await web.post(f"{path}/resume")).status_code == 409

    @pytest.mark.parametrize(
        "guard",
        [
            {},
            {"experiment": ""},
            {"experiment": "a b"},
            {"experiment": "x" * 101},
            {"experiment": "x", "metric": ""},
            {"experiment": "x", "on_harm": "hope"},
            {"experiment": "x", "more": 1},
            "checkout",
        ],
    )
    async def test_what_is_no_guard_is_refused(self, web, guard):
        refused = await web.post(f"{URL}/f/rollouts", json={**RAMP, "guard": guard})
        assert refused.status_code == 422, refused.text
        assert "/guard" in refused.json()["errors"][0]["pointer"]
        assert (await web.get(f"{URL}/f/rollouts")).json()["items"] == []

    async def test_killing_needs_a_reason(self, web):
        assert (await web.post(f"{URL}/f/kill", json={})).status_code == 422
        killed = await web.post(f"{URL}/f/kill", json={"reason": "it burns"})
        assert (killed.status_code, killed.json()["status"]) == (200, "disabled")


async def test_an_environment_that_wants_approvals_says_what_to_do(web):
    path = "/api/v1/environments/production"
    assert (await web.patch(path, json={"approvals": 11})).status_code == 422
    assert (await web.patch(path, json={"approvals": 1})).json()["approvals"] == 1
    refused = await web.post(f"{URL}/f/enable", json={"reason": "now"})
    assert (refused.status_code, refused.json()["code"]) == (409, "flags.approval_needed")
    assert "/api/v1/change-requests" in refused.json()["detail"]
    assert (await web.patch(path, json={"approvals": 0})).json()["approvals"] == 0
    assert (await web.post(f"{URL}/f/enable")).status_code == 200
