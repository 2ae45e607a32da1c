"""The gRPC door in process: services append, people search."""

import os
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio
from uuid_utils.compat import uuid7

from audit.api.grpc import AuditServicer
from audit.clients.seal import AesVault
from audit.domain.entry import PLATFORM
from audit.main import INTERNAL
from audit.usecases.reader import Reader
from audit.usecases.recorder import Recorder
from chassis.delivery import to_audit
from chassis.errors import Unauthenticated
from chassis.outbox import Letter
from chassis.pages import Cursors
from chassis.rpc import Guard, neighbour
from switchyard.audit.v1 import audit_pb2 as pb
from switchyard.audit.v1 import audit_pb2_grpc

VAULT = AesVault("a secret of tests: at least 32 characters")

SECRET = "a secret of tests: at least 32 characters"
ANA = (("authorization", "ana"),)


class Known:
    def __init__(self, ana):
        self.callers = {"ana": ana, "eve": replace(ana, tenant=uuid7())}

    async def of(self, headers):
        try:
            return self.callers[headers.get("authorization", "")]
        except KeyError:
            raise Unauthenticated("who are you?") from None


@pytest.fixture
def servicer(work, clock, ana):
    return AuditServicer(
        Recorder(work, clock, os.urandom, VAULT),
        Reader(work),
        None,
        identity=Known(ana),
        cursors=Cursors(b"test"),
    )


@asynccontextmanager
async def served(servicer):
    server = aio.server(interceptors=[Guard(SECRET, INTERNAL)])
    audit_pb2_grpc.add_AuditServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@pytest.fixture
async def address(servicer):
    async with served(servicer) as where:
        yield where


@pytest.fixture
async def stub(address):
    async with neighbour(address, "flags", SECRET) as channel:
        yield audit_pb2_grpc.AuditStub(channel)


@pytest.fixture
def event(tenant):
    def made(**changed):
        said = {
            "event_id": str(uuid7()),
            "tenant_id": str(tenant),
            "occurred_at": Timestamp(seconds=1_769_860_800, nanos=123_456_000),
            "actor": pb.Actor(type="user", id="u-1", name="Ana", credential_id="s-1"),
            "action": "flag.toggle_enabled",
            "target": pb.Target(type="flag", id="f-1", name="Dark mode"),
            "context": pb.Context(
                ip="192.0.2.1", user_agent="curl", request_id="r-1", trace_id="t-1", service="flags"
            ),
            "before": '{"status": "disabled"}',
            "after": '{"n": 100000000000000000000000, "status": "enabled"}',
            "reason": "launch",
            "outcome": pb.OUTCOME_SUCCESS,
        }
        return pb.Event(**(said | changed))

    return made


async def append(stub, *events):
    return (await stub.Append(pb.AppendRequest(events=events))).receipts


async def test_what_is_appended_is_found_as_it_was_sent(stub, event):
    sent = event()
    (receipt,) = await append(stub, sent)
    assert (receipt.event_id, receipt.seq, receipt.seen_before) == (sent.event_id, 1, False)
    found = await stub.Search(pb.SearchRequest(), metadata=ANA)
    assert [item.event for item in found.items] == [sent]
    assert found.items[0].seq == 1
    assert found.next_cursor == ""


async def test_a_repeated_batch_has_no_effect(stub, event, work, tenant):
    events = [event() for _ in range(3)]
    first = await append(stub, *events)
    again = await append(stub, *events)
    assert [r.seq for r in again] == [r.seq for r in first] == [1, 2, 3]
    assert [r.seen_before for r in again] == [True] * 3
    assert len(work.log.entries[tenant]) == 3


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"event_id": "1"}, "event_id"),
        ({"tenant_id": "x"}, "tenant_id"),
        ({"action": "toggle"}, "action"),
        ({"before": "{"}, "before"),
        ({"after": '{"a": 1, "a": 2}'}, "after"),
        ({"after": "NaN"}, "after"),
        ({"after": "[" * 81 + "]" * 81}, "after"),
        ({"after": '"\\u0000"'}, "after"),
        ({"before": '"' + "x" * 1_500_000 + '"'}, "before"),
        ({"occurred_at": None}, "occurred_at"),
        ({"occurred_at": Timestamp(seconds=10**15)}, "occurred_at"),
        ({"outcome": pb.OUTCOME_UNSPECIFIED}, "outcome"),
        ({"outcome": 9}, "outcome"),
        ({"actor": pb.Actor(type="robot")}, "actor/type"),
        ({"reason": "a\x00"}, "reason"),
    ],
)
async def test_the_first_bad_event_is_named_and_nothing_is_stored(
    stub, event, work, changed, where
):
    with pytest.raises(aio.AioRpcError) as refused:
        await append(stub, event(), event(**changed), event(action="bad"))
    told = dict(refused.value.trailing_metadata())
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (told["bad-index"], told["fault-code"]) == ("1", "audit.bad_event")
    assert f"/events/1/{where}".encode() in told["fault-fields-bin"]
    assert work.log.entries == {}


