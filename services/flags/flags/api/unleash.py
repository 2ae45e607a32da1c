"""Unleash's client and front-end API: its SDKs work unmodified, with an API key as their token.

`Authorization` is the bare key. Server-side SDKs fetch what can be said in Unleash's words (`domain/unleash` says what
cannot, and is then left out); front ends are answered by evaluating here: they get every flag that their key may see.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from time import time
from typing import Annotated, Any

import orjson
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from prometheus_client import Counter
from pydantic import Field

from chassis.errors import Forbidden
from chassis.http import given, keyed
from flags.api.asking import tags
from flags.api.changes import changes, come_back
from flags.api.desks import Desk, Desks
from flags.api.keyed import Seated, key_doors
from flags.api.unleash_counts import Metrics, Said, count, noted
from flags.domain.answers import Reason
from flags.domain.compile import Asked
from flags.domain.context import UNIT
from flags.domain.place import Place
from flags.domain.ruleset import Ruleset
from flags.domain.unleash import features, payload
from flags.domain.values import FlagType

client = key_doors("/api/client", "unleash")
frontend = key_doors("/api/frontend", "unleash")
_READS: dict[str, Any] = {"x-reads": True}
_OWN = ("userId", "sessionId", "remoteAddress", "environment", "appName", "currentTime")
_DISABLED = {"name": "disabled", "enabled": False}

REGISTERED = Counter("flags_unleash_registrations", "Registrations of Unleash's SDKs")


class FeaturesForServers(Forbidden):
    """A client-side key may not have the rules: they name what it must not see. Use /api/frontend with it."""

    code = "flags.features_for_servers"


class Registration(Said):
    """An SDK that begins."""

    appName: str = Field(max_length=500)  # noqa: N815 - Unleash's words
    instanceId: str = Field(default="", max_length=500)  # noqa: N815


class AskedContext(Said):
    """The context of a front end; `properties` are the attributes beside Unleash's own."""

    context: dict[str, Any] = Field(default_factory=dict)


@dataclass(slots=True)
class Unleash:
    """The door: desks, and the documents that were written last, one per place."""

    desks: Desks
    _written: dict[Place, tuple[Ruleset, bytes]] = field(
        default_factory=dict[Place, tuple[Ruleset, bytes]]
    )

    def document(self, desk: Desk) -> bytes:
        """Return all features, written once per revision."""
        place, ruleset, source = desk.held.place, desk.ruleset, desk.held.source
        known = self._written.get(place)
        if known is None or known[0] is not ruleset:
            said, left = features(place.project, source.rows, source.segments)
            meta = {"revisionHash": str(ruleset.revision), "etag": _tag(desk), "leftOut": left}
            query = {"environment": place.environment, "inlineSegmentConstraints": True}
            whole = {"version": 2, "features": said, "segments": [], "query": query, "meta": meta}
            known = self._written[place] = (ruleset, orjson.dumps(whole))
        return known[1]


Uses = Annotated[Unleash, given(Unleash)]


@client.get("/features", response_class=Response, **keyed("flag:evaluate"))
async def fetch_features(desk: Seated, request: Request, unleash: Uses) -> Response:
    """Return all features that can be said in Unleash's words; 304 if nothing has changed."""
    _for_servers(desk)
    tag = _tag(desk)
    headers = {"etag": tag}
    if tag.encode() in tags(request.headers.get("if-none-match", "").encode()):
        return Response(status_code=304, headers=headers)
    return Response(unleash.document(desk), media_type="application/json", headers=headers)


@client.get("/streaming", response_class=Response, **keyed("flag:evaluate", **{"x-door": "stream"}))
async def stream_features(desk: Seated, unleash: Uses) -> StreamingResponse:
    """Stream all features: at once, and after each change."""
    _for_servers(desk)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(
        hydrations(unleash, desk), headers=headers, media_type="text/event-stream"
    )


@client.post(
    "/register", status_code=202, response_class=Response, **keyed("flag:evaluate", **_READS)
)
async def register_sdk(body: Registration) -> Response:
    """Take notice of an SDK; it is counted, nothing else is kept of it."""
    REGISTERED.inc()
    return Response(status_code=202)


@client.post(
    "/metrics", status_code=202, response_class=Response, **keyed("flag:evaluate", **_READS)
)
async def take_metrics(body: Metrics, desk: Seated) -> Response:
    """Take the counts of an SDK that evaluated by itself: they are part of each flag's usage, as reason UNKNOWN."""
    count(desk, body)
    return Response(status_code=202)


