"""The WebSocket door over a real connection: uvicorn as a service runs it, and a client that we did not write."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager, nullcontext, suppress

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chassis.serve import SOCKETS
from iam.api.talk import Talk
from iam.domain.acl import EntryDraft
from iam.domain.gitops import C, Draft, Ref

G = "/api/v1/global"


@pytest.fixture
async def served(app, iam):
    """The address of the app, served over HTTP, with the board running."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, **SOCKETS)
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    board = asyncio.create_task(iam.board.run())
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    board.cancel()
    await asyncio.gather(board, return_exceptions=True)
    server.should_exit = True
    await serving


@pytest.fixture
def tenant(iam):
    return iam.tenant()


@pytest.fixture
def boss(iam, tenant):
    return iam.user(tenant, "boss@acme.test", username="boss", roles=["admin"])


@pytest.fixture
def ann(iam, tenant):
    return iam.user(tenant, username="ann")


class Client:
    """Somebody at the other end."""

    def __init__(self, socket):
        self.socket = socket

    async def next(self, *types, within=20):
        """Return the next message, of these types if some are named."""
        async with asyncio.timeout(within):
            while True:
                said = json.loads(await self.socket.recv())
                if not types or said["type"] in types:
                    return said

    async def say(self, **message):
        await self.socket.send(json.dumps(message))

    async def closed(self, within=20):
        """Return the code with which we were hung up on."""
        async with asyncio.timeout(within):
            with suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
        return self.socket.close_code


@pytest.fixture
def listening(served, asking):
    @asynccontextmanager
    async def listen(user, path="/api/v1/ws", subprotocols=None, **headers):
        sent = {**asking(user), **{name.replace("_", "-"): v for name, v in headers.items()}}
        url = f"ws://{served}{path}"
        async with connect(
            url, additional_headers=sent, proxy=None, subprotocols=subprotocols
        ) as made:
            client = Client(made)
            client.ready = await client.next("ready")
            yield client

    return listen


@pytest.fixture
def made(iam, make, boss):
    async def make_group(key, **fields):
        return await iam.gitops.create(make.caller(boss), C.GROUPS, Draft(key=key, **fields))

    return make_group


async def refused(listening, user, **more):
    """Return the problem document with which nobody was let in."""
    with pytest.raises(InvalidStatus) as shut:
        async with listening(user, **more):
            pass
    answer = shut.value.response
    assert answer.headers["content-type"] == "application/problem+json"
    said = json.loads(answer.body)
    assert said["status"] == answer.status_code
    return answer.status_code, said["code"]


@pytest.mark.parametrize("path", ["/api/v1/ws", "/ws", "/ws/"])
async def test_a_listener_is_told_what_happens_with_what_lists_show(listening, boss, made, path):
    async with listening(boss, path) as client:
        await made("g_ops", labels={"env": "prod"}, annotations={"secret": "plan"})
        said = await client.next("created")
    assert {**said, "at": "", "position": "", "tenant": ""} == {
        "type": "created",
        "kind": "groups",
        "id": "g_ops",
        "at": "",
        "position": "",
        "labels": {"env": "prod"},
        "name": "",
        "description": "",
        "project": None,
        "avatar": None,
        "tenant": "",
    }
    assert (said["at"], said["tenant"]) == ("2026-01-02T03:04:05.678901+00:00", str(boss.tenant))


async def test_who_may_not_be_notified_is_told_nothing(listening, boss, ann, made):
    async with listening(ann) as client, listening(boss) as other:
        await made("g_ops")
        assert (await other.next("created"))["id"] == "g_ops"
        said = await client.next()
    assert said["type"] == "heartbeat"


async def test_a_subscription_narrows_what_is_told(listening, boss, made, iam, make):
    async with listening(boss) as client:
        await client.say(subscribe={"kinds": ["groups"], "ids": ["g_two"]})
        told = await client.next("subscribed")
        assert (told["kinds"], told["ids"]) == (["groups"], ["g_two"])
        await iam.gitops.create(make.caller(boss), C.PROJECTS, Draft(key="web"))
        await made("g_one")
        await made("g_two")
        assert (await client.next("created"))["id"] == "g_two"


