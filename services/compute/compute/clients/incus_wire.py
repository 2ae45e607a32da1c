"""Talks with an Incus daemon: its REST API over HTTPS, with a client's certificate.

https://linuxcontainers.org/incus/docs/main/rest-api/. What takes long is an operation there; here it is waited for.
"""

import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from compute.ports.hypervisor import HostTrouble

PATIENCE = 10.0
LONG = 120  # seconds that an operation is waited for
_SUCCESS = 200
STOPPED = 102  # the status of an instance that is off
_NONE: Mapping[str, str] = {}


class Refused(HostTrouble):
    """Incus answered, and said no."""


class NotThere(Refused):
    """It has none such."""


class Changed(Refused):
    """It is not any more as it was when it was read (its ETag is another)."""


class Unreachable(HostTrouble):
    """No Incus answers at this address, or it speaks to somebody else."""


_REFUSALS = {404: NotThere, 412: Changed}


@dataclass(frozen=True, slots=True)
class Answer:
    """What Incus said, and the ETag of it (empty where it has none)."""

    said: Any
    etag: str = ""


def trust(certificate: Path | None, key: Path | None, server: Path | None) -> ssl.SSLContext:
    """Return how the daemon is known, and we to it.

    With `server`, its own certificate, nobody else is believed, and the name in it says nothing more. OSError or
    ssl.SSLError where the files are no certificates.
    """
    context = ssl.create_default_context(cafile=str(server) if server else None)
    context.check_hostname = server is None
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


class Wire:
    """One daemon, or one cluster, and our project in it."""

    def __init__(self, address: str, project: str, context: ssl.SSLContext) -> None:
        self.address, self.project = address.rstrip("/"), project
        self._context, self._ours = context, {"project": project}
        self._http = httpx.AsyncClient(
            base_url=self.address, verify=context, timeout=PATIENCE, trust_env=False
        )

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()

    async def get(self, path: str) -> Answer:
        """Read something of our project. NotThere, Refused, Unreachable."""
        return await self.send("GET", path)

    async def all(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Read a list of our project, with all that is known of each."""
        return (await self.send("GET", path, query={"recursion": "1"})).said

    async def send(
        self,
        verb: str,
        path: str,
        body: object = None,
        etag: str = "",
        query: Mapping[str, str] = _NONE,
    ) -> Answer:
        """Ask for something and return the answer; of what takes long, at once, the operation. `etag`: If-Match."""
        headers = {"If-Match": etag} if etag else {}
        asked = self._http.build_request(
            verb, path, params={**self._ours, **query}, json=body, headers=headers
        )
        return self._answer(await self._sent(asked))

    def _answer(self, reply: httpx.Response) -> Answer:
        try:
            told: dict[str, Any] = reply.json()
        except ValueError:
            raise Unreachable(f"{self.address} does not speak as Incus does") from None
        if reply.is_error or told.get("type") == "error":
            status = told.get("error_code") or reply.status_code
            raise _REFUSALS.get(status, Refused)(f"Incus: {told.get('error') or status}")
        return Answer(told.get("metadata"), reply.headers.get("etag", ""))

    async def text(self, path: str) -> str:
        """Read something that is no JSON document."""
        reply = await self._sent(self._http.build_request("GET", path, params=self._ours))
        if reply.is_error:
            raise _REFUSALS.get(reply.status_code, Refused)(f"Incus: {reply.status_code}")
        return reply.text

    async def done(
        self,
        verb: str,
        path: str,
        body: object = None,
        patience: int = LONG,
        query: Mapping[str, str] = _NONE,
    ) -> None:
        """Ask for something that takes long and wait until it is done. Refused: it was not, and why."""
        operation = (await self.send(verb, path, body, query=query)).said
        if operation:  # else it did not take long
            await self.wait(operation["id"], patience)

    async def wait(self, operation: str, patience: int = LONG) -> None:
        """Wait for an operation. Refused: it failed, or is not done yet."""
        path = f"/1.0/operations/{operation}/wait"
        asked = self._http.build_request(
            "GET",
            path,
            params={**self._ours, "timeout": str(patience)},
            timeout=patience + PATIENCE,
        )
        ended = self._answer(await self._sent(asked)).said
        if ended["status_code"] != _SUCCESS:
            why = ended["err"] or f"not done within {patience} s: {ended['description']}"
            raise Refused(f"Incus: {why}")

    async def busy(self, path: str) -> Sequence[str]:
        """Return the operations that are under way with something, by its path."""
        found = await self.all("/1.0/operations")
        return [one["id"] for one in found.get("running", ()) if path in _touched(one)]

    async def _sent(self, asked: httpx.Request) -> httpx.Response:
        try:
            return await self._http.send(asked)
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise Unreachable(f"{self.address} does not answer: {why}") from error

    @asynccontextmanager
    async def socket(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[ClientConnection]:
        """Open a WebSocket. Unreachable."""
        opened = await self.dial(path, query)
        try:
            yield opened
        finally:
            await opened.close()

    async def dial(self, path: str, query: Mapping[str, str]) -> ClientConnection:
        """Open a WebSocket, to be closed by who asked for it. Unreachable."""
        asked = httpx.QueryParams({**self._ours, **query})
        place = f"{self.address.replace('https', 'wss', 1)}{path}?{asked}"
        try:
            return await connect(place, ssl=self._context, proxy=None, open_timeout=PATIENCE)
        except (OSError, TimeoutError, WebSocketException) as error:
            raise Unreachable(f"{self.address} opens no WebSocket: {error}") from error


def _touched(operation: Mapping[str, Any]) -> Sequence[str]:
    """Return the paths of what an operation is about."""
    touched: Mapping[str, Sequence[str]] = operation["resources"] or {}
    return [path.split("?")[0] for paths in touched.values() for path in paths]
