"""The REST doors that prove the log: checkpoint, tiles, consistency, proof of one entry (C2SP formats)."""

from base64 import b64encode
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from audit.api.asked import KNOWN
from audit.domain.errors import NoSuchTile
from audit.domain.tiles import parsed
from audit.usecases.prover import Prover, Whose
from chassis.http import Asking, doors, given, needs

router = doors("/api/v1/audit", "audit")
of_entries = doors("/api/v1/audit-logs", "audit")
Answers = dict[int | str, dict[str, Any]]
Uses = Annotated[Prover, given(Prover)]
_TEXT: Answers = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
_HASHES: Answers = {200: {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}}
Size = Annotated[int, Query(ge=0, le=2**53)]


async def _log(tenant_id: UUID | None = None, log: Literal["own", "checkpoints"] = "own") -> Whose:
    return Whose(tenant=tenant_id, checkpoints=log == "checkpoints")


Log = Annotated[Whose, Depends(_log)]


class ConsistencyView(BaseModel):
    """A proof that a log only grew: hashes in base64, as RFC 6962 (2.1.2) orders them."""

    old_size: int
    new_size: int
    hashes: list[str]


@router.get(
    "/checkpoint",
    response_class=PlainTextResponse,
    responses=_TEXT,
    dependencies=KNOWN,
    **needs("audit:read"),
)
async def checkpoint(caller: Asking, log: Log, prover: Uses) -> str:
    """Return the newest signed checkpoint of the tenant's log (`log=checkpoints`: of the log of all checkpoints)."""
    return (await prover.checkpoint(caller, log)).note


@router.get(
    "/vkey",
    response_class=PlainTextResponse,
    responses=_TEXT,
    dependencies=KNOWN,
    **needs("audit:read"),
)
async def vkey(caller: Asking, log: Log, prover: Uses) -> str:
    """Return the verifier key of the log's checkpoints. Keep it where the log cannot reach."""
    return f"{await prover.vkey(caller, log)}\n"


@router.get(
    "/tile/{level}/{index:path}",
    response_class=Response,
    responses=_HASHES,
    dependencies=KNOWN,
    **needs("audit:read", **{"x-path-greedy": True}),
)
async def tile(
    level: Annotated[int, Path(ge=0, le=6)],
    index: Annotated[str, Path(max_length=64)],
    caller: Asking,
    log: Log,
    prover: Uses,
) -> Response:
    """Return a tile of the tree: `x001/x234/067`, or `067.p/8` for the eight hashes that a last tile has."""
    if (place := parsed(index)) is None:
        raise NoSuchTile("a tile is called like 067, x001/067 or x001/067.p/8")
    number, wide = place
    hashes = await prover.tile(caller, log, (level, number), wide)
    headers = {"cache-control": "private, max-age=31536000, immutable"}
    return Response(hashes, media_type="application/octet-stream", headers=headers)


@router.get(
    "/consistency", response_model=ConsistencyView, dependencies=KNOWN, **needs("audit:read")
)
async def consistency(
    caller: Asking,
    log: Log,
    prover: Uses,
    old: Annotated[Size, Query(alias="from")],
    new: Annotated[Size, Query(alias="to")],
) -> ConsistencyView:
    """Return the proof that the log of size `to` continues the log of size `from`."""
    hashes = await prover.consistency(caller, log, old, new)
    return ConsistencyView(
        old_size=old, new_size=new, hashes=[b64encode(step).decode() for step in hashes]
    )


@of_entries.get(
    "/{event_id}/proof",
    response_class=PlainTextResponse,
    responses=_TEXT,
    dependencies=KNOWN,
    **needs("audit:read"),
)
async def proof(event_id: UUID, caller: Asking, prover: Uses, tenant_id: UUID | None = None) -> str:
    """Return the proof that an entry is in the log (tlog-proof@v1); its extra data are the entry's exact bytes."""
    return (await prover.proof(caller, event_id, tenant_id)).text()
