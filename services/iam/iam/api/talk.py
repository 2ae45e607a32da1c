"""One WebSocket from its first message to its closing: three tasks, of which the first to end ends the talk.

tell     what happens, in order; a heart-beat while nothing does
listen   to the client, who may narrow what is told and go back to where it stopped
watch    whether the credential still holds
"""

import asyncio
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import urlsplit

import orjson
from fastapi import WebSocket
from pydantic import Field, StringConstraints, ValidationError
from starlette.websockets import WebSocketDisconnect

from chassis import strictjson
from chassis.authority import Authority
from chassis.caller import Caller
from chassis.errors import Fault, Forbidden, Unauthenticated
from chassis.http import Body
from iam.api.gitops_bodies import brief
from iam.domain.acl import Acl
from iam.domain.errors import Behind
from iam.domain.socket_errors import BadMessage, OriginRefused
from iam.ports import Means, Sealer
from iam.usecases.board import Posted
from iam.usecases.gitops import Seen
from iam.usecases.hall import Hall
from iam.usecases.live import Live, Wanted, called, present

PROTOCOL = "switchyard.v1"
GOING, FOREIGN, TOO_MUCH, LATER, REVOKED, TOO_SLOW = 1001, 1003, 1008, 1013, 4401, 4408
CLOSINGS = {
    GOING: "this replica stops; connect again and go on with `since`",
    FOREIGN: "only text is understood here",
    TOO_MUCH: "too many messages",
    LATER: "nobody can be recognised at the moment; try again later",
    REVOKED: "the credential holds no more",
    TOO_SLOW: "the client did not read what it was told",
}
LOOK = 0.5  # seconds between two looks at a credential that nothing was heard about: it may have expired
MOST_MESSAGES = 120  # of a client, in a minute
Kinds = Literal[
    "users",
    "groups",
    "service_accounts",
    "pipeline_accounts",
    "memberships",
    "projects",
    "permissions",
]
Mark = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class SubscribeBody(Body):
    """What to be told of: of everything where nothing is said. `since` is the position of what was told last."""

    kinds: list[Kinds] | None = None
    ids: (
        Annotated[
            list[Annotated[str, StringConstraints(min_length=1, max_length=520)]],
            Field(max_length=200),
        ]
        | None
    ) = None
    since: Mark | None = None


class MessageBody(Body):
    """What a client says."""

    subscribe: SubscribeBody | None = None
    ping: Annotated[str, StringConstraints(max_length=200)] | int | None = None


