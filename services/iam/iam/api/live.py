"""The WebSocket door: who listens is told what happens under /global, as long as they may know.

Messages both ways are JSON objects. We say `ready`, `subscribed`, `heartbeat`, `reset`, `error`, `pong`, and of things
that they were `created`, `updated` or `deleted`. Clients say `{"subscribe": {kinds, ids, since}}` or `{"ping": …}`.
"""

from typing import Any

from fastapi import Response, WebSocket

from chassis import problems
from chassis.errors import Fault
from chassis.http import anybody, doors
from iam.api.talk import CLOSINGS, PROTOCOL, Lobby, Talk
from iam.domain.socket_errors import SocketNeeded

PATHS = ("/api/v1/ws", "/ws")
router = doors("", "live")
_SAID = "; ".join(f"{code}: {meaning}" for code, meaning in CLOSINGS.items())


async def listen(socket: WebSocket) -> None:
    """Let whoever may come in listen; a refusal is a problem document, as everywhere."""
    wiring = socket.app.state.wiring
    lobby: Lobby = wiring.uses[Lobby]
    try:
        caller = await wiring.identity.of(socket.headers)
        lobby.check_origin(socket.headers.get("origin"))
        caller.must_be_known()
        with lobby.hall.seat(caller.account or caller.subject), lobby.live.board.listening():
            talk = Talk(socket, lobby, wiring.identity, caller)
            await talk.begin(socket.query_params.get("since"))
            chosen = PROTOCOL if PROTOCOL in socket.scope.get("subprotocols", ()) else None
            await socket.accept(subprotocol=chosen)
            await talk.run()
    except Fault as fault:
        await socket.send_denial_response(_refusal(fault, socket.url.path))


def _refusal(fault: Fault, path: str) -> Response:
    status, headers, body = problems.rendered(fault, path)
    return Response(body, status, dict(headers), media_type=problems.MEDIA_TYPE)


async def no_socket() -> None:
    """Listen to changes under /global over a WebSocket: this path is for those. See the README of iam."""
    raise SocketNeeded("connect with a WebSocket: send Upgrade: websocket")


_MARKS: dict[str, Any] = {"x-door": "websocket", "x-errors": [426], "x-closes-with": _SAID}
for _path in PATHS:
    router.websocket(_path)(listen)
    router.get(_path, **anybody(**_MARKS))(no_socket)
