"""The laws of the house, held against the code and against code that breaks them."""

import ast
import importlib.util
from pathlib import Path

import pytest
import yaml

spec = importlib.util.spec_from_file_location("laws", Path(__file__).with_name("laws.py"))
laws = importlib.util.module_from_spec(spec)
spec.loader.exec_module(laws)

ROOT, SERVICES = laws.ROOT, laws.SERVICES
GRAPH = yaml.safe_load((ROOT / "deploy/service-graph.yaml").read_text())["services"]

# Verbs that nobody asks for in person, or that are there to find out who asks. Each says why.
WITHOUT_CALLER = {
    "experiments.Publishing.round": "a job: telling flags",
    "experiments.Reports.linked": "whoever has the link to a report may read it",
    "flags.Rulesets.heard": "an announcement of another replica",
    "flags.Rulesets.hoped_for": "a step of an evaluation by an API key to which the place was opened",
    "flags.Rulesets.poll": "a job: what was missed",
    "flags.Counting.flush": "a job: counts of evaluations",
    "flags.Changing.project": "a step of a transaction that somebody was admitted to",
    "iam": "signing in, registering, and what other services ask about credentials",
    "audit.Recorder.adopt": "a job: logs from before logs were trees",
    "audit.Recorder.record": "a step of a transaction that somebody was admitted to",
    "experiments.Publishing": "a job: what flags has to know, told until flags has taken it",
    "audit.KeyCache": "keys of people, for whoever writes",
    "compute.Meter.observe": "a step of the worker that looks at a host",
    "compute.Consoles.session": "a place at a console, for who has used up a ticket to it",
    "compute.Reconciler.reconcile": "a job: one step for one machine",
    "compute.Underway": "the tasks of the worker, one for each machine",
    "audit.Sender": "a job: what was asked for when the stream was made",
    "audit.Notes": "a step of a transaction that somebody was admitted to",
    "audit.Signer": "a job, and what the prover asks of it",
    "audit.Recorder.append": "services hand in their facts; the door admits only services",
}
ROOMS = [
    "README.md",
    "Dockerfile",
    "pyproject.toml",
    "{s}/__init__.py",
    "{s}/__main__.py",
    "{s}/main.py",
    "{s}/settings.py",
    "{s}/py.typed",
    "{s}/domain",
    "{s}/usecases",
    "{s}/store/tables.py",
    "{s}/store/work.py",
    "{s}/api/rest.py",
    "{s}/api/grpc.py",
    "{s}/migrations/versions",
    "tests/domain",
    "tests/usecases",
    "tests/store",
    "tests/api",
]
# `clients` and `ports` may be a file or, near 300 lines, a folder with one file per neighbour or noun.
KNOWN_ROOMS = {
    "domain",
    "usecases",
    "store",
    "api",
    "clients",
    "ports",
    "migrations",
    "__pycache__",
}
KNOWN_FILES = {
    "__init__.py",
    "__main__.py",
    "main.py",
    "settings.py",
    "ports.py",
    "clients.py",
    "jobs.py",
    "py.typed",
}


def parsed(path):
    return ast.parse(path.read_text())


def in_rooms(*rooms):
    for service in SERVICES:
        for room in rooms:
            yield from sorted((ROOT / "services" / service / service / room).rglob("*.py"))


def broken(law, paths):
    return [f"{p.relative_to(ROOT)}: {said}" for p in paths for said in law(parsed(p))]


CASES = [
    (
        laws.asks_no_permission,
        ("usecases",),
        "class A:\n    async def go(self, caller):\n        await self.work()",
    ),
    (
        laws.leaves_no_fact,
        ("usecases",),
        "class A:\n    async def go(self, caller):\n        await self._do()\n"
        "    async def _do(self):\n        await work.flags.put(1)",
    ),
    (
        laws.leaves_no_fact,
        ("usecases",),
        "class A:\n    async def out(self, caller):\n        await work.sessions.end_all(1)",
    ),
    (
        laws.asks_a_neighbour_inside_a_transaction,
        ("usecases",),
        "class A:\n    async def go(self):\n        async with self.work() as work:\n"
        "            await self.flags.publish()",
    ),
    (laws.reads_clock_or_dice, ("domain",), "from datetime import datetime\nx = datetime.now()"),
]


@pytest.mark.parametrize(("law", "rooms", "bad"), CASES, ids=lambda c: getattr(c, "__name__", ""))
class TestRoomLaws:
    def test_holds_in_the_house(self, law, rooms, bad):
        assert broken(law, in_rooms(*rooms)) == []

    def test_is_seen_to_be_broken(self, law, rooms, bad):
        assert list(law(ast.parse(bad)))


