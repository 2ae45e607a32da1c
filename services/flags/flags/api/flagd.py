"""flagd's evaluation protocol, versions 1 and 2: flagd's providers in RPC mode work unmodified.

An API key comes as metadata (`x-api-key`, `authorization: Bearer …`) or, from providers that can send nothing else, as
the selector (`flagd-selector`). Reasons are OpenFeature's; STATIC, which providers cache, is only said of flags that
are the same for everybody. Errors are gRPC's, as flagd has them: NOT_FOUND, INVALID_ARGUMENT for another type,
DATA_LOSS for a flag whose stored form is spoilt, FAILED_PRECONDITION for a context without what a split goes by.
"""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.struct_pb2 import Struct
from grpc import StatusCode

from chassis.rpc import Context as Call
from flagd.evaluation.v1 import evaluation_pb2 as v1
from flagd.evaluation.v1 import evaluation_pb2_grpc as rpc1
from flagd.evaluation.v2 import evaluation_pb2 as v2
from flagd.evaluation.v2 import evaluation_pb2_grpc as rpc2
from flags.api.changes import changes
from flags.api.desks import Desk, Desks
from flags.api.rendered import marks
from flags.domain.answers import Answer, Reason, Trouble
from flags.domain.compile import Asked
from flags.domain.context import plain
from flags.domain.ruleset import Compiled, Ruleset

