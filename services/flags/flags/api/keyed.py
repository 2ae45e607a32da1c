"""REST routes that API keys are served at: who asks is found out at the desks, not by asking iam.

The frame's own routes want iam's authority, which a replica that started without iam does not have. What a key may
evaluate it knows all the same.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from chassis.reading import StrictRequest
from flags.api.desks import Desk, Desks

Handler = Callable[[Request], Awaitable[Response]]


class KeyDoor(APIRoute):
    """A route that seats the API key before it looks at what is asked; each request is one evaluation."""

    def get_route_handler(self) -> Any:  # noqa: ANN401 - FastAPI's own type
        """Wrap FastAPI's handler."""
        answer, takes_json = super().get_route_handler(), self.body_field is not None

        async def handle(request: Request) -> Response:
            request = StrictRequest(request.scope, request.receive)
            desks: Desks = request.app.state.wiring.uses[Desks]
            desk = request.state.desk = await desks.of(_headers(request), request.url.path)
            desk.take()
            request.check_query()
            await request.read_json(needed=takes_json)
            response = await answer(request)
            desks.identity.used.seen.add(desk.key)
            response.raw_headers.extend(desks.age(desk))
            return response

        return handle


def key_doors(prefix: str, tag: str) -> APIRouter:
    """Return a router whose routes are for API keys."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=KeyDoor)


def _headers(request: Request) -> dict[bytes, bytes]:
    """Return the header fields; a bare API key as Authorization (Unleash's SDKs send it so) in its usual place."""
    headers = dict[bytes, bytes](request.scope["headers"])
    if headers.get(b"authorization", b"").startswith(b"sy_"):
        headers[b"x-api-key"] = headers.pop(b"authorization")
    return headers


async def _desk(request: Request) -> Desk:
    return request.state.desk


Seated = Annotated[Desk, Depends(_desk)]
