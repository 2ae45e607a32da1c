"""Streams: every entry reaches its receiver, in order, signed, whatever fails in between."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
from dataclasses import replace

import httpx
import pytest
from uuid_utils.compat import uuid7

from audit.api.rest import routers
from audit.clients.seal import AesVault
from audit.clients.signer import new_key, signing
from audit.clients.webhook import Webhooks
from audit.domain.stream import FAILURES
from audit.jobs import streaming
from audit.store.work import sql_work
from audit.usecases.keeper import Keeper, Terms
from audit.usecases.notes import Notes
from audit.usecases.reader import Reader
from audit.usecases.recorder import Recorder
from audit.usecases.sender import Sender
from audit.usecases.signer import Signer
from audit.usecases.streamer import Streamer
from chassis.db import database
from chassis.errors import Unauthenticated
from chassis.http import Wiring, rest_app
from chassis.pages import Cursors
from egress.guard import Rules

pytestmark = pytest.mark.store
VAULT = AesVault("a secret of tests: at least 32 characters")
STREAMS = "/audit/streams"


class Known:
    def __init__(self, **callers):
        self.callers = callers

    async def of(self, headers):
        try:
            return self.callers[headers.get("authorization", "")]
        except KeyError:
            raise Unauthenticated("who are you?") from None


class Receiver(Webhooks):
    """Takes what is sent to it, unless it is told to fail."""

    def __init__(self):
        super().__init__(Rules())
        self.taken, self.headers, self.why = [], [], ""
        self.meanwhile = None

    async def post(self, url, headers, body):
        if self.meanwhile:
            await self.meanwhile()
        if self.why:
            return self.why
        self.headers.append((headers, body))
        self.taken += json.loads(body)
        return ""

    def seqs(self, tenant):
        return [int(e["sequence"]) for e in self.taken if e["source"].endswith(str(tenant))]


@pytest.fixture(scope="session")
def audit_url(service_url):
    return service_url("audit")


@pytest.fixture
async def open_work(audit_url):
    async with database(audit_url, "audit") as sessions:
        yield sql_work(sessions, VAULT)


@pytest.fixture
def recorder(open_work, clock):
    return Recorder(open_work, clock, os.urandom, VAULT)


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def notes(recorder, clock):
    return Notes(recorder, clock, uuid7)


@pytest.fixture
def streamer(open_work, notes, receiver):
    return Streamer(open_work, notes, receiver, os.urandom)


@pytest.fixture
def sender(open_work, notes, receiver):
    return Sender(open_work, notes, receiver, "https://example.com")


@pytest.fixture
def send(sender, tenant):
    """Send what this tenant's streams have to send: other tests have streams in the same database."""

    async def send():
        mine = [one for one in await sender.due() if one.tenant == tenant]
        sent = [(one.cursor, await sender.send(one)) for one in mine]
        return sum(after.cursor - before for before, after in sent if after)

    return send


@pytest.fixture
def fill(recorder, flags_service, draft):
    async def fill(count):
        await recorder.append(flags_service, [draft(reason="why") for _ in range(count)])

    return fill


@pytest.fixture
async def web(streamer, open_work, ana):
    callers = Known(
        ana=replace(ana, permissions=frozenset({"audit:read", "audit:admin"})),
        eve=replace(ana, tenant=uuid7(), permissions=frozenset({"audit:admin"})),
        reader=ana,
    )
    uses = {Streamer: streamer, Reader: Reader(open_work)}
    wiring = Wiring(identity=callers, cursors=Cursors(b"test"), uses=uses)
    app = httpx.ASGITransport(rest_app("audit", routers, wiring))
    async with httpx.AsyncClient(
        transport=app, base_url="http://audit/api/v1", headers={"authorization": "ana"}
    ) as opened:
        yield opened


@pytest.fixture
def begin(web):
    async def begin(**body):
        made = await web.post(STREAMS, json={"url": "https://siem.example/hook"} | body)
        assert made.status_code == 201, made.text
        return made.json()

    return begin


