"""The serial console of a machine over a WebSocket.

A ticket first (`POST …/console-tickets`), then a WebSocket that offers it among its protocols: `["switchyard.v1",
"ticket.<ticket>"]`, and from a page `"bearer.<token>"` with them. Bytes go both ways as they are.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Response, WebSocket
from starlette.websockets import WebSocketDisconnect

from chassis import problems
from chassis.caller import Caller
from chassis.errors import Fault
from chassis.http import Asking, View, doors, given, needs_somewhere
from compute.domain.console_errors import BadTicket, SocketNeeded
from compute.ports.hypervisor import Console
from compute.usecases.consoles import NEEDED, Consoles

router = doors("/api/v1/vms/{vm}", "compute")
Uses = Annotated[Consoles, given(Consoles)]
PROTOCOL, TICKET = "switchyard.v1", "ticket."
ENDED, REVOKED = 1000, 4401
CLOSINGS = {ENDED: "the guest ended", REVOKED: "you may not be here any more"}
LOOK = 0.5  # seconds between two looks at whether who types may still do so
PATIENCE = 10.0


class TicketView(View):
    """A ticket to a console: single-use, for whoever asked for it."""

    ticket: str
    expires_at: datetime


@router.post(
    "/console-tickets", status_code=201, response_model=TicketView, **needs_somewhere(NEEDED)
)
async def make_ticket(vm: UUID, caller: Asking, uses: Uses) -> TicketView:
    """Return a ticket to a machine's serial console, good once and for 30 seconds."""
    ticket, until = await uses.admit(caller, vm)
    return TicketView(ticket=ticket, expires_at=until)


@router.websocket("/console")
async def sit(socket: WebSocket, vm: UUID) -> None:
    """Let whoever has a ticket sit at the console; a refusal is a problem document, as everywhere."""
    wiring = socket.app.state.wiring
    consoles: Consoles = wiring.uses[Consoles]
    try:
        caller = await wiring.identity.of(socket.headers)
        await consoles.redeem(caller, vm, _ticket(socket))
        async with consoles.session(vm) as console:
            offered = socket.scope.get("subprotocols", ())
            await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
            await _talk(socket, console, consoles, vm)
    except Fault as fault:
        status, headers, body = problems.rendered(fault, socket.url.path)
        refusal = Response(body, status, dict(headers), media_type=problems.MEDIA_TYPE)
        await socket.send_denial_response(refusal)


@router.get("/console", **needs_somewhere(NEEDED, **{"x-door": "websocket", "x-errors": [426]}))
async def no_console(vm: UUID) -> None:
    """Sit at a machine's serial console over a WebSocket, with a ticket: this path is for those."""
    raise SocketNeeded("connect with a WebSocket: send Upgrade: websocket")


def _ticket(socket: WebSocket) -> str:
    offered = socket.scope.get("subprotocols", ())
    shown = [said.removeprefix(TICKET) for said in offered if said.startswith(TICKET)]
    if len(shown) != 1:
        raise BadTicket("offer the ticket among the protocols, as ticket.<ticket>")
    return shown[0]


async def _talk(socket: WebSocket, console: Console, consoles: Consoles, vm: UUID) -> None:
    """Carry bytes both ways until one side ends it, or who types may not any more."""
    steps = (_show(socket, console), _type(socket, console), _watch(socket, consoles, vm))
    tasks = [asyncio.create_task(_ended(step)) for step in steps]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if (code := next(iter(done)).result()) is not None:
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(PATIENCE):
                await socket.close(code, CLOSINGS[code])


async def _ended(step: Coroutine[Any, Any, int | None]) -> int | None:
    """Return the code with which to close; None when the client is gone, or does not read."""
    with suppress(WebSocketDisconnect, TimeoutError, ConnectionError):
        return await step
    return None


async def _show(socket: WebSocket, console: Console) -> int:
    while data := await console.read():
        async with asyncio.timeout(PATIENCE):
            await socket.send_bytes(data)
    return ENDED


async def _type(socket: WebSocket, console: Console) -> None:
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        said = message.get("bytes") or (message.get("text") or "").encode()
        await console.write(said)


async def _watch(socket: WebSocket, consoles: Consoles, vm: UUID) -> int:
    while True:
        await asyncio.sleep(LOOK)
        try:
            caller: Caller = await socket.app.state.wiring.identity.of(socket.headers)
            await consoles.check(caller, vm)
        except Fault:
            return REVOKED
