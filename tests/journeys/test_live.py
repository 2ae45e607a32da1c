"""Listening at the real gateway with a WebSocket client that we did not write; avatars; the platform in numbers."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

pytestmark = pytest.mark.journey

G = "/api/v1/global"
# One red pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)


class Listener:
    """Somebody who listens."""

    def __init__(self, socket):
        self.socket = socket

    async def next(self, *types, within=10):
        async with asyncio.timeout(within):
            while True:
                said = json.loads(await self.socket.recv())
                if said["type"] in types:
                    return said

    async def quiet(self, id_, seconds=1.0):
        """Tell whether nothing about a thing is heard for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    if json.loads(await self.socket.recv()).get("id") == id_:
                        return False
        return True

    async def closed(self, within):
        """Return the code with which we were hung up on, as soon as it is here; the connection may linger."""
        reading = asyncio.create_task(self._read())
        async with asyncio.timeout(within):
            while (said := self.socket.protocol.close_rcvd) is None:
                await asyncio.sleep(0.01)
        await reading
        return said.code

    async def _read(self):
        with suppress(ConnectionClosed):
            while True:
                await self.socket.recv()


@asynccontextmanager
async def listening(web, path="/ws", **more):
    """Listen as whoever a client is logged in as, by the header or as a page does."""
    url = str(web.base_url).replace("http", "ws", 1).rstrip("/") + path
    headers = {} if "subprotocols" in more else {"authorization": web.headers["authorization"]}
    headers |= more.pop("headers", {})
    async with connect(url, additional_headers=headers, proxy=None, **more) as socket:
        client = Listener(socket)
        await client.next("ready")
        yield client


async def group(web, acl=(), key=None):
    key = key or f"g_{uuid4().hex[:10]}"
    body = {"id": key, "acl": {"list": list(acl)}} if acl else {"id": key}
    made = await web.post(f"{G}/groups", json=body)
    assert made.status_code == 201, made.text
    return key


async def me(web):
    said = (await web.get("/api/v1/users/me")).json()
    return said["id"]


def notify(*who):
    return {"permissions": 4, "principals": list(who)}


async def test_who_may_be_notified_hears_and_who_may_not_does_not(org, other):
    ann, bob = await org.person("user"), await org.person("user")
    async with (
        listening(org.web) as boss,
        listening(ann) as anns,
        listening(bob) as bobs,
        listening(other.web, "/api/v1/ws") as theirs,
    ):
        key = await group(org.web, [notify(await me(ann))])
        for client in (boss, anns):
            said = await client.next("created")
            assert (said["kind"], said["id"]) == ("groups", key)
        quiet = await asyncio.gather(bobs.quiet(key), theirs.quiet(key))
        assert quiet == [True, True]


async def test_a_list_that_changes_counts_at_once(org):
    ann = await org.person("user")
    async with listening(ann) as anns:
        key = await group(org.web)
        for acl in ([notify(await me(ann))], []):
            answer = await org.web.post(f"{G}/groups/{key}", json={"acl": {"list": acl}})
            assert answer.status_code == 200, answer.text
        await org.web.post(f"{G}/groups/{key}", json={"labels": {"n": "2"}})
        async with asyncio.timeout(10):
            heard = []
            last = await group(org.web, [notify(await me(ann))])
            while not heard or heard[-1]["id"] != last:
                heard.append(await anns.next("created", "updated"))
    assert [(h["id"], h["labels"]) for h in heard if h["id"] == key] in ([], [(key, {})])


async def test_logging_out_hangs_up_at_once(org):
    ann = await org.person("user")
    async with listening(ann) as client:
        assert (await ann.post("/api/v1/auth/logout")).status_code == 200
        assert await client.closed(within=10) == 4401


async def test_a_revoked_key_and_a_disabled_account_hang_up_at_once(org):
    made = (await org.web.post("/api/v1/api-keys", json={"name": "x", "kind": "management"})).json()
    url = str(org.web.base_url).replace("http", "ws", 1).rstrip("/") + "/ws"
    headers = {"x-api-key": made["key"]}
    ann = await org.person("user")
    async with (
        connect(url, additional_headers=headers, proxy=None) as socket,
        listening(ann) as anns,
    ):
        client = Listener(socket)
        await client.next("ready")
        assert (await org.web.delete(f"/api/v1/api-keys/{made['id']}")).status_code == 204
        assert await client.closed(within=10) == 4401
        answer = await org.web.patch(f"/api/v1/users/{await me(ann)}", json={"is_active": False})
        assert answer.status_code == 200, answer.text
        assert await anns.closed(within=10) == 4401


