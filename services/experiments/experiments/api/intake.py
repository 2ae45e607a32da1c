"""The REST doors of exposures and events: batches as `{"events": […]}`, or one JSON object a line.

Bodies are read here and not by a model: one bad item must not cost its neighbours, and at tens of thousands a second a
model for each would. In lines, one that is not JSON is refused by itself; a JSON body that is none is refused whole.
"""

from collections.abc import Sequence
from typing import Annotated, Any, cast

import orjson
from fastapi import Query, Request

from chassis.errors import FieldError
from chassis.http import Asking, View, doors, given, needs
from chassis.reading import is_json
from experiments.domain.errors import BadBatch, BatchTooLarge
from experiments.domain.intake import AT_MOST, NotJson
from experiments.usecases.intake import Intakes, Taken

LINES = frozenset({"application/x-ndjson", "application/jsonl", "application/x-jsonlines"})
router = doors("/api/v1", "intake")
Uses = Annotated[Intakes, given(Intakes)]
Durable = Annotated[
    bool, Query(description="Answer only when the database has the batch, not just a stream.")
]


class RejectedView(View):
    """An item that was not taken: its place in the batch, a permanent code, and what to send instead."""

    index: int
    code: str
    message: str


class TakenView(View):
    """What became of a batch. `durable`: it is in the database; else in a stream that is kept on disk."""

    accepted: int
    rejected: list[RejectedView]
    durable: bool


def _batch(name: str, item: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """Return how OpenAPI describes a batch."""
    lines = {"schema": {"type": "string", "description": "One such item a line."}}
    whole = {
        "type": "object",
        "required": [name],
        "additionalProperties": False,
        "properties": {name: {"type": "array", "maxItems": 10_000, "items": item}},
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": whole, "example": {name: [example]}},
                "application/x-ndjson": lines,
            },
        }
    }


_TIME = {"type": "string", "format": "date-time"}
_EVENT = {
    "type": "object",
    "required": ["unit", "name", "timestamp"],
    "properties": {
        "event_id": {"type": "string", "maxLength": 200},
        "unit": {"type": "string", "maxLength": 256},
        "name": {"type": "string", "maxLength": 100},
        "value": {"type": "number", "default": 1},
        "timestamp": _TIME,
        "properties": {"type": "object"},
        "source": {"type": "string", "maxLength": 200},
        "sequence": {"type": "integer"},
    },
}
_EXPOSURE = {
    "type": "object",
    "required": ["experiment", "variant", "unit", "timestamp"],
    "properties": {
        "event_id": {"type": "string", "maxLength": 200},
        "experiment": {"type": "string", "maxLength": 100},
        "variant": {"type": "string", "maxLength": 100},
        "unit": {"type": "string", "maxLength": 256},
        "timestamp": _TIME,
        "properties": {"type": "object"},
    },
}
_JOINED = {
    "type": "object",
    "required": ["unit", "same_as"],
    "properties": {
        "unit": {"type": "string", "maxLength": 256},
        "same_as": {"type": "string", "maxLength": 256},
    },
}
_SEEN = {
    "experiment": "checkout",
    "variant": "treatment",
    "unit": "user-1",
    "timestamp": "2026-06-01T12:00:00Z",
    "properties": {"country": "DE"},
}
_DONE = {
    "event_id": "e-1",
    "unit": "user-1",
    "name": "purchase",
    "value": 20,
    "timestamp": "2026-06-01T12:05:00Z",
}


@router.post(
    "/events",
    status_code=202,
    response_model=TakenView,
    **needs("event:create", **_batch("events", _EVENT, _DONE)),
)
async def take_events(
    request: Request, caller: Asking, uses: Uses, durable: Durable = False
) -> Taken:
    """Take in what units did. An event without `event_id` gets one from source, unit, name, time and sequence."""
    return await uses.events(caller, await items_of(request, "events"), durable=durable)


@router.post(
    "/exposures",
    status_code=202,
    response_model=TakenView,
    **needs("exposure:create", **_batch("exposures", _EXPOSURE, _SEEN)),
)
async def take_exposures(
    request: Request, caller: Asking, uses: Uses, durable: Durable = False
) -> Taken:
    """Take in who was shown which variant. The first exposure of a unit counts; `properties` are its dimensions."""
    return await uses.exposures(caller, await items_of(request, "exposures"), durable=durable)


@router.post(
    "/identities",
    response_model=TakenView,
    **needs(
        "event:create", **_batch("identities", _JOINED, {"unit": "anon-7", "same_as": "user-1"})
    ),
)
async def join_units(request: Request, caller: Asking, uses: Uses) -> Taken:
    """Say that units are others, at most 100: what they have seen and done is the others' from now on."""
    return await uses.join(caller, await items_of(request, "identities"))


async def items_of(request: Request, name: str) -> Sequence[object]:
    """Return the items of a batch."""
    body = await request.body()
    if len(body) > AT_MOST:
        raise BatchTooLarge("a batch has at most 1 MiB; send it in several")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in LINES:
        return [_line(line) for line in body.splitlines() if line.strip()]
    if not is_json(kind):
        raise _bad("send application/json or application/x-ndjson, and say which: content-type")
    said: object = await request.json() if body else None
    if not isinstance(said, dict):
        raise _bad(f'send {{"{name}": […]}}')
    batch = cast("dict[str, object]", said)
    items = batch.get(name)
    if not isinstance(items, list) or len(batch) > 1:
        raise _bad(f'send {{"{name}": […]}} and nothing beside it')
    return cast("list[object]", items)


def _line(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except ValueError:
        return NotJson()


def _bad(text: str) -> BadBatch:
    return BadBatch(text, errors=(FieldError("", text, BadBatch.code),))
