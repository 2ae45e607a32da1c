"""Clients that exist work unmodified, through the gateway, with an API key: what they serve is what plain REST says.

They are installed as their users install them, in environments of their own (tests/journeys/clients, pinned by hash),
once per set of pins; where no registry can be reached these tests are skipped, and say so.
"""

import asyncio
import contextlib
import fcntl
import json
import shutil
import subprocess
import sys
import tempfile
import venv
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.journey

HERE = Path(__file__).parent / "clients"
PATIENCE = 40  # seconds that a client has for an answer
DEEP = {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}}}
CONTEXTS = [
    {"targetingKey": "ana", "country": "CH", "plan": "pro", "version": "1.5.2", "age": 40},
    {"targetingKey": "ben", "country": "DE", "version": "1.3.0-rc.1", "age": 17, "vip": True},
    {"targetingKey": "ünïcödé 漢字", "country": "", "plan": "proper", "version": "nonsense"},
    {"targetingKey": "x" * 1000, "plan": "free", "version": "2.0.0", **DEEP},
    {},
]
SPLIT = [{"variant": "on", "weight": 50_000}, {"variant": "off", "weight": 50_000}]
CLAUSE = {
    "country": {"op": "in", "attribute": "country", "values": ["CH", "LI"]},
    "plan": {"op": "starts", "attribute": "plan", "values": ["pro"]},
    "version": {"op": "semver_ge", "attribute": "version", "value": "1.4.0"},
    "age": {"op": "num_ge", "attribute": "age", "value": 18},
    "regex": {"op": "matches", "attribute": "country", "values": ["^C"]},
}
FLAGS = {
    "plain": {},
    "shop/checkout.v2": {},
    "off": {"enabled": False},
    "swiss": {
        "default_variant": "off",
        "rules": [{"when": {"all": [CLAUSE["country"], CLAUSE["plan"]]}, "variant": "on"}],
    },
    "half": {"rules": [{"split": {"weights": SPLIT}}]},
    "adults": {"default_variant": "off", "rules": [{"when": CLAUSE["age"], "variant": "on"}]},
    "regex": {"default_variant": "off", "rules": [{"when": CLAUSE["regex"], "variant": "on"}]},
    "after": {"prerequisites": [{"flag": "swiss", "variants": ["on"]}]},
    "hello": {
        "type": "string",
        "variants": {"de": "Grüezi", "en": "Hi"},
        "default_variant": "en",
        "rules": [
            {"when": {"any": [CLAUSE["country"], CLAUSE["plan"]]}, "variant": "de"},
        ],
    },
    "newest": {
        "type": "integer",
        "variants": {"few": 3, "many": 9},
        "rules": [{"when": {"not": CLAUSE["version"]}, "variant": "many"}],
    },
    "rate": {"type": "float", "variants": {"one": 1, "half": 0.5}},
    "theme": {
        "type": "json",
        "variants": {"dark": {"b": 1, "ü": ["x"]}, "light": {}},
        "targets": [{"variant": "light", "values": ["ben", "ünïcödé 漢字"]}],
    },
}
TYPES = {key: said.get("type", "boolean") for key, said in FLAGS.items()}
# What the protocol has no exact words for, and so leaves to the default in the program.
LEFT_OUT = {"in_process": {"regex"}, "unleash": {"half", "adults", "regex", "after", "newest"}}


def made(pins, build):
    """Return a folder for a set of pins, built once whoever asks first; skip with a reason if it cannot be."""
    name = sha256(b"".join(p.read_bytes() for p in pins) + sys.version.encode()).hexdigest()[:16]
    home = Path(tempfile.gettempdir()) / f"switchyard-clients-{name}"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "done").exists():
            built = build(home)
            if built.returncode:
                assert "hash" not in built.stderr.lower(), built.stderr[-2000:]
                assert "integrity" not in built.stderr.lower(), built.stderr[-2000:]
                pytest.skip(f"the clients cannot be installed here: {built.stderr[-300:]}")
            (home / "done").touch()
    return home