async def test_what_concerns_no_tenant_goes_to_the_platform(stub, event, work):
    await append(stub, event(tenant_id=""))
    assert len(work.log.entries[PLATFORM]) == 1


async def test_a_fact_may_be_nested_deeper_than_the_body_that_it_tells_of(stub, event):
    assert len(await append(stub, event(after="[" * 80 + "]" * 80))) == 1


async def test_an_empty_batch_is_fine(stub):
    assert list(await append(stub)) == []


async def test_only_our_services_may_append(address, event):
    async with aio.insecure_channel(address) as stranger:
        with pytest.raises(aio.AioRpcError) as refused:
            await append(audit_pb2_grpc.AuditStub(stranger), event())
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_search_follows_cursors_and_filters(stub, event):
    await append(stub, *(event(action=f"flag.did_{n % 2}") for n in range(7)))
    found, cursor = [], ""
    while True:
        asked = pb.SearchRequest(action_type="did_0", limit=3, cursor=cursor)
        page = await stub.Search(asked, metadata=ANA)
        found += [item.seq for item in page.items]
        if not (cursor := page.next_cursor):
            break
    assert found == [7, 5, 3, 1]


async def test_a_search_takes_a_range_of_time(stub, event, clock):
    for _ in range(3):
        await append(stub, event())
        clock.tick()
    first = Timestamp()
    first.FromDatetime(clock.at)
    last = Timestamp(seconds=first.seconds - 2)
    first.seconds -= 3
    found = await stub.Search(pb.SearchRequest(from_date=first, to_date=last), metadata=ANA)
    assert [item.seq for item in found.items] == [2, 1]


@pytest.mark.parametrize(
    "asked",
    [
        pb.SearchRequest(limit=101),
        pb.SearchRequest(limit=-1),
        pb.SearchRequest(user_id="x" * 513),
        pb.SearchRequest(user_id="\x00"),
        pb.SearchRequest(cursor="nonsense"),
        pb.SearchRequest(from_date=Timestamp(seconds=10**15)),
        pb.SearchRequest(from_date=Timestamp(seconds=2), to_date=Timestamp(seconds=1)),
    ],
)
async def test_a_search_that_makes_no_sense_is_refused(stub, asked):
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.Search(asked, metadata=ANA)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_search_needs_a_person_and_shows_their_tenant_only(stub, event):
    await append(stub, event())
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.Search(pb.SearchRequest())
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    theirs = await stub.Search(pb.SearchRequest(), metadata=(("authorization", "eve"),))
    assert list(theirs.items) == []


async def test_the_facts_of_the_outbox_are_what_the_log_takes(stub, address, work, tenant):
    """What the relay of every service sends is accepted here: the two ends are tried against each other."""
    body = {
        "tenant": str(tenant),
        "actor": {"type": "user", "id": "u", "name": "", "credential": ""},
        "action": "flag.created",
        "target": {"type": "flag", "id": "1", "name": ""},
        "before": None,
        "after": {"a": 1},
        "reason": "",
        "outcome": "success",
        "context": {"request_id": "", "trace_id": "", "ip": "", "user_agent": ""},
    }
    letter = Letter(1, uuid7(), datetime.now(UTC), body)
    async with neighbour(address, "flags", SECRET) as channel:
        await to_audit(channel, "flags")([letter])
        await to_audit(channel, "flags")([letter])
    (entry,) = work.log.entries[tenant]
    assert (entry.event.origin.service, entry.event.after) == ("flags", {"a": 1})
