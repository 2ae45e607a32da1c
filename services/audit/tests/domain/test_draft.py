from dataclasses import replace
from uuid import UUID

import pytest

from audit.domain.draft import accepted
from audit.domain.entry import PLATFORM, Origin
from audit.domain.errors import BadEvent
from chassis.facts import Actor, Outcome, Target

BAD = {
    "event_id": [
        "",
        "no-uuid",
        "01890000-0000-7000-8000-00000000000G",
        "{01890000-0000-7000-8000-000000000001}",
    ],
    "tenant_id": ["x", "01890000-0000-7000-8000-00000000000A"],
    "action": [
        "",
        "flag",
        "flag.",
        ".created",
        "Flag.created",
        "flag.created.twice",
        "flag created",
        "flag.créé",
    ],
    "actor/type": [Actor("robot", "1"), Actor("", "1")],
    "actor/id": [Actor("user", "x" * 256), Actor("user", "\x00")],
    "actor/name": [Actor("user", "1", "x" * 501)],
    "actor/credential_id": [Actor("user", "1", "", "x" * 256)],
    "target/type": [Target("", "1"), Target("Flag", "1"), Target("a" * 64, "1")],
    "target/id": [Target("flag", "x" * 256)],
    "target/name": [Target("flag", "1", "x" * 1001), Target("flag", "1", "a\x00b")],
    "context/ip": [Origin(ip="1" * 65)],
    "context/user_agent": [Origin(user_agent="x" * 1025)],
    "context/request_id": [Origin(request_id="x" * 129)],
    "context/trace_id": [Origin(trace_id="x" * 65)],
    "context/service": [Origin(service="x" * 65)],
    "reason": ["x" * 10_001, "a\x00"],
    "outcome": ["", "perhaps"],
    "occurred_at": [None],
}
FIELD = {"actor": "actor", "target": "target", "context": "origin"}
CASES = [(where, value) for where, values in BAD.items() for value in values]


@pytest.mark.parametrize(("where", "value"), CASES, ids=[f"{w}-{str(v)[:20]!r}" for w, v in CASES])
def test_a_bad_event_is_named_by_its_index_and_field(draft, where, value):
    field = FIELD.get(where.partition("/")[0], where)
    with pytest.raises(BadEvent) as refused:
        accepted(3, replace(draft(), **{field: value}))
    assert refused.value.errors[0].pointer == f"/events/3/{where}"
    assert refused.value.index == 3


def test_a_good_event_is_taken_as_it_was_sent(draft, tenant):
    sent = draft(before={"a": 1}, outcome="denied", reason="x" * 10_000)
    event = accepted(0, sent)
    assert (event.id, event.tenant, event.outcome) == (UUID(sent.event_id), tenant, Outcome.DENIED)
    assert (event.actor, event.target, event.before, event.after, event.reason) == (
        sent.actor,
        sent.target,
        sent.before,
        sent.after,
        sent.reason,
    )


def test_what_concerns_no_tenant_goes_to_the_log_of_the_platform(draft):
    assert accepted(0, replace(draft(), tenant_id="")).tenant == PLATFORM