DOOR = "/flagd.evaluation"
SELECTOR = "flagd-selector"
_WHOLE = 2.0**53
_CODES = {
    Trouble.PARSE_ERROR: StatusCode.DATA_LOSS,
    Trouble.TARGETING_KEY_MISSING: StatusCode.FAILED_PRECONDITION,
    Trouble.INVALID_CONTEXT: StatusCode.FAILED_PRECONDITION,
    Trouble.FLAG_NOT_FOUND: StatusCode.NOT_FOUND,
    Trouble.GENERAL: StatusCode.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a method answers: the name of it, and whether and as what a value fits."""

    name: str
    fits: Callable[[Any], bool]
    told: Callable[[Any], Any] = lambda value: value


BOOLEAN = Kind("boolean", lambda value: isinstance(value, bool))
STRING = Kind("string", lambda value: isinstance(value, str))
INTEGER = Kind("integer", lambda value: value.__class__ is int)
FLOAT = Kind("float", lambda value: value.__class__ in (int, float), float)


async def seated(desks: Desks, call: Call, door: str) -> Desk:
    """Return the desk of a call's API key, with one evaluation counted."""
    pairs = call.invocation_metadata() or ()
    headers = {k.encode(): v.encode() for k, v in pairs if isinstance(v, str)}
    selector = headers.get(SELECTOR.encode(), b"")
    if selector.startswith(b"sy_") and not headers.keys() & {b"x-api-key", b"authorization"}:
        headers[b"x-api-key"] = selector
    desk = await desks.of(headers, door)
    desk.take()
    desks.identity.used.seen.add(desk.key)
    return desk


def struct_of(value: Mapping[str, Any]) -> Struct:
    """Return a JSON object as flagd sends it."""
    made = Struct()
    made.update(value)
    return made


def context_of(sent: Struct) -> dict[str, Any]:
    """Return a context; whole numbers are whole again, which on this wire are all doubles."""
    return {name: _value(value) for name, value in sent.fields.items()}


def _value(sent: Any) -> Any:  # noqa: ANN401 - JSON is anything
    kind = sent.WhichOneof("kind")
    if kind == "number_value":
        number: float = sent.number_value
        return int(number) if abs(number) < _WHOLE and number.is_integer() else number
    if kind == "struct_value":
        return context_of(sent.struct_value)
    if kind == "list_value":
        return [_value(one) for one in sent.list_value.values]
    return None if kind in (None, "null_value") else getattr(sent, kind)


@dataclass(slots=True)
class Resolving:
    """What both versions do."""

    desks: Desks
    clock: Callable[[], float] = time.time

    async def one(self, request: Any, call: Call, kind: Kind) -> dict[str, Any]:  # noqa: ANN401
        """Return the fields of the answer to a `Resolve…` call; the call is aborted where there is none."""
        desk = await seated(self.desks, call, DOOR)
        context = context_of(request.context)
        ruleset = desk.ruleset
        flag = ruleset.seen_as(request.flag_key, client_side=desk.client_side)
        if flag is None:
            said = f"there is no flag {request.flag_key[:200]!r} for this API key"
            await call.abort(StatusCode.NOT_FOUND, said)
        answer = ruleset.ask(flag, context, self.clock())
        desk.held.tally.answers[answer] += 1
        if answer.trouble is not None:
            await call.abort(_CODES[answer.trouble], f"{answer.trouble}: {answer.details}")
        if not kind.fits(answer.value):
            said = f"TYPE_MISMATCH: flag {flag.key!r} is not of type {kind.name}"
            await call.abort(StatusCode.INVALID_ARGUMENT, said)
        told = {"value": kind.told(answer.value), "variant": answer.variant}
        return {**told, "reason": answer.reason.value, "metadata": metadata(ruleset, answer)}

    async def every(self, request: v1.ResolveAllRequest, call: Call) -> v1.ResolveAllResponse:
        """Return what all flags serve; one with a list for its value has none here, and says so by its reason."""
        desk = await seated(self.desks, call, DOOR)
        ruleset, context = desk.ruleset, plain(context_of(request.context))
        asked = Asked(self.clock(), members={})
        answers = {
            flag.key: ruleset.serve(flag, context, asked)
            for flag in ruleset.visible(client_side=desk.client_side)
        }
        for answer in answers.values():
            desk.held.tally.answers[answer] += 1
        flags = {key: any_flag(ruleset, answer) for key, answer in answers.items()}
        return v1.ResolveAllResponse(flags=flags, metadata=metadata(ruleset))

    async def events(self, call: Call) -> AsyncGenerator[tuple[str, Struct | None]]:
        """Yield (type, data) of each event of a stream."""
        desk = await seated(self.desks, call, DOOR)
        before: Ruleset | None = None
        async for ruleset in changes(self.desks, desk):
            if ruleset is None:
                yield "keep_alive", None
            elif before is None:
                yield "provider_ready", None
            elif keys := changed(before, ruleset, client_side=desk.client_side):
                yield (
                    "configuration_change",
                    struct_of({"flags": {key: {"type": "update"} for key in keys}}),
                )
            before = ruleset or before


def is_object(value: object) -> bool:
    """Tell whether a value is what flagd calls an object: a list is none."""
    return isinstance(value, dict)


OBJECT = Kind("object", is_object, struct_of)


def metadata(ruleset: Ruleset, answer: Answer | None = None) -> Struct:
    """Return where an answer comes from, and in which experiment it puts who asks."""
    place = ruleset.place
    return struct_of(
        {
            "flagSetId": f"{place.project}/{place.environment}",
            "version": str(ruleset.revision),
            "project": place.project,
            "environment": place.environment,
            **(marks(answer) if answer else {}),
        }
    )


def any_flag(ruleset: Ruleset, answer: Answer) -> v1.AnyFlag:
    """Return an answer of any type. What has no value says ERROR."""
    about = metadata(ruleset, answer)
    made = v1.AnyFlag(reason=answer.reason.value, variant=answer.variant, metadata=about)
    value = answer.value
    if isinstance(value, bool):
        made.bool_value = value
    elif isinstance(value, str):
        made.string_value = value
    elif isinstance(value, int | float):
        made.double_value = value
    elif is_object(value):
        made.object_value.update(value)
    else:
        made.reason = Reason.ERROR.value
    return made


def changed(before: Ruleset, after: Ruleset, *, client_side: bool) -> list[str]:
    """Return the keys of flags that may serve something else now; whatever has rules may."""
    old = {flag.key: flag for flag in before.visible(client_side=client_side)}
    new = {flag.key: flag for flag in after.visible(client_side=client_side)}
    return sorted(k for k in old.keys() | new.keys() if not _same(old.get(k), new.get(k)))


def _same(before: Compiled | None, after: Compiled | None) -> bool:
    old, new = before and before.answer, after and after.answer
    if old is None or new is None:
        return False
    return (old.variant, old.reason, repr(old.value)) == (new.variant, new.reason, repr(new.value))


class EvaluationV1(rpc1.ServiceServicer):
    """flagd.evaluation.v1."""

    def __init__(self, desks: Desks) -> None:
        self._resolve = Resolving(desks)

    async def ResolveAll(  # noqa: N802
        self, request: v1.ResolveAllRequest, context: Call
    ) -> v1.ResolveAllResponse:
        """Evaluate every flag that the API key may see."""
        return await self._resolve.every(request, context)

    async def ResolveBoolean(  # noqa: N802
        self, request: v1.ResolveBooleanRequest, context: Call
    ) -> v1.ResolveBooleanResponse:
        """Evaluate a boolean flag."""
        return v1.ResolveBooleanResponse(**await self._resolve.one(request, context, BOOLEAN))

    async def ResolveString(  # noqa: N802
        self, request: v1.ResolveStringRequest, context: Call
    ) -> v1.ResolveStringResponse:
        """Evaluate a string flag."""
        return v1.ResolveStringResponse(**await self._resolve.one(request, context, STRING))

    async def ResolveFloat(  # noqa: N802
        self, request: v1.ResolveFloatRequest, context: Call
    ) -> v1.ResolveFloatResponse:
        """Evaluate a float flag, or an integer one."""
        return v1.ResolveFloatResponse(**await self._resolve.one(request, context, FLOAT))

    async def ResolveInt(  # noqa: N802
        self, request: v1.ResolveIntRequest, context: Call
    ) -> v1.ResolveIntResponse:
        """Evaluate an integer flag."""
        return v1.ResolveIntResponse(**await self._resolve.one(request, context, INTEGER))

    async def ResolveObject(  # noqa: N802
        self, request: v1.ResolveObjectRequest, context: Call
    ) -> v1.ResolveObjectResponse:
        """Evaluate a JSON flag whose value is an object."""
        return v1.ResolveObjectResponse(**await self._resolve.one(request, context, OBJECT))

    async def EventStream(  # noqa: N802
        self, request: v1.EventStreamRequest, context: Call
    ) -> AsyncGenerator[v1.EventStreamResponse]:
        """Tell what has changed."""
        async for kind, data in self._resolve.events(context):
            yield v1.EventStreamResponse(type=kind, data=data)


class EvaluationV2(rpc2.ServiceServicer):
    """flagd.evaluation.v2."""

    def __init__(self, desks: Desks) -> None:
        self._resolve = Resolving(desks)

    async def ResolveBoolean(  # noqa: N802
        self, request: v2.ResolveBooleanRequest, context: Call
    ) -> v2.ResolveBooleanResponse:
        """Evaluate a boolean flag."""
        return v2.ResolveBooleanResponse(**await self._resolve.one(request, context, BOOLEAN))

    async def ResolveString(  # noqa: N802
        self, request: v2.ResolveStringRequest, context: Call
    ) -> v2.ResolveStringResponse:
        """Evaluate a string flag."""
        return v2.ResolveStringResponse(**await self._resolve.one(request, context, STRING))

    async def ResolveFloat(  # noqa: N802
        self, request: v2.ResolveFloatRequest, context: Call
    ) -> v2.ResolveFloatResponse:
        """Evaluate a float flag, or an integer one."""
        return v2.ResolveFloatResponse(**await self._resolve.one(request, context, FLOAT))

    async def ResolveInt(  # noqa: N802
        self, request: v2.ResolveIntRequest, context: Call
    ) -> v2.ResolveIntResponse:
        """Evaluate an integer flag."""
        return v2.ResolveIntResponse(**await self._resolve.one(request, context, INTEGER))

    async def ResolveObject(  # noqa: N802
        self, request: v2.ResolveObjectRequest, context: Call
    ) -> v2.ResolveObjectResponse:
        """Evaluate a JSON flag whose value is an object."""
        return v2.ResolveObjectResponse(**await self._resolve.one(request, context, OBJECT))

    async def EventStream(  # noqa: N802
        self, request: v2.EventStreamRequest, context: Call
    ) -> AsyncGenerator[v2.EventStreamResponse]:
        """Tell what has changed."""
        async for kind, data in self._resolve.events(context):
            yield v2.EventStreamResponse(type=kind, data=data)