@pytest.fixture(scope="session")
def python_clients():
    pins = HERE / "requirements.txt"

    def build(home):
        venv.create(home / "env", with_pip=True)
        pip = [
            home / "env/bin/python",
            "-m",
            "pip",
            "install",
            "-q",
            "--require-hashes",
            "-r",
            pins,
        ]
        return subprocess.run([*pip, "--only-binary", ":all:"], capture_output=True, text=True)

    home = made([pins], build)
    return [str(home / "env/bin/python"), str(HERE / "python_clients.py")]


@pytest.fixture(scope="session")
def javascript_clients():
    if not (npm := shutil.which("npm")):
        pytest.skip("there is no npm here")
    pins = [HERE / "package.json", HERE / "package-lock.json"]

    def build(home):
        for path in pins:
            shutil.copy(path, home)
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts"]
        return subprocess.run([npm, "ci", *quiet], cwd=home, capture_output=True, text=True)

    home = made(pins, build)
    shutil.copy(HERE / "javascript_clients.mjs", home)  # modules are looked for beside the script
    return [shutil.which("node"), str(home / "javascript_clients.mjs")]


@contextlib.asynccontextmanager
async def running(command, mode):
    """Run a client program; yield how to say a line to it and hear one."""
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, mode, stdin=pipe, stdout=pipe, stderr=errors, limit=1 << 24
    )

    async def talk(said):
        process.stdin.write(json.dumps(said).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            line = await process.stdout.readline()
        if not line:
            errors.seek(0)
            raise AssertionError(f"{mode} died: {errors.read().decode()[-3000:]}")
        return json.loads(line)

    try:
        yield talk
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        errors.close()


class Shop:
    """Flags of every kind in a fresh organization, a server-side key, and what plain REST says they serve."""

    def __init__(self, org, url, key, ids):
        self.org, self.url, self.key, self.ids = org, url, key, ids

    def web(self):
        return httpx.AsyncClient(base_url=self.url, headers={"x-api-key": self.key}, timeout=10)

    async def expected(self, context):
        async with self.web() as web:
            got = await web.post("/api/v1/feature-flags/evaluate/bulk", json={"context": context})
        return {flag["key"]: flag for flag in got.raise_for_status().json()["flags"]}

    def job(self):
        flags = [*TYPES.items(), ("no-such-flag", "boolean")]
        change = {"flag": "hello", "context": CONTEXTS[0], "value": "Hi"}
        return {
            "url": self.url,
            "key": self.key,
            "flags": flags,
            "contexts": CONTEXTS,
            "change": change,
        }

    async def change(self):
        path = f"/api/v1/feature-flags/{self.ids['hello']}"
        body = {"rules": [], "default_variant": "en"}
        (await self.org.web.patch(path, json=body)).raise_for_status()


@pytest.fixture
async def shop(org, url, eventually):
    ids = {}
    for key, said in FLAGS.items():
        body = {name: value for name, value in said.items() if name != "enabled"}
        ids[key] = (await org.flag(key, **body))["id"]
        if said.get("enabled", True):
            path = f"/api/v1/feature-flags/{ids[key]}/enable"
            (await org.web.post(path, json={"reason": "a journey"})).raise_for_status()
    shop = Shop(org, url, await org.key(), ids)

    async def known():
        with contextlib.suppress(Exception):
            return len(await shop.expected({})) == len(FLAGS)

    await eventually(known)
    return shop


async def served(shop, command, mode):
    """Return what a client served to each context beside what REST says, after it has heard of a change."""
    async with running(command, mode) as talk:
        answers = await talk(shop.job())
        expected = [await shop.expected(context) for context in CONTEXTS]
        await shop.change()
        heard = await talk("changed")
        print(f"{mode}: a change was served after {heard['seconds']:.2f} s")
    return list(zip(answers, expected, strict=True))


# What a provider has kept for itself.
CACHED = {"STATIC": "CACHED"}


def same(answer, flag, *, reasons=None):
    """Whether a client served what REST says; the default of the program where REST says that there is no value."""
    if flag["error"]:
        return answer["error"] is not None and answer["reason"] == "ERROR"
    reason = (reasons or {}).get(flag["reason"], flag["reason"])
    told = answer["value"], answer["variant"], answer["reason"]
    return told == (flag["value"], flag["variant"], reason)


@pytest.mark.parametrize("mode", ["ofrep", "rpc"])
async def test_openfeature_in_python_evaluates_remotely(shop, python_clients, mode):
    for answers, expected in await served(shop, python_clients, mode):
        assert answers.pop("no-such-flag")["error"] == "FLAG_NOT_FOUND"
        wrong = {
            key: (a, expected[key])
            for key, a in answers.items()
            if not same(a, expected[key]) and not same(a, expected[key], reasons=CACHED)
        }
        assert wrong == {}


async def test_openfeature_in_python_evaluates_our_rules_in_its_own_process(shop, python_clients):
    # flagd's words: what has rules is TARGETING_MATCH; the off variant of a disabled flag is a flag without rules.
    words = {"SPLIT": "TARGETING_MATCH", "DISABLED": "STATIC"}
    for answers, expected in await served(shop, python_clients, "in_process"):
        for key in LEFT_OUT["in_process"] | {"no-such-flag"}:
            assert answers.pop(key)["error"] == "FLAG_NOT_FOUND"
        # Some versions of flagd hash units in another way: they serve nothing, rather than another share.
        half = answers.pop("half")
        assert half["error"] or half["value"] == expected["half"]["value"]
        # A prerequisite that is not met is one of its rules.
        after = answers.pop("after")
        assert after["value"] == expected["after"]["value"]
        wrong = {
            k: (a, expected[k])
            for k, a in answers.items()
            if not same(a, expected[k], reasons=words)
        }
        assert wrong == {}


@pytest.mark.parametrize("mode", ["server", "web"])
async def test_openfeature_in_javascript(shop, javascript_clients, mode):
    for answers, expected in await served(shop, javascript_clients, mode):
        assert answers.pop("no-such-flag")["error"] == "FLAG_NOT_FOUND"
        wrong = {
            key: (a, expected[key]) for key, a in answers.items() if not same(a, expected[key])
        }
        assert wrong == {}


@pytest.mark.parametrize("mode", ["polling", "streaming"])
async def test_unleash_in_python(shop, python_clients, mode):
    for answers, expected in await served(shop, python_clients, mode):
        for key, answer in answers.items():
            flag = expected.get(key)
            if flag is None or key in LEFT_OUT["unleash"]:
                assert (answer["enabled"], answer["variant"]) == (False, "disabled"), key
            elif TYPES[key] == "boolean":
                assert answer["enabled"] is flag["value"], (key, answer, flag)
            else:
                assert answer["variant"] == flag["variant"], (key, answer, flag)
                told = answer["value"]
                assert (told if TYPES[key] == "string" else json.loads(told)) == flag["value"]


async def test_unleash_in_a_browser_gets_every_flag(shop, url):
    web, headers = shop.org.web, {"authorization": shop.key}
    for context in CONTEXTS[:3]:
        who = {"userId": context["targetingKey"], "properties": {**context}}
        texts = {
            k: json.dumps(v) if v is True or isinstance(v, int) else v for k, v in context.items()
        }
        expected = await shop.expected(texts)
        got = await web.post("/api/frontend", json={"context": who}, headers=headers)
        toggles = {t["name"]: t["variant"] for t in got.raise_for_status().json()["toggles"]}
        for key, flag in expected.items():
            if TYPES[key] == "boolean":
                assert (key in toggles) is flag["value"], key
            else:
                assert toggles[key]["name"] == flag["variant"]
        tag = {**headers, "if-none-match": got.headers["etag"]}
        again = await web.post("/api/frontend", json={"context": who}, headers=tag)
        assert again.status_code == 304
    query = {"userId": "ana", "properties[country]": "CH", "properties[plan]": "pro"}
    got = await web.get("/api/frontend", params=query, headers=headers)
    assert "swiss" in {t["name"] for t in got.json()["toggles"]}