async def test_a_listener_goes_on_where_it_stopped(listening, boss, made):
    async with listening(boss) as client:
        await made("g_one")
        position = (await client.next("created"))["position"]
    await made("g_two")
    async with listening(boss, f"/api/v1/ws?since={position}") as client:
        assert (await client.next("created", "reset"))["id"] == "g_two"
    async with listening(boss) as client:  # or says so later
        await client.say(subscribe={"since": position})
        assert (await client.next("created", "reset"))["id"] == "g_two"
        await made("g_three")
        assert (await client.next("created"))["id"] == "g_three"


@pytest.mark.parametrize("position", ["nonsense", "AAAA", "a" * 64])
async def test_a_position_that_cannot_be_read_means_to_begin_again(listening, boss, made, position):
    async with listening(boss, f"/api/v1/ws?since={position}") as client:
        reset = await client.next("reset", "created")
        assert reset["type"] == "reset"
        await client.say(subscribe={"since": position})
        assert (await client.next("reset", "created"))["type"] == "reset"
        await made("g_one")
        assert (await client.next("created"))["id"] == "g_one"


async def test_a_position_of_another_tenant_cannot_be_read(listening, boss, made, iam):
    stranger = iam.user(iam.tenant("other"), "boss@other.test", roles=["admin"])
    async with listening(boss) as client:
        await made("g_one")
        position = (await client.next("created"))["position"]
    async with listening(stranger, f"/api/v1/ws?since={position}") as client:
        assert (await client.next("reset", "created"))["type"] == "reset"


async def test_positions_do_not_tell_how_much_happens(listening, boss, made):
    async with listening(boss) as client:
        first, second = [(await client.next("heartbeat"))["position"] for _ in range(2)]
    assert first != second
    assert len(first) == len(second)


async def test_hearts_beat_while_nothing_happens(listening, boss):
    async with listening(boss) as client:
        assert client.ready["heartbeat_seconds"] == 0.3
        assert (await client.next())["type"] == "heartbeat"
        await client.say(ping="are you there?")
        assert (await client.next("pong"))["ping"] == "are you there?"


async def test_a_socket_closes_when_its_credential_ends(listening, boss, identity):
    async with listening(boss) as client:
        del identity.callers[str(boss.id)]
        assert await client.closed() == 4401


async def test_rights_that_end_while_listening_end_at_once(listening, boss, ann, made, iam, make):
    await made("g_ops", acl=[EntryDraft(4, ("u_ann",))])
    async with listening(ann) as client:
        change, at = make.caller(boss), Ref(C.GROUPS, "g_ops")
        await iam.gitops.upsert(change, at, Draft(labels={"n": "1"}))
        assert (await client.next("updated"))["labels"] == {"n": "1"}
        await iam.gitops.upsert(change, at, Draft(acl=[]))
        await iam.gitops.upsert(change, at, Draft(labels={"n": "2"}))
        assert (await client.next())["type"] == "heartbeat"


async def test_a_process_that_stops_says_so(listening, boss, iam):
    async with listening(boss) as client:
        iam.board.closed = True
        await iam.board._tell()
        assert await client.closed() == 1001


