"""Evaluating in plain REST: one flag or many, for an API key and a context, with the reason for each answer.

Like every evaluation door it answers from memory (see `desks`): no database, no Redis, no iam in a warm request.
"""

import time
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from chassis.errors import Invalid
from chassis.http import Body, View, given, keyed
from flags.api.desks import Desk, Desks
from flags.api.keyed import Seated, key_doors
from flags.api.rendered import marks
from flags.domain.answers import Answer
from flags.domain.compile import Asked
from flags.domain.context import UNIT, Context, plain
from flags.domain.errors import FlagNotFound
from flags.domain.ruleset import Compiled

router = key_doors("/api/v1/feature-flags", "flags")
Uses = Annotated[Desks, given(Desks)]
AskedKey = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
_READS: dict[str, Any] = {"x-reads": True}


class BadContext(Invalid):
    """The evaluation context cannot be used: its targetingKey is not a string."""

    code = "flags.bad_context"


class OneBody(Body):
    """Which flag, for whom."""

    key: AskedKey
    context: dict[str, Any] = Field(default_factory=dict)


class ManyBody(Body):
    """Which flags (all that the key may see if absent), for whom."""

    keys: list[AskedKey] | None = Field(default=None, max_length=1000)
    context: dict[str, Any] = Field(default_factory=dict)


class TroubleView(View):
    """Why there is no value."""

    code: str
    message: str


class EvaluationView(View):
    """What a flag serves. Where `error` is set there is neither value nor variant: use the default in your code.

    `metadata` names the experiment that whoever was asked for is in, if any.
    """

    key: str
    value: Any
    variant: str | None
    reason: str
    error: TroubleView | None
    metadata: dict[str, Any]


class OneView(EvaluationView):
    """One answer, the revision that it is from, and for how long (seconds) that has not been confirmed."""

    revision: int
    age: int


class ManyView(View):
    """Answers in the order asked for, or by key; the revision, and for how long it has not been confirmed."""

    flags: list[EvaluationView]
    revision: int
    age: int


@router.post("/evaluate", response_model=OneView, **keyed("flag:evaluate", **_READS))
async def evaluate_one(body: OneBody, desk: Seated, desks: Uses) -> OneView:
    """Evaluate one flag for a context; `targetingKey` in it names the unit that splits go by."""
    _check(body.context)
    ruleset = desk.ruleset
    flag = ruleset.seen_as(body.key, client_side=desk.client_side)
    if flag is None:
        raise FlagNotFound(f"there is no flag {body.key!r} for this API key")
    answer = ruleset.ask(flag, body.context, time.time())
    desk.held.tally.answers[answer] += 1
    return OneView(**_said(body.key, answer), revision=ruleset.revision, age=_age(desks, desk))


@router.post("/evaluate/bulk", response_model=ManyView, **keyed("flag:evaluate", **_READS))
async def evaluate_many(body: ManyBody, desk: Seated, desks: Uses) -> ManyView:
    """Evaluate several flags for a context; one that is not there says so in its place."""
    _check(body.context)
    said = [EvaluationView(**one) for one in _all(desk, body.keys, body.context)]
    return ManyView(flags=said, revision=desk.ruleset.revision, age=_age(desks, desk))


def _check(context: Context) -> None:
    if not isinstance(context.get(UNIT, ""), str):
        raise BadContext("the context's targetingKey is not a string")


def _all(desk: Desk, keys: list[str] | None, context: Context) -> Iterable[dict[str, Any]]:
    """Yield what each flag serves; flags that need the same flags and segments share the work."""
    ruleset, unit, asked = desk.ruleset, plain(context), Asked(time.time(), members={})
    visible = {flag.key: flag for flag in ruleset.visible(client_side=desk.client_side)}
    for key in visible if keys is None else keys:
        flag: Compiled | None = visible.get(key)
        if flag is None:
            yield _missing(key)
            continue
        answer = ruleset.serve(flag, unit, asked)
        desk.held.tally.answers[answer] += 1
        yield _said(key, answer)


def _said(key: str, answer: Answer) -> dict[str, Any]:
    if answer.trouble is None:
        told = {"value": answer.value, "variant": answer.variant, "error": None}
    else:
        error = {"code": answer.trouble.value, "message": answer.details}
        told = {"value": None, "variant": None, "error": error}
    return {"key": key, "reason": answer.reason.value, "metadata": marks(answer), **told}


def _missing(key: str) -> dict[str, Any]:
    error = {"code": "FLAG_NOT_FOUND", "message": "there is no such flag for this API key"}
    told = {"value": None, "variant": None, "reason": "ERROR", "error": error}
    return {"key": key, "metadata": {}, **told}


def _age(desks: Desks, desk: Desk) -> int:
    return int(desks.rulesets.age(desk.held))
