"""How long does a decision take in process? p50 and p99 in microseconds, medians of several rounds.

    python benchmarks/iam_decision.py [--rounds 7] [--decisions 100000]

Each decision is timed alone, over 1,000 prepared questions (kinds, tenants, owners, ACLs); what the clock itself takes
is measured the same way and taken off. `with resource` makes the resource too, as a service does for a loaded row.
`caller` is the whole way of a verb: the name of a permission, an owner and a project's slug, through Caller and the
standing that a replica keeps; `standing` is what a request pays to get that from the replica.
"""

import argparse
import random
import statistics
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter_ns
from uuid import UUID

ROOT = Path(__file__).parent.parent
SOURCES = ("libs/authz", "libs/chassis", "services/iam")
sys.path[:0] = [str(ROOT / source) for source in SOURCES]

from authz.decision import (  # noqa: E402 - the path comes first
    AclEntry,
    Binding,
    Compiled,
    Resource,
    Who,
    compile_subject,
    decide,
    explain,
)
from authz.permissions import ALL as CATALOGUED  # noqa: E402
from authz.permissions import CATALOGUE  # noqa: E402
from authz.replica import Replica, Subject  # noqa: E402
from authz.standing import Project, Thing  # noqa: E402
from authz.verbs import ALL, masks  # noqa: E402
from chassis.caller import Caller  # noqa: E402
from iam.domain.roles import SYSTEM  # noqa: E402

Ask = Callable[..., object]
TENANT = UUID(int=1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = {"p50": 0.6, "p99": 5.0}


def subjects() -> list[Compiled]:
    """Return one subject of each system role, one of them with a role in a project too."""
    made = []
    for name, role in SYSTEM.items():
        held = masks(role.permissions)
        here = Binding(role=name, masks=held, where="t0")
        there = Binding(role=name, masks=held, level="project", where="p1")
        who = Who(id=f"u-{name}", tenant="t0", scope=None)
        made.append(compile_subject(who, [here, there] if name == "viewer" else [here], NOW))
    return made


def questions(count: int) -> list[tuple[Compiled, int, Resource]]:
    """Return questions as services ask them: mostly at home, some owned, some under an ACL."""
    dice, people = random.Random(7), subjects()
    made = []
    for _ in range(count):
        subject = dice.choice(people)
        resource = Resource(
            dice.choice(list(CATALOGUE)),
            dice.choice(["t0", "t0", "t0", "t1"]),
            owner=dice.choice(["", subject.id, "u-x"]),
            project=dice.choice(["", "p1"]),
            acl=dice.choice([0, 0, dice.randint(0, ALL)]),
        )
        made.append((subject, 1 << dice.randrange(8), resource))
    return made


def replica() -> Replica:
    """Return a replica of one tenant with one user of each role, and a project whose list names some of them."""
    made = Replica()
    for name, role in SYSTEM.items():
        made.subjects[f"u-{name}"] = Subject(
            id=f"u-{name}",
            tenant=str(TENANT),
            active=True,
            name=name,
            roles=(name,),
            permissions=role.permissions,
            platform=False,
            bindings=(Binding(role=name, masks=masks(role.permissions), where=str(TENANT)),),
        )
    lent = AclEntry(mask=ALL, principals=frozenset({"u-viewer", "u-user"}), kind="flag")
    made.put_project(Project(id="1", tenant=str(TENANT), slug="p1", acl=(lent,)))
    return made


def through_callers(count: int) -> list[tuple[Caller, str, Thing]]:
    """Return questions as verbs ask them."""
    dice, known = random.Random(7), replica()
    callers = [
        Caller(subject=s.id, tenant=TENANT, standing=known.standing(s, str(TENANT), None, 0.0))
        for s in known.subjects.values()
    ]
    wanted = sorted(CATALOGUED)
    things = (Thing(), Thing(project="p1"), Thing("u-developer", "p1", "f"), Thing("u-x", "p2"))
    return [(dice.choice(callers), dice.choice(wanted), dice.choice(things)) for _ in range(count)]


def looked_up(count: int) -> list[tuple[Replica, Subject, str]]:
    """Return what a request asks the replica for."""
    dice, known = random.Random(7), replica()
    subjects = list(known.subjects.values())
    return [(known, dice.choice(subjects), str(TENANT)) for _ in range(count)]


def timed(ask: Ask, count: int) -> tuple[float, float]:
    """Return (p50, p99) in microseconds."""
    asked, spent = QUESTIONS.get(ask, questions)(1000), []
    for n in range(count):
        one = asked[n % 1000]
        begin = perf_counter_ns()
        ask(*one)
        spent.append(perf_counter_ns() - begin)
    spent.sort()
    return spent[count // 2] / 1000, spent[count * 99 // 100] / 1000


def nothing(subject: Compiled, need: int, on: Resource) -> None:
    """Measure the clock and the call."""


def with_resource(subject: Compiled, need: int, on: Resource) -> bool:
    """Make the resource, then decide."""
    return decide(subject, need, Resource(on.kind, on.tenant, on.owner, on.project, on.id, on.acl))


def through_caller(caller: Caller, permission: str, thing: Thing) -> bool:
    """Ask as a verb does."""
    return caller.may(permission, thing)


def get_standing(known: Replica, subject: Subject, tenant: str) -> object:
    """Get what a request decides by."""
    return known.standing(subject, tenant, None, 0.0)


QUESTIONS: dict[Ask, Callable[[int], list]] = {
    through_caller: through_callers,
    get_standing: looked_up,
}


def median(ask: Ask, rounds: int, count: int) -> tuple[float, float]:
    """Return the medians of (p50, p99) over rounds."""
    found = [timed(ask, count) for _ in range(rounds)]
    return statistics.median(p for p, _ in found), statistics.median(p for _, p in found)


ASKED: dict[str, Ask] = {
    "decide": decide,
    "with resource": with_resource,
    "caller": through_caller,
    "standing": get_standing,
    "explain": explain,
}


def main() -> int:
    """Print the figures; fail when a target is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--decisions", type=int, default=100_000)
    asked = parser.parse_args()
    clock, _ = median(nothing, asked.rounds, asked.decisions)
    met = True
    for name, ask in ASKED.items():
        count = asked.decisions // (20 if ask is explain else 1)
        p50, p99 = (max(0.0, p - clock) for p in median(ask, asked.rounds, count))
        print(f"{name:14} p50 {p50:6.2f} µs   p99 {p99:6.2f} µs")
        if ask is decide:
            met = p50 < TARGET["p50"] and p99 < TARGET["p99"]
    print(
        f"medians of {asked.rounds} rounds of {asked.decisions}; the clock took {clock:.2f} µs off"
    )
    print(
        f"target for decide: p50 < {TARGET['p50']} µs, p99 < {TARGET['p99']} µs: {'met' if met else 'MISSED'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
