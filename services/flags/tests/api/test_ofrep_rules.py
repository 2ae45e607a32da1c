"""OFREP with rules: what an SDK gets for a context, alone and in bulk."""

from dataclasses import replace
from types import SimpleNamespace

import orjson
import pytest

from authz.limits import Limiter
from flags.api.desks import Desks
from flags.api.ofrep import Ofrep
from flags.domain.flag import Change, Draft
from flags.usecases.flags import Aim

SWISS = {"op": "eq", "attribute": "country", "value": "CH"}
HALF = {"weights": [{"variant": "on", "weight": 50_000}, {"variant": "off", "weight": 50_000}]}
BULK = "/ofrep/v1/evaluate/flags"


class Keys:
    """An identity that takes one key for its caller."""

    def __init__(self, caller):
        self.authority = SimpleNamespace(generation=1)
        self.used = SimpleNamespace(seen=set())
        self._caller = caller

    def key(self, key):
        return SimpleNamespace(expires=None, id="k", hash="ab" * 32) if key == "k" else None

    def caller_of(self, known):
        return self._caller

    async def of(self, headers):
        return self._caller


@pytest.fixture
def caller(ana):
    return replace(ana, kind="api_key", credential="k", environment="production", project="default")


@pytest.fixture
def now():
    return [1_767_225_600.0]


@pytest.fixture
def door(rulesets, caller, now):
    return Ofrep(Desks(rulesets, Keys(caller), Limiter(10_000)), clock=lambda: now[0])


async def asked(door, path, context=None, **headers):
    body = orjson.dumps({"context": context}) if context is not None else b""
    sent = {b"x-api-key": b"k", **{k.replace("_", "-").encode(): v for k, v in headers.items()}}
    status, fields, said = await door.reply(path, sent, body)
    return status, dict(fields), orjson.loads(said) if said else None


async def make(flags, ana, here, key, **draft):
    usual = {"default_variant": "off", "off_variant": "off"}
    await flags.create(ana, here, Draft(key=key, name=key, **usual, **draft))
    await flags.enable(ana, Aim(flag=key, place=here))


async def test_a_rule_decides_which_bytes_are_sent(door, flags, ana, here):
    rules = ({"when": SWISS, "variant": "on"}, {"split": HALF})
    await make(flags, ana, here, "shop/new", rules=rules)
    path = f"{BULK}/shop/new"
    status, _, said = await asked(door, path, {"country": "CH"})
    assert (status, said) == (
        200,
        {
            "key": "shop/new",
            "value": True,
            "variant": "on",
            "reason": "TARGETING_MATCH",
            "metadata": {"environment": "production", "project": "default"},
        },
    )
    status, _, said = await asked(door, path, {"targetingKey": "u"})
    assert (status, said["reason"]) == (200, "SPLIT")
    for nobody in (None, {}):
        status, _, said = await asked(door, path, nobody)
        assert (status, said["errorCode"], said["key"]) == (
            400,
            "TARGETING_KEY_MISSING",
            "shop/new",
        )
        assert said["errorDetails"]


async def test_the_bulk_holds_every_flag_in_order_errors_among_them(door, flags, ana, here):
    await make(flags, ana, here, "a")
    await make(flags, ana, here, "b", rules=({"when": SWISS, "variant": "on"},))
    await make(flags, ana, here, "c", rules=({"split": HALF},))
    await make(
        flags,
        ana,
        here,
        "d",
        prerequisites=({"flag": "b", "variants": ["on"]},),
        rules=({"variant": "on"},),
    )
    await make(flags, ana, here, "e")
    _, _, said = await asked(door, BULK, {"country": "CH"})
    assert [(f["key"], f.get("reason") or f["errorCode"]) for f in said["flags"]] == [
        ("a", "STATIC"),
        ("b", "TARGETING_MATCH"),
        ("c", "TARGETING_KEY_MISSING"),
        ("d", "TARGETING_MATCH"),
        ("e", "STATIC"),
    ]
    _, _, said = await asked(door, BULK, {"targetingKey": "u"})
    assert [(f["variant"], f["reason"]) for f in said["flags"]][3] == ("off", "DISABLED")


async def test_the_bulk_is_304_for_the_same_context_and_revision_only(
    door, flags, rulesets, ana, here
):
    await make(flags, ana, here, "b", rules=({"when": SWISS, "variant": "on"},))
    _, fields, _ = await asked(door, BULK, {"country": "CH"})
    tag = fields[b"etag"]
    assert (await asked(door, BULK, {"country": "CH"}, if_none_match=tag))[0] == 304
    assert (await asked(door, BULK, {"country": "FR"}, if_none_match=tag))[0] == 200
    await flags.update(ana, Aim(flag="b", place=here), Change(switch={"rules": ()}))
    await rulesets.poll()
    assert (await asked(door, BULK, {"country": "CH"}, if_none_match=tag))[0] == 200


async def test_where_time_decides_the_tag_is_that_of_the_answer(door, flags, ana, here, now):
    later = {"op": "after", "attribute": "$now", "value": "2026-01-01T01:00:00Z"}
    await make(flags, ana, here, "t", rules=({"when": later, "variant": "on"},))
    _, fields, said = await asked(door, BULK, {})
    assert said["flags"][0]["variant"] == "off"
    now[0] += 3600
    assert (await asked(door, BULK, {}, if_none_match=fields[b"etag"]))[0] == 304
    now[0] += 1
    status, _, said = await asked(door, BULK, {}, if_none_match=fields[b"etag"])
    assert (status, said["flags"][0]["variant"]) == (200, "on")


async def test_a_trailing_slash_and_several_kinds_are_understood(door, flags, ana, here):
    plan = {"op": "eq", "attribute": "plan", "kind": "organization", "value": "pro"}
    await make(flags, ana, here, "org", rules=({"when": plan, "variant": "on"},))
    context = {"kind": "multi", "user": {"key": "u"}, "organization": {"key": "o", "plan": "pro"}}
    for path in (f"{BULK}/org", f"{BULK}/org/"):
        assert (await asked(door, path, context))[2]["variant"] == "on"
    assert (await asked(door, f"{BULK}/gone", context))[0] == 404


async def test_small_contexts_are_remembered_for_previews_each_unit_once(
    door, flags, rulesets, ana, here
):
    await make(flags, ana, here, "f")
    for context in (
        {"targetingKey": "u"},
        {"targetingKey": "v"},
        {"targetingKey": "u", "x": 1},
        {"targetingKey": "w", "x": "y" * 5000},
    ):
        await asked(door, BULK, context)
    assert rulesets.seen(here) == [{"targetingKey": "u", "x": 1}, {"targetingKey": "v"}]