@frontend.get("", response_class=Response, **keyed("flag:evaluate"))
async def evaluate_by_query(desk: Seated, request: Request) -> Response:
    """Evaluate every flag for the context in the query: `userId`, `sessionId`, …, `properties[plan]`."""
    return _enabled(desk, request, _queried(request.query_params))


@frontend.post("", response_class=Response, **keyed("flag:evaluate", **_READS))
async def evaluate_by_body(body: AskedContext, desk: Seated, request: Request) -> Response:
    """Evaluate every flag for the context in the body."""
    return _enabled(desk, request, context_of(body.context))


@frontend.post(
    "/client/register", status_code=202, response_class=Response, **keyed("flag:evaluate", **_READS)
)
async def register_front_end(body: Registration) -> Response:
    """Take notice of a front end's SDK, as of a server's."""
    return await register_sdk(body)


@frontend.post(
    "/client/metrics", status_code=202, response_class=Response, **keyed("flag:evaluate", **_READS)
)
async def take_front_end_metrics(body: Metrics) -> Response:
    """Take the counts of a front end's SDK into our metrics; usage has counted its answers when they were evaluated."""
    noted(body)
    return Response(status_code=202)


async def hydrations(unleash: Unleash, desk: Desk) -> AsyncGenerator[bytes]:
    """Yield all features, and again after each change, as Unleash's stream has them."""
    yield come_back()
    event = b"unleash-connected"
    async for ruleset in changes(unleash.desks, desk):
        if ruleset is None:
            yield b": alive\n\n"
            continue
        whole: dict[str, Any] = orjson.loads(unleash.document(desk))
        about = {"type": "hydration", "eventId": ruleset.revision}
        hydration: dict[str, Any] = {**about, "features": whole["features"], "segments": []}
        told = orjson.dumps({"events": [hydration]})
        yield b"id: %d\nevent: %s\ndata: %s\n\n" % (ruleset.revision, event, told)
        event = b"unleash-updated"


def context_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return Unleash's context as ours: `userId` is the targetingKey, properties are attributes, texts all of them."""
    found: Any = said.get("properties")
    properties: Mapping[str, Any] = found if isinstance(found, dict) else {}  # type: ignore[reportUnknownVariableType]
    own = {name: said[name] for name in _OWN if said.get(name) is not None}
    context = {name: _text(value) for name, value in {**properties, **own}.items()}
    return {**context, UNIT: context["userId"]} if "userId" in context else context


def _text(value: object) -> object:
    """Return a value as Unleash's SDKs see it: numbers and booleans are texts to them."""
    if isinstance(value, bool | int | float):
        return orjson.dumps(value).decode()
    return value


def _queried(query: Mapping[str, str]) -> dict[str, Any]:
    properties = {
        name[len("properties[") : -1]: value
        for name, value in query.items()
        if name.startswith("properties[") and name.endswith("]")
    }
    return context_of({**query, "properties": properties})


def _enabled(desk: Desk, request: Request, context: Mapping[str, Any]) -> Response:
    ruleset, asked = desk.ruleset, Asked(time(), members={})
    kinds = {row.key: row.type for row in desk.held.source.rows}
    toggles: list[dict[str, Any]] = []
    for flag in ruleset.visible(client_side=desk.client_side):
        answer = ruleset.serve(flag, context, asked)
        desk.held.tally.answers[answer] += 1
        if answer.trouble is not None or answer.value is False:
            continue
        kind = FlagType(kinds[flag.key])
        if kind is FlagType.BOOLEAN:
            variant: dict[str, Any] = {**_DISABLED, "feature_enabled": True}
        elif answer.reason is Reason.DISABLED:
            continue
        else:
            told = {"payload": payload(kind, answer.value), "feature_enabled": True}
            variant = {"name": answer.variant, "enabled": True, **told}
        toggles.append(
            {"name": flag.key, "enabled": True, "impressionData": False, "variant": variant}
        )
    said = orjson.dumps({"toggles": toggles})
    tag = f'"{blake2b(said, digest_size=16).hexdigest()}"'
    headers = {"etag": tag}
    if tag.encode() in tags(request.headers.get("if-none-match", "").encode()):
        return Response(status_code=304, headers=headers)
    return Response(said, media_type="application/json", headers=headers)


def _tag(desk: Desk) -> str:
    said = blake2b(f"{desk.held.place}".encode(), digest_size=8).hexdigest()
    return f'"{said}:{desk.ruleset.revision}"'


def _for_servers(desk: Desk) -> None:
    if desk.client_side:
        raise FeaturesForServers("a client-side key may not have the rules: use /api/frontend")