class Recognises(Protocol):
    """Tells who shows a credential."""

    async def of(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller; Unauthenticated when the credential holds no more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lobby:
    """What all talks need. `beat`: seconds between heart-beats; `patience`: for a client to take a message."""

    live: Live
    hall: Hall
    authority: Authority
    sealer: Sealer
    means: Means
    origins: frozenset[str]
    beat: float = 20.0
    patience: float = 10.0

    def check_origin(self, origin: str | None) -> None:
        """Refuse pages of foreign origins. What is no browser sends none."""
        if origin is not None and origin.lower() not in self.origins:
            raise OriginRefused("pages of this origin may not listen here")

    def sealed(self, position: int, tenant: str) -> str:
        """Return a position as clients see it: how much happens elsewhere is not to be read off it."""
        box = self.sealer.seal(position.to_bytes(8), f"position {tenant}")
        return urlsafe_b64encode(box).decode()

    def opened(self, mark: str, tenant: str) -> int:
        """Return the position that a client was told; Behind if it was not, or cannot be read any more."""
        with suppress(ValueError):
            said = self.sealer.unseal(urlsafe_b64decode(mark), f"position {tenant}")
            if said is not None:
                return int.from_bytes(said)
        raise Behind("this position cannot be read: read everything again")


def origins(allowed: str, issuer: str) -> frozenset[str]:
    """Return the origins whose pages may listen: those that are named, with commas between, and our own."""
    own = urlsplit(issuer)
    named = (origin.strip().rstrip("/").lower() for origin in allowed.split(","))
    return frozenset({*filter(None, named), f"{own.scheme}://{own.netloc}".lower()})


class _TooSlow(Exception):
    """The client does not read."""


@dataclass(slots=True)
class Talk:
    """One WebSocket. Whoever tells something holds `_telling`, so that positions grow on the wire."""

    socket: WebSocket
    lobby: Lobby
    identity: Recognises
    caller: Caller
    wanted: Wanted = field(default_factory=Wanted)
    position: int = 0
    _reset: bool = False
    _messages: int = 0
    _minute: float = 0.0
    _telling: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def begin(self, since: str | None) -> None:
        """Find the position to begin at."""
        try:
            mark = None if since is None else self.lobby.opened(since, str(self.caller.tenant))
            self.position = await self.lobby.live.begin(self.caller, mark)
        except Behind:
            self._reset = True
            self.position = await self.lobby.live.begin(self.caller, None)

    async def run(self) -> None:
        """Talk until one side ends it."""
        await self._say("ready", position=self._mark(), heartbeat_seconds=self.lobby.beat)
        if self._reset:
            await self._say("reset", position=self._mark())
        steps = (self._tell(), self._listen(), self._watch())
        tasks = [asyncio.create_task(self._ended(step)) for step in steps]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        code = next(iter(done)).result()
        if code is not None:
            with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
                async with asyncio.timeout(2 * self.lobby.patience):
                    await self.socket.close(code, CLOSINGS[code][:120])

    async def _ended(self, step: Coroutine[Any, Any, int | None]) -> int | None:
        """Return the code with which to close; None when the client is gone."""
        try:
            return await step
        except _TooSlow:
            return TOO_SLOW
        except WebSocketDisconnect:
            return None

    # --- tell -------------------------------------------------------------------------------------------------------

    async def _tell(self) -> int:
        live, beat = self.lobby.live, self.lobby.beat
        due = time.monotonic() + beat
        while not live.board.closed:
            left = max(0.0, due - time.monotonic())
            try:
                position, posted = await live.heard(self.caller, self._covers, self.position, left)
            except Behind:
                position, posted = await live.begin(self.caller, None), ()
                self._reset = True
            except Fault:  # the database is away: nothing is told, and nothing is said of it either
                await asyncio.sleep(1)
                continue
            async with self._telling:
                await self._told(position, posted)
                if self._reset:
                    self._reset = False
                    await self._say("reset", position=self._mark())
            if time.monotonic() >= due:
                due = time.monotonic() + beat
                if live.board.fresh:
                    await self._say("heartbeat", at=self.lobby.means.now(), position=self._mark())
        return GOING

    def _covers(self, posted: Posted) -> bool:
        return self.wanted.covers(posted)

    async def _told(self, position: int, posted: Any) -> None:  # noqa: ANN401
        for one in posted:
            await self._send(self._event(one))
        self.position = max(self.position, position)

    def _event(self, posted: Posted) -> dict[str, Any]:
        entity, note = posted.entity, posted.happening.note
        shown = brief(Seen(entity, Acl(), posted.keys)) if entity and present(posted) else {}
        return {
            **shown,
            "type": note.verb,
            "kind": note.kind,
            "id": called(posted),
            "at": posted.happening.at,
            "tenant": str(note.tenant),
            "position": self._mark(posted.position),
        }

    # --- listen -----------------------------------------------------------------------------------------------------

    async def _listen(self) -> int | None:
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                return None
            if (text := message.get("text")) is None:
                return FOREIGN
            if self._too_many():
                return TOO_MUCH
            try:
                await self._answer(_read(text))
            except Fault as fault:
                await self._say("error", code=fault.code, detail=fault.detail)

    def _too_many(self) -> bool:
        now = time.monotonic()
        if now - self._minute > 60:
            self._minute, self._messages = now, 0
        self._messages += 1
        return self._messages > MOST_MESSAGES

    async def _answer(self, said: MessageBody) -> None:
        if said.ping is not None:
            await self._say("pong", ping=said.ping)
        if (asked := said.subscribe) is not None:
            async with self._telling:
                self.wanted = Wanted(
                    kinds=None if asked.kinds is None else frozenset(asked.kinds),
                    ids=None if asked.ids is None else frozenset(asked.ids),
                )
                await self._say(
                    "subscribed", kinds=asked.kinds, ids=asked.ids, position=self._mark()
                )
                if asked.since is not None:
                    await self._again(asked.since)

    async def _again(self, since: str) -> None:
        """Tell once more what happened since a position, up to where we are; what follows is told anyway."""
        live = self.lobby.live
        try:
            at = await live.begin(self.caller, self.lobby.opened(since, str(self.caller.tenant)))
            while at < self.position:
                later, posted = await live.heard(self.caller, self._covers, at, 0)
                for one in posted:
                    if one.position <= self.position:
                        await self._send(self._event(one))
                if later == at:
                    break
                at = later
        except Behind:
            await self._say("reset", position=self._mark())

    # --- watch ------------------------------------------------------------------------------------------------------

    async def _watch(self) -> int:
        authority = self.lobby.authority
        while True:
            seen = authority.generation
            try:
                self.caller = await self.identity.of(self.socket.headers)
            except (Unauthenticated, Forbidden):
                return REVOKED
            except Fault:
                return LATER
            await authority.until(lambda _, seen=seen: authority.generation != seen, LOOK)

    # --- words ------------------------------------------------------------------------------------------------------

    def _mark(self, position: int | None = None) -> str:
        said = self.position if position is None else position
        return self.lobby.sealed(said, str(self.caller.tenant))

    async def _say(self, type_: str, **more: Any) -> None:  # noqa: ANN401 - JSON is anything
        await self._send({"type": type_, **more})

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(self.lobby.patience):
                await self.socket.send_text(orjson.dumps(message).decode())
        except TimeoutError:
            raise _TooSlow from None


def _read(text: str) -> MessageBody:
    """Return what a client said; BadMessage or BadJson if it makes no sense."""
    try:
        return MessageBody.model_validate(strictjson.loads(text.encode(), deepest=8))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = "/".join(str(part) for part in first["loc"])
        raise BadMessage(f"{where or 'the message'}: {first['msg']}") from None