@pytest.mark.parametrize(
    ("law", "bad"),
    [
        (laws.opens_at_import, "engine = create_async_engine('x')"),
        (laws.swallows_bugs, "try:\n    x()\nexcept Exception:\n    pass"),
    ],
    ids=lambda c: getattr(c, "__name__", ""),
)
class TestHouseLaws:
    def test_holds_in_the_house(self, law, bad):
        assert broken(law, laws.production()) == []

    def test_is_seen_to_be_broken(self, law, bad):
        assert list(law(ast.parse(bad)))


def test_a_verb_without_a_caller_is_one_that_we_know_of():
    strangers = [
        f"{path.parts[-3]}.{verb}"
        for path in in_rooms("usecases")
        for verb in laws.knows_no_caller(parsed(path))
    ]
    known = tuple(WITHOUT_CALLER)
    assert [v for v in strangers if not v.startswith(known) and not _is_job(v)] == []


def _is_job(verb):
    """What jobs.py or a gRPC door for services runs has no person behind it, and says so in its name."""
    return verb.split(".")[-1] in JOBS


JOBS = {
    "process_due",
    "next_due",
    "load",
    "refresh",
    "append",
    "evaluate",
    "snapshot",
    "sweep",
}


@pytest.mark.parametrize("service", SERVICES)
class TestFloorPlan:
    def test_every_service_has_the_same_rooms(self, service):
        home = ROOT / "services" / service
        assert [r for r in ROOMS if not (home / r.format(s=service)).exists()] == []
        assert any((home / service / ports).exists() for ports in ("ports.py", "ports"))

    def test_nobody_added_a_room(self, service):
        home = ROOT / "services" / service / service
        rooms = {p.name for p in home.iterdir() if p.is_dir()}
        files = {p.name for p in home.iterdir() if p.is_file()}
        assert (rooms - KNOWN_ROOMS, files - KNOWN_FILES) == (set(), set())

    def test_it_speaks_only_to_whom_the_service_graph_says(self, service):
        allowed = {service, *GRAPH[service]["may_ask"], *GRAPH[service]["tells"]}
        heard = {
            (path.name, other)
            for path in (ROOT / "services" / service / service).rglob("*.py")
            for other in laws.speaks_to(parsed(path))
            if other not in allowed
        }
        assert heard == set()

    def test_its_tables_live_in_its_own_schema(self, service):
        text = (ROOT / f"services/{service}/{service}/store/tables.py").read_text()
        assert f'base_for("{service}")' in text

    def test_no_init_under_tests(self, service):
        assert list((ROOT / "services" / service / "tests").rglob("__init__.py")) == []


def test_no_module_has_a_name_that_says_nothing():
    assert [p for p in laws.production() if p.stem in laws.NAMELESS] == []


def test_no_file_of_production_grows_beyond_a_few_pages():
    long = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in laws.production()}
    assert {path: lines for path, lines in long.items() if lines > 350} == {}


def test_the_chassis_stays_small():
    files = list((ROOT / "libs/chassis/chassis").glob("*.py"))
    assert len(files) <= 30
    assert sum(len(p.read_text().splitlines()) for p in files) <= 3600


# What was there before there was the law; most of it made its tables when there was nothing in them.
BEFORE_THE_LAW = {
    "iam": "0007",
    "flags": "0009",
    "experiments": "0006",
    "audit": "0005",
    "compute": "0010",
}
ADDED = "op.create_table('t', 1)\nop.create_index('i', 't', ['a'])\nop.add_column('u', sa.Column('a', sa.String))\n"
ONLINE = "online.index('i', 'u', ['a'], schema='s')\n"
WANTED = "op.add_column('u', sa.Column('a', sa.String, nullable=False{}))"
STALLING = [
    "op.create_index('i', 'u', ['a'])",
    "op.drop_column('u', 'a')",
    "op.create_check_constraint('c', 'u', 'a > 0')",
    "op.alter_column('u', 'a', nullable=False)",
    "op.execute('UPDATE s.u SET a = 1')",
    "op.execute('ALTER TABLE s.u ALTER a SET NOT NULL')",
    WANTED.format(""),
    ADDED + ONLINE,
]


def migrations():
    for path in in_rooms("migrations/versions"):
        if path.stem.partition("_")[0] > BEFORE_THE_LAW[path.parts[-4]]:
            yield path


def test_no_new_migration_keeps_others_waiting():
    assert broken(laws.stalls_who_serves, migrations()) == []


@pytest.mark.parametrize("bad", STALLING)
def test_a_migration_that_keeps_others_waiting_is_seen(bad):
    assert list(laws.stalls_who_serves(ast.parse(bad)))


@pytest.mark.parametrize("good", [ADDED, ONLINE, WANTED.format(", server_default='x'")])
def test_a_migration_that_only_expands_is_let_through(good):
    assert not list(laws.stalls_who_serves(ast.parse(good)))
