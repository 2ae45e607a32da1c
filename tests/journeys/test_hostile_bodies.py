"""Every operation with a body is sent bodies that are none: a 4xx with a sentence each time, and no service falls."""

import asyncio
import gzip
import json

import pytest

pytestmark = pytest.mark.journey

DEEP = b"[" * 100_000 + b"]" * 100_000
BODIES = {
    "nothing": b"",
    "half": b'{"name": "',
    "deep": DEEP,
    "deep inside": b'{"name": ' + DEEP + b"}",
    "a number beyond numbers": b'{"name": 1e400, "weight": 1e400, "limit": -1e400}',
    "not a number": b'{"name": NaN, "value": Infinity}',
    "a key twice": b'{"name": "a", "name": "b"}',
    "a lone surrogate": rb'{"name": "\ud800", "key": "\udfff", "description": "\ud800"}',
    "NUL": rb'{"name": "a\u0000b", "key": "a\u0000b", "reason": "\u0000"}',
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "an integer of a thousand digits": b'{"name": '
    + b"9" * 1000
    + b', "limit": '
    + b"9" * 1000
    + b"}",
    "a list": b"[]",
    "null": b"null",
    "a prototype": b'{"__proto__": {"admin": true}, "constructor": {}, "tenant_id": "x", "id": "x"}',
}
METHODS = ("post", "put", "patch")
AT_ONCE = 3  # beside other tests: who is asked more at once may be late for the gate's question after its health


def taking_bodies(document):
    """Yield (method, path with ids that are well formed and of nothing) of what takes JSON."""
    for path, item in document["paths"].items():
        for method in METHODS:
            content = item.get(method, {}).get("requestBody", {}).get("content", {})
            if "application/json" in content:
                yield method, filled(path, item[method].get("parameters", []))


def filled(path, parameters):
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + "0190f5fe-7c00-7a00-8000-000000000000" + rest.partition("}")[2]
    return path


@pytest.fixture
async def document(org):
    return (await org.web.get("/openapi.json")).raise_for_status().json()


def is_refused(answer):
    """A 4xx that is a problem document; or an answer of a door that wants no body."""
    if 400 <= answer.status_code < 500:
        return "json" in answer.headers.get("content-type", "")
    return 200 <= answer.status_code < 300


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_body_that_is_none_gets_a_sentence_from_every_operation(org, document, body):
    gate, wrong = asyncio.Semaphore(AT_ONCE), []
    headers = {"content-type": "application/json"}

    async def send(method, path):
        async with gate:
            answer = await org.web.request(method.upper(), path, content=body, headers=headers)
        if not is_refused(answer):
            wrong.append((method, path, answer.status_code, answer.text[:200]))

    wanted = [(m, p) for m, p in taking_bodies(document) if "logout" not in p]
    assert len(wanted) > 50
    await asyncio.gather(*(send(method, path) for method, path in wanted))
    assert wrong == [], wrong[:3]


async def test_a_compressed_body_is_not_blown_up(org):
    bomb = gzip.compress(b'{"name": "' + b"a" * 50_000_000 + b'"}')
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = await org.web.post("/api/v1/feature-flags", content=bomb, headers=headers)
    assert answer.status_code in (400, 415, 422), answer.text


@pytest.mark.parametrize(
    "number", [2**53 + 1, -0.0, 33.3333, 1e308], ids=["2^53+1", "-0", "33.3333", "1e308"]
)
async def test_a_number_that_floats_cannot_hold_is_kept_or_refused_never_bent(org, number):
    body = {
        "key": "n",
        "name": "N",
        "type": "json",
        "variants": [{"key": "on", "value": {"n": number}}, {"key": "off", "value": {"n": 0}}],
    }
    made = await org.web.post("/api/v1/feature-flags", json=body)
    if made.status_code == 201:
        kept = json.loads((await org.web.get(made.headers["location"])).text)
        assert kept["variants"][0]["value"]["n"] == number
    else:
        assert made.status_code == 422, made.text