async def test_every_entry_is_sent_in_order_and_signed(begin, fill, send, receiver, tenant):
    await fill(230)
    made = await begin(from_seq=1)
    while await send():
        pass
    assert receiver.seqs(tenant) == list(range(1, 232))
    headers, body = receiver.headers[0]
    secret = base64.b64decode(made["secret"].removeprefix("whsec_"))
    said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signed = base64.b64encode(hmac.new(secret, said, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{signed}"
    assert headers["content-type"].startswith("application/cloudevents-batch+json")


async def test_an_entry_is_a_cloud_event_with_ocsf_data(begin, fill, send, receiver, tenant):
    await begin()
    await fill(1)
    await send()
    event = receiver.taken[-1]
    assert (event["specversion"], event["type"]) == ("1.0", "switchyard.audit.flag.created")
    assert (event["subject"], event["source"]) == ("flag/f-1", f"https://example.com/{tenant}")
    data = event["data"]
    assert (data["class_uid"], data["category_uid"], data["type_uid"]) == (6003, 6, 600301)
    assert data["actor"]["user"]["name"] == "ana@example.com"
    assert data["api"]["operation"] == "flag.created"
    assert data["metadata"]["sequence"] == int(event["sequence"])
    assert (data["status_id"], data["message"]) == (1, "why")


async def test_a_new_stream_begins_with_what_comes_next(begin, fill, send, receiver, tenant):
    await fill(3)
    await begin()
    await fill(1)
    await send()
    assert receiver.seqs(tenant) == [4, 5]  # 4 says that the stream was made


async def test_what_fails_comes_again_later_and_nothing_is_skipped(
    begin, fill, send, receiver, clock, tenant, web
):
    made = await begin()
    await fill(2)
    receiver.why = "the receiver answered 503"
    assert await send() == 0
    receiver.why = ""
    assert await send() == 0  # not before its time
    said = (await web.get(f"{STREAMS}/{made['id']}")).json()
    assert (said["failures"], said["why"], said["state"]) == (
        1,
        "the receiver answered 503",
        "active",
    )
    clock.tick(3)
    assert await send() == 3
    assert receiver.seqs(tenant) == [1, 2, 3]
    assert (await web.get(f"{STREAMS}/{made['id']}")).json()["failures"] == 0


async def test_what_fails_for_long_pauses_itself_and_says_so_in_the_log(
    begin, fill, send, receiver, clock, web, tenant
):
    made = await begin()
    receiver.why = "the connection failed"
    for _ in range(FAILURES):
        await send()
        clock.tick(301)
    said = (await web.get(f"{STREAMS}/{made['id']}")).json()
    assert said["state"] == "paused"
    assert said["why"] == f"paused after {FAILURES} failures: the connection failed"
    listed = (await web.get("/audit-logs?action_type=audit_stream.paused")).json()
    assert listed["items"][0]["entity_id"] == made["id"]
    receiver.why = ""
    assert await send() == 0
    resumed = await web.patch(f"{STREAMS}/{made['id']}", json={"state": "active"})
    assert (resumed.json()["state"], resumed.json()["failures"]) == ("active", 0)
    await send()
    assert receiver.seqs(tenant) == [1, 2, 3]


async def test_a_stream_that_is_set_back_while_it_sends_stays_set_back(
    begin, fill, send, receiver, web, tenant
):
    made = await begin(from_seq=1)
    await fill(3)

    async def replay():
        receiver.meanwhile = None
        await web.post(f"{STREAMS}/{made['id']}/replay", json={"from_seq": 2})

    receiver.meanwhile = replay
    assert await send() == 0
    while await send():
        pass
    assert receiver.seqs(tenant) == [1, 2, 3, 4, 2, 3, 4, 5]


async def test_a_stream_that_is_deleted_while_it_sends_is_gone(begin, fill, send, receiver, web):
    made = await begin()

    async def end():
        receiver.meanwhile = None
        assert (await web.delete(f"{STREAMS}/{made['id']}")).status_code == 204

    receiver.meanwhile = end
    assert await send() == 0
    assert (await web.get(f"{STREAMS}/{made['id']}")).status_code == 404
    assert await send() == 0


async def test_streams_are_listed_changed_and_ended_by_their_tenant_only(begin, web):
    first, second = await begin(), await begin()
    listed = (await web.get(f"{STREAMS}?limit=1")).json()
    assert ([one["id"] for one in listed["items"]], listed["total"]) == ([second["id"]], 2)
    rest = (await web.get(f"{STREAMS}?limit=1&cursor={listed['next_cursor']}")).json()
    assert [one["id"] for one in rest["items"]] == [first["id"]]
    assert all("secret" not in one for one in listed["items"])
    eve = {"headers": {"authorization": "eve"}}
    at = f"{STREAMS}/{first['id']}"
    for asked in (
        web.get(at, **eve),
        web.patch(at, json={"state": "paused"}, **eve),
        web.post(f"{at}/replay", json={"from_seq": 1}, **eve),
        web.delete(at, **eve),
    ):
        assert (await asked).status_code == 404
    assert (await web.get(STREAMS, headers={"authorization": "reader"})).status_code == 403


async def test_a_change_may_demand_the_version_that_was_read(begin, web):
    made = await begin()
    at = f"{STREAMS}/{made['id']}"
    paused = await web.patch(at, json={"state": "paused"}, headers={"if-match": '"1"'})
    assert (paused.status_code, paused.json()["why"]) == (200, "paused by hand")
    stale = await web.patch(at, json={"url": "https://other.example/"}, headers={"if-match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "audit.stream_stale")
    moved = await web.patch(at, json={"url": "https://other.example/"})
    assert moved.json()["url"] == "https://other.example/"
    tag = {"if-none-match": moved.headers["etag"]}
    assert (await web.get(at, headers=tag)).status_code == 304
    stale = await web.delete(at, headers={"if-match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "audit.stream_stale")
    ended = await web.delete(at, headers={"if-match": moved.headers["etag"]})
    assert ended.status_code == 204


async def test_a_change_that_changes_nothing_is_no_entry(begin, web):
    made = await begin()
    at = f"{STREAMS}/{made['id']}"
    for same in ({"state": "active"}, {"url": made["url"]}, {}):
        said = await web.patch(at, json=same)
        assert (said.status_code, said.json()["version"]) == (200, 1)
    for _ in range(2):
        said = await web.patch(at, json={"state": "paused"})
    assert said.json()["version"] == 2
    listed = (await web.get("/audit-logs?action_type=audit_stream.updated")).json()
    assert listed["total"] == 1


async def test_the_log_tells_where_entries_go_and_not_the_token_in_that_address(begin, web):
    made = await begin()
    secret = "https://siem.example/hooks/T0/planted-token?key=planted-key"
    await web.patch(f"{STREAMS}/{made['id']}", json={"url": secret})
    listed = await web.get("/audit-logs?action_type=audit_stream.updated")
    assert "planted" not in listed.text
    (entry,) = listed.json()["items"]
    assert entry["entity_name"].startswith("https://siem.example/… (sha256 ")
    assert entry["old_value"]["url"] != entry["new_value"]["url"]


async def test_a_log_has_only_so_many_streams(begin, web):
    for _ in range(10):
        await begin()
    more = await web.post(STREAMS, json={"url": "https://siem.example/hook"})
    assert (more.status_code, more.json()["code"]) == (409, "audit.too_many_streams")


@pytest.mark.parametrize(
    "url",
    [
        "http://siem.example/",
        "https://127.0.0.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://user@siem.example/",
        "not a url at all",
        "file:///etc/passwd",
    ],
)
async def test_entries_are_not_sent_inside(web, begin, url):
    refused = await web.post(STREAMS, json={"url": url})
    assert (refused.status_code, refused.json()["code"]) == (422, "audit.bad_address")
    made = await begin()
    changed = await web.patch(f"{STREAMS}/{made['id']}", json={"url": url})
    assert changed.status_code == 422


async def test_a_receiver_that_redirects_or_refuses_did_not_take_it(clock):
    sender = Webhooks(Rules.of("127.0.0.0/8", plain_http=True))
    import asyncio

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 307 x\r\nlocation: http://10.0.0.1/\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert await sender.post(url, {}, b"[]") == "the receiver answered 307"
    assert (
        await sender.post("https://10.0.0.1/", {}, b"") == "the host is not on the public internet"
    )


async def test_retention_waits_for_an_active_stream(
    begin, fill, send, clock, open_work, recorder, tenant, web, ana
):
    await fill(300)
    await begin(from_seq=1)
    await Signer(open_work, VAULT, clock, "example.com", new_key, signing).sign(tenant)
    clock.tick(86400 * 3)
    keeper = Keeper(open_work, recorder, clock, uuid7)
    admin = replace(ana, permissions=frozenset({"audit:admin"}))
    await keeper.retain(admin, Terms(days=1), None)
    await keeper.sweep()
    assert (await web.get("/audit-logs")).json()["total"] == 302
    await send()
    await keeper.sweep()
    assert (await web.get("/audit-logs")).json()["total"] == 303 - 100


async def test_page_two_goes_on_where_page_one_ended(begin, web):
    made = [(await begin())["id"] for _ in range(3)]
    pages = [(await web.get(f"{STREAMS}?limit=2&page={n}")).json() for n in (1, 2, 3)]
    assert [[one["id"] for one in page["items"]] for page in pages] == [
        [made[2], made[1]],
        [made[0]],
        [],
    ]
    assert [page["total"] for page in pages] == [3, 3, 3]


async def sent_until(sender, *events):
    """Run the job that sends, until all of these have come to pass."""

    async def alone(_):
        return True

    job = asyncio.create_task(streaming(sender, alone, every=0.01)())
    try:
        async with asyncio.timeout(30):
            for event in events:
                await event.wait()
    finally:
        job.cancel()
        await asyncio.wait([job])


async def test_what_breaks_at_one_stream_breaks_off_no_others(
    begin, fill, sender, receiver, tenant
):
    broken = await begin(from_seq=1)
    await begin(from_seq=1)
    await fill(1)
    sending, failed, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Ours(Sender):
        """Is of this tenant only: other tests have streams in the same database."""

        async def due(self):
            return [one for one in await super().due() if one.tenant == tenant]

        async def send(self, stream):
            if str(stream.id) == broken["id"]:
                await sending.wait()
                failed.set()
                raise RuntimeError("a bug")
            sending.set()
            await failed.wait()
            await asyncio.sleep(0)  # whoever is broken off with it is so by now
            after = await super().send(stream)
            done.set()
            return after

    ours = Ours(sender.work, sender.notes, receiver, sender.source)
    await sent_until(ours, done)
    assert receiver.seqs(tenant) == [1, 2, 3]


async def test_a_slow_receiver_keeps_no_other_waiting(
    begin, fill, sender, receiver, tenant, streamer
):
    slow, quick = await begin(from_seq=1), await begin(from_seq=1)
    await fill(250)
    held, done = asyncio.Event(), asyncio.Event()

    class Ours(Sender):
        """Is of this tenant only: other tests have streams in the same database."""

        async def due(self):
            return [one for one in await super().due() if one.tenant == tenant]

        async def send(self, stream):
            if str(stream.id) == slow["id"]:
                held.set()
                await asyncio.Event().wait()
            after = await super().send(stream)
            if str(stream.id) == quick["id"] and after and after.cursor == 252:
                done.set()
            return after

    ours = Ours(sender.work, sender.notes, receiver, sender.source)
    await sent_until(ours, held, done)
    assert receiver.seqs(tenant) == list(range(1, 253))