async def test_listening_goes_on_where_it_stopped(org):
    async with listening(org.web) as client:
        first = await group(org.web)
        position = (await client.next("created"))["position"]
    second = await group(org.web)
    async with listening(org.web, f"/ws?since={position}") as client:
        said = await client.next("created", "reset")
        assert (said["type"], said["id"]) == ("created", second)
        await client.socket.send(json.dumps({"subscribe": {"ids": [first]}}))
        await client.next("subscribed")
        assert (await org.web.delete(f"{G}/groups/{second}")).status_code == 204
        assert (await org.web.delete(f"{G}/groups/{first}")).status_code == 204
        assert (await client.next("deleted"))["id"] == first


async def test_a_page_offers_its_token_as_a_protocol(org, url):
    token = org.web.headers["authorization"].removeprefix("Bearer ")
    offered = {"subprotocols": ["switchyard.v1", f"bearer.{token}"]}
    async with listening(org.web, **offered, headers={"origin": url}) as client:
        assert client.socket.subprotocol == "switchyard.v1"
        key = await group(org.web)
        assert (await client.next("created"))["id"] == key
    for headers, more, status in (
        ({"origin": "https://evil.example"}, {}, 403),
        ({}, {"subprotocols": ["switchyard.v1"]}, 401),
        ({}, {"subprotocols": ["switchyard.v1", "bearer.nonsense"]}, 401),
    ):
        with pytest.raises(InvalidStatus) as shut:
            async with listening(org.web, headers=headers, **more):
                pass
        answer = shut.value.response
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
    async with httpx.AsyncClient(base_url=url) as web:
        assert (await web.get("/ws", params={"access_token": token})).status_code == 401
    assert (await org.web.get("/ws")).status_code == 426


async def test_an_avatar_is_uploaded_shown_and_gone_with_its_user(org, other, url, eventually):
    ann = await org.person("user")
    id_ = await me(ann)
    path = f"{G}/users/{id_}/upload/avatar"
    padded = PNG + b"\x00" * (4 << 20)  # more than the gate lets through elsewhere
    answer = await org.web.post(path, files={"file": ("a.png", padded, "image/png")})
    assert answer.status_code == 200, answer.text
    avatar = answer.json()["avatar"]
    async with httpx.AsyncClient(base_url=url) as anybody:
        shown = await anybody.get(avatar)
        assert shown.status_code == 200
        assert shown.headers["content-type"] == "image/webp"
        assert "immutable" in shown.headers["cache-control"]
        assert shown.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in shown.headers["content-security-policy"]
        assert shown.content[8:12] == b"WEBP"
        for much in (5 << 20, 7 << 20):
            sent = {"file": ("a.png", PNG + b"\x00" * much, "image/png")}
            assert (await org.web.post(path, files=sent)).json()["code"] == "iam.avatar_too_large"
        elsewhere = await org.web.post(f"{G}/groups", content=b" " * (2 << 20))
        assert elsewhere.status_code == 413
        denied = await other.web.post(path, files={"file": ("a.png", PNG, "image/png")})
        missing = await other.web.post(
            f"{G}/users/{uuid4()}/upload/avatar", files={"file": ("a.png", PNG, "image/png")}
        )
        assert (denied.status_code, missing.status_code) == (404, 404)
        assert denied.json()["detail"] == missing.json()["detail"]
        assert (await org.web.delete(path)).status_code == 204
        assert (await anybody.get(avatar)).status_code == 404


async def test_the_platform_is_seen_in_numbers_by_its_administrators_only(org, root, eventually):
    before = (await root.get("/api/v1/admin/stats")).json()
    assert before["streams"] >= 5  # each service and the gate follow iam
    async with listening(org.web), listening(org.web):

        async def counted():
            said = (await root.get("/api/v1/admin/stats")).json()
            return said if said["websockets"] >= 2 else None

        said = await eventually(counted, 20)
    assert said["users"] >= 1
    assert said["sessions"] >= 1
    assert said["usage"]["audit_entries"] is None
    assert "audit" in said["reasons"]["usage.audit_entries"]
    assert (await org.web.get("/api/v1/admin/stats")).status_code == 403