async def test_a_client_that_does_not_read_is_cut_off(made, iam, served, asking, boss):
    """It has half a second to take a message, and one more to hear why it is hung up on."""
    host, port = served.split(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect((host, int(port)))
    raw.setblocking(False)
    labels = {f"label{n}": "x" * 1024 for n in range(60)}
    offered = {"additional_headers": asking(boss), "proxy": None, "ping_interval": None}
    async with connect(f"ws://{served}/ws", sock=raw, max_queue=1, **offered) as made_socket:
        for number in range(200):
            await made(f"g_{number}", labels=labels)
        async with asyncio.timeout(20):
            while iam.hall.sockets:
                await asyncio.sleep(0.05)
        assert await Client(made_socket).closed() in (4408, 1006)


@pytest.mark.parametrize(
    "message",
    [
        *("nonsense", "[]", "7", '{"subscribe": 7}', '{"subscribe": {"kinds": ["flags"]}}'),
        *('{"unknown": 1}', '{"subscribe": {"ids": [""]}}', '{"subscribe": {"since": 7}}'),
        '{"subscribe": {"kinds": null, "tenant": "other"}}',
        '{"ping": 1, "ping": 2}',
        "[" * 70 + "]" * 70,
    ],
)
async def test_what_makes_no_sense_is_told_and_changes_nothing(listening, boss, made, message):
    async with listening(boss) as client:
        await client.socket.send(message)
        said = await client.next("error")
        assert said["code"] in ("iam.bad_message", "bad_json")
        await made("g_ops")
        assert (await client.next("created"))["id"] == "g_ops"


async def test_too_many_messages_end_the_talk(listening, boss):
    async with listening(boss) as client:
        with suppress(ConnectionClosed):
            for _ in range(130):
                await client.say(ping=1)
        assert await client.closed() == 1008


@pytest.mark.parametrize(("sent", "code"), [(b"\x00\x01", 1003), ("x" * 70_000, 1009)])
async def test_what_is_no_small_text_ends_the_talk(listening, boss, sent, code):
    async with listening(boss) as client:
        await client.socket.send(sent)
        assert await client.closed() == code


async def test_nobody_gets_in_without_a_credential(listening, boss, iam, identity):
    assert await refused(listening, boss, x_test_user="nobody") == (401, "unauthenticated")


async def test_pages_of_foreign_origins_are_refused(listening, boss):
    for origin in ("https://evil.test", "null", "http://app.test", "https://app.test.evil.test"):
        assert await refused(listening, boss, origin=origin) == (403, "iam.origin_refused")
    for origin in ("https://app.test", "HTTPS://APP.TEST", "http://iam.test"):
        async with listening(boss, origin=origin):
            pass


async def test_an_account_has_so_many_sockets_and_no_more(listening, boss, ann, iam):
    iam.hall.per_account = 1
    async with listening(boss):
        assert await refused(listening, boss) == (429, "iam.too_many_sockets")
        async with listening(ann):
            assert iam.hall.sockets == 2
        iam.hall.per_process = 1
        assert await refused(listening, ann) == (503, "iam.sockets_full")
    async with asyncio.timeout(20):
        while iam.hall.sockets:
            await asyncio.sleep(0.01)


async def test_the_protocol_is_chosen_if_it_is_offered(listening, boss):
    async with listening(boss, subprotocols=["other", "switchyard.v1"]) as client:
        assert client.socket.subprotocol == "switchyard.v1"


@pytest.mark.parametrize("path", ["/ws", "/api/v1/ws"])
async def test_what_is_no_socket_is_told_to_be_one(web, boss, asking, served, path):
    answer = await web.get(path, headers=asking(boss))
    assert (answer.status_code, answer.json()["code"]) == (426, "iam.socket_needed")
    assert answer.headers["upgrade"] == "websocket"
    assert (await web.get(path)).status_code == 401
    assert (await web.post(path, headers=asking(boss))).status_code == 405
    async with httpx.AsyncClient(base_url=f"http://{served}") as plain:
        assert (await plain.get(path, headers=asking(boss))).status_code == 426


class Deaf:
    """The other end of a connection that takes nothing, until it is told why it is hung up on."""

    def __init__(self, headers):
        self.headers, self.code = headers, None

    async def send_text(self, text):
        if '"ready"' not in text:
            await asyncio.Event().wait()

    async def receive(self):
        await asyncio.Event().wait()

    async def close(self, code, reason):
        self.code = code


async def test_whoever_does_not_read_is_told_so_if_it_reads_again(
    iam, lobby, identity, asking, boss, make, made
):
    deaf = Deaf(asking(boss))
    board = asyncio.create_task(iam.board.run())
    with iam.board.listening():
        talk = Talk(deaf, lobby, identity, make.caller(boss))
        await talk.begin(None)
        talking = asyncio.create_task(talk.run())
        await made("g_ops")
        async with asyncio.timeout(10):
            await talking
    board.cancel()
    await asyncio.gather(board, return_exceptions=True)
    assert deaf.code == 4408
