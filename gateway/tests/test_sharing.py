"""Several gates let one limit through: each its share, by how many of them DNS knows.

Time passes between the requests of a test, and tokens come back meanwhile: what may have come is reckoned from
the clock, so a slow machine lets more through in more time, and never fails for it.
"""

import http.client
import math
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

import pytest

from gateway.tests.conftest import LIMITS, build, eventually, stop
from gateway.tests.names import Names

QUOTA = 20  # a minute, at the strict door
RATE = 4  # a second, of a tenant and of a key
ASKED = 60
BOTH = ("127.0.0.1", "127.0.0.2")
SHARED = replace(LIMITS, strict_per_minute=QUOTA, tenant_rate=RATE, key_rate=RATE)
RESOLVER = (
    "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
)


def asking(port: int):
    """Return what makes Envoy ask our name server about the gates."""
    server = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    quick = {"query_timeout_seconds": 1, "query_tries": 1}
    config = {"@type": RESOLVER, "resolvers": [server], **quick}

    def edit(document) -> None:
        (gates,) = [c for c in document["static_resources"]["clusters"] if c["name"] == "gates"]
        name = "envoy.network.dns_resolver.cares"
        gates["typed_dns_resolver_config"] = {"name": name, "typed_config": config}

    return edit


def counted(world, what: str) -> int:
    """Return what Envoy counts about the cluster of gates."""
    with closing(
        http.client.HTTPConnection("127.0.0.1", world.topology.admin, timeout=20)
    ) as asked:
        asked.request("GET", f"/stats?filter=^cluster.gates.{what}$")
        return int(asked.getresponse().read().rpartition(b" ")[2] or -1)


def answered(world, times, method, path, headers=None, source="127.0.0.1") -> list[int]:
    """Ask from an address, one after the other; return what the gate answered."""
    place, found = ("127.0.0.1", world.port), []
    with closing(http.client.HTTPConnection(*place, timeout=60, source_address=(source, 0))) as web:
        for _ in range(times):
            web.request(method, path, headers=headers or {})
            answer = web.getresponse()
            answer.read()
            found.append(answer.status)
    return found


def let_through(world, *asked) -> int:
    """Ask many times; return how many were not too many."""
    found = answered(world, ASKED, *asked)
    assert {200, 429} >= set(found) >= {429}, "nothing was limited"
    return found.count(200)


def together(worlds, *asked) -> tuple[int, float]:
    """Ask all gates at once; return how many requests passed, and in how many seconds."""
    begun = time.monotonic()
    with ThreadPoolExecutor() as pool:
        passed = sum(
            pool.map(
                lambda a: let_through(*a), [(w, *a) for w, a in zip(worlds, asked, strict=True)]
            )
        )
    return passed, time.monotonic() - begun


def strictly(worlds, source) -> tuple[int, float]:
    """Knock at a strict door from an address that nobody has had before."""
    return together(worlds, *[("POST", "/api/v1/login", None, source)] * len(worlds))


def one_limit(quota: int, window: float, took: float, gates: int) -> range:
    """Return how many may pass: a full bucket and what came back meanwhile, a token a gate more or less."""
    return range(quota - gates, math.ceil(quota + quota * took / window) + gates + 1)


@pytest.fixture(scope="module")
def names():
    with closing(Names(*BOTH)) as made:
        yield made


@pytest.fixture(scope="module")
def started(tmp_path_factory, names):
    """Start two gates that find one another by name."""
    with ExitStack() as stack:
        worlds = []
        for name in ("a", "b"):
            folder = tmp_path_factory.mktemp(name)
            world = build(folder, SHARED, asking(names.port), peers=("gates.test",))
            worlds.append(stack.enter_context(closing_world(world)))
        yield worlds


@contextmanager
def closing_world(world):
    yield world
    stop(world)


@pytest.fixture
def two(started, names):
    """Two gates that know of one another."""
    told(started, names, BOTH)
    return started


def told(worlds, names, known) -> None:
    """Have the name server know these, and wait until all gates do."""
    names.known = known
    for world in worlds:
        eventually(lambda w=world: counted(w, "membership_total") == len(known))


def test_gates_let_one_limit_of_an_address_through(two):
    passed, took = strictly(two, "127.0.0.11")
    assert passed in one_limit(QUOTA, 60, took, 2)


def test_who_is_told_to_wait_keeps_the_connection(two):
    """Else each refusal costs the gate a new one, of a client that asks again at once."""
    headers, ports, found = {"x-api-key": two[0].key()}, set(), []
    with closing(http.client.HTTPConnection("127.0.0.1", two[0].port, timeout=60)) as web:
        while found.count(429) < 5:
            web.request("POST", "/ofrep/v1/evaluate/flags/f", b'{"context":{}}', headers)
            ports.add(web.sock.getsockname())
            answer = web.getresponse()
            answer.read()
            found.append(answer.status)
    assert set(found) <= {200, 429}
    assert len(ports) == 1


@pytest.mark.parametrize("kind", ["token", "key"])
def test_gates_let_one_limit_of_a_tenant_through_and_its_neighbour(two, kind):
    def asked(tenant):
        made = [
            w.bearer(tid=tenant) if kind == "token" else {"x-api-key": w.key(tenant=tenant)}
            for w in two
        ]
        return [("GET", "/api/v1/echo", headers) for headers in made]

    loud, calm = asked(secrets.token_hex(8)), asked(secrets.token_hex(8))
    passed, took = together(two, *loud)
    assert passed in one_limit(RATE, 1, took, 2)
    assert [answered(w, 1, *a) for w, a in zip(two, calm, strict=True)] == [[200], [200]]


def test_the_last_answer_stands_while_the_name_server_is_away(two, names):
    names.known = None
    before = [counted(world, "update_failure") for world in two]
    for world, failed in zip(two, before, strict=True):
        eventually(lambda w=world, f=failed: counted(w, "update_failure") > f + 1)
    assert [counted(world, "membership_total") for world in two] == [2, 2]
    passed, took = strictly(two, "127.0.0.12")
    assert passed in one_limit(QUOTA, 60, took, 2)


@pytest.mark.parametrize("known", [BOTH[:1], ()], ids=["only one", "nobody"])
def test_the_share_of_gates_that_went_is_taken_over_and_given_back(two, names, known):
    told(two, names, known)
    begun, spent = time.monotonic(), f"127.0.1.{len(known)}"
    passed, took = strictly(two[:1], spent)
    assert passed in one_limit(QUOTA, 60, took, 1)
    told(two, names, BOTH)
    more, _ = strictly(two[:1], spent)
    assert passed + more in one_limit(
        QUOTA, 60, time.monotonic() - begun, 1
    )  # nobody is given anew
    passed, took = strictly(two, f"127.0.2.{len(known)}")
    assert passed in one_limit(QUOTA, 60, took, 2)
