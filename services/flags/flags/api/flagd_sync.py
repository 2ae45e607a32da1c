"""flagd's sync protocol: the rules themselves, as JsonLogic, for providers that evaluate in their own process.

Only server-side keys: whoever has the rules knows every flag and every id in a segment. What JsonLogic cannot say
exactly is left out (see `domain/jsonlogic`); the document names it in its metadata, `switchyardLeftOut`.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import orjson

from chassis.errors import Forbidden
from chassis.rpc import Context as Call
from flagd.sync.v1 import sync_pb2 as pb
from flagd.sync.v1 import sync_pb2_grpc as rpc
from flags.api.changes import changes
from flags.api.desks import Desk, Desks
from flags.api.flagd import seated
from flags.domain.jsonlogic import document
from flags.domain.place import Place

DOOR = "/flagd.sync.v1"
# More often than the gateway's patience with a silent stream; a provider takes the same rules again without a word.
AGAIN = 100.0


class RulesForServers(Forbidden):
    """A client-side key may not have the rules: they name what it must not see. Evaluate remotely with it."""

    code = "flags.rules_for_servers"


@dataclass(slots=True)
class Documents:
    """The documents that were written last, one per place."""

    _written: dict[Place, tuple[object, str]] = field(
        default_factory=dict[Place, tuple[object, str]]
    )

    async def of(self, desk: Desk) -> str:
        """Return the rules of a desk's place, written at most once per revision."""
        place, ruleset, source = desk.held.place, desk.ruleset, desk.held.source
        known = self._written.get(place)
        if known is None or known[0] is not ruleset:
            about = {
                "flagSetId": f"{place.project}/{place.environment}",
                "version": str(source.revision),
            }
            said, _ = await asyncio.to_thread(document, source.rows, source.segments, about)
            known = self._written[place] = (ruleset, orjson.dumps(said).decode())
        return known[1]


class FlagSync(rpc.FlagSyncServiceServicer):
    """flagd.sync.v1."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks
        self._documents = Documents()

    async def SyncFlags(  # noqa: N802
        self, request: pb.SyncFlagsRequest, context: Call
    ) -> AsyncGenerator[pb.SyncFlagsResponse]:
        """Send all rules, then again after each change."""
        desk = await self._admitted(context)
        async for _ in changes(self._desks, desk, AGAIN):
            yield pb.SyncFlagsResponse(flag_configuration=await self._documents.of(desk))

    async def FetchAllFlags(  # noqa: N802
        self, request: pb.FetchAllFlagsRequest, context: Call
    ) -> pb.FetchAllFlagsResponse:
        """Return all rules."""
        desk = await self._admitted(context)
        return pb.FetchAllFlagsResponse(flag_configuration=await self._documents.of(desk))

    async def _admitted(self, context: Call) -> Desk:
        desk = await seated(self._desks, context, DOOR)
        if desk.client_side:
            raise RulesForServers("a client-side key may not have the rules: evaluate remotely")
        return desk
