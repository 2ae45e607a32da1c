"""The OFREP door as the OpenAPI document tells of it, and for whoever mounts the app without the raw door before it.

The raw door answers these paths before FastAPI sees them. The handlers here ask the same `Ofrep.reply`.
"""

from typing import Annotated, Any

from fastapi import Path, Request, Response

from chassis.http import doors, given, keyed
from flags.api.ofrep import Ofrep

router = doors("/ofrep/v1/evaluate", "ofrep")
Uses = Annotated[Ofrep, given(Ofrep)]

_CONTEXT: dict[str, Any] = {
    "type": ["object", "null"],
    "description": "Who or what is asking; `targetingKey` names the unit that splits go by.",
    "properties": {"targetingKey": {"type": "string"}},
}
_REQUEST: dict[str, Any] = {
    "required": False,
    "content": {
        "application/json": {"schema": {"type": "object", "properties": {"context": _CONTEXT}}}
    },
}
_SUCCESS: dict[str, Any] = {
    "type": "object",
    "required": ["key", "value", "variant", "reason"],
    "properties": {
        "key": {"type": "string"},
        "value": {"description": "A boolean, string, integer, float, object or array."},
        "variant": {"type": "string"},
        "reason": {
            "type": "string",
            "enum": ["STATIC", "DEFAULT", "TARGETING_MATCH", "SPLIT", "DISABLED"],
        },
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
_FAILURE: dict[str, Any] = {
    "type": "object",
    "required": ["errorCode", "errorDetails"],
    "properties": {
        "key": {"type": "string"},
        "errorCode": {
            "type": "string",
            "enum": [
                "PARSE_ERROR",
                "TARGETING_KEY_MISSING",
                "INVALID_CONTEXT",
                "FLAG_NOT_FOUND",
                "GENERAL",
            ],
        },
        "errorDetails": {"type": "string"},
    },
}
_BULK: dict[str, Any] = {
    "type": "object",
    "required": ["flags"],
    "properties": {"flags": {"type": "array", "items": {"oneOf": [_SUCCESS, _FAILURE]}}},
}
# POST for the sake of its body only: nothing is changed, so there is nothing to repeat or to clash with.
_READS: dict[str, Any] = {"x-reads": True}
_ETAG: dict[str, Any] = {"ETag": {"schema": {"type": "string"}}}


def _is(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


@router.post(
    "/flags/{key:path}",
    response_class=Response,
    responses={
        200: _is("The flag's value", _SUCCESS),
        400: _is("Not an evaluation request, or one without what a split goes by", _FAILURE),
        404: _is("No such flag for this API key", _FAILURE),
    },
    **keyed("flag:evaluate", requestBody=_REQUEST, **_READS, **{"x-path-greedy": "key"}),
)
async def evaluate_flag(
    key: Annotated[str, Path(max_length=200)], request: Request, ofrep: Uses
) -> Response:
    """Evaluate one flag; its key may contain `/`."""
    return await _answer(request, ofrep)


@router.post(
    "/flags",
    response_class=Response,
    responses={
        200: {**_is("All flags that the API key may see", _BULK), "headers": _ETAG},
        304: {"description": "Nothing has changed since the ETag in If-None-Match"},
        400: _is("Not an evaluation request", _FAILURE),
    },
    **keyed("flag:evaluate", requestBody=_REQUEST, **_READS),
)
async def evaluate_all_flags(request: Request, ofrep: Uses) -> Response:
    """Evaluate every flag; answers 304 if nothing has changed for this context."""
    return await _answer(request, ofrep)


async def _answer(request: Request, ofrep: Ofrep) -> Response:
    headers = dict(request.scope["headers"])
    query: bytes = request.scope["query_string"]
    status, fields, body = await ofrep.reply(request.url.path, headers, await request.body(), query)
    response = Response(body, status)
    response.raw_headers = list(fields)
    return response
