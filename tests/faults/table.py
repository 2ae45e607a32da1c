"""The faults of the design's table: what is done, and what must hold.

`docs/reliability.md` is made from it and from what the tests found (`finding`); a row that no test told of is untested.
What several runs found and kept comes together on one page so: `python -m tests.faults.table PAGE KEPT…`
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

ROWS = {
    "R1": (
        "kill -9 any service, each in turn",
        "evaluation and GET: 0 5xx with two replicas; keyed writes one effect; ready ≤ 5 s",
    ),
    "R2": ("kill -9 Envoy", "back ≤ 2 s"),
    "R3": (
        "PostgreSQL dead 30 s",
        "evaluation 100 %, p99 ≤ 2×; writes 503 with Retry-After in ≤ 2 s; normal ≤ 5 s after",
    ),
    "R4": ("PostgreSQL hangs 30 s", "as R3; nothing grows"),
    "R5": ("PostgreSQL +200 ms, 1 % resets", "sheds, does not queue"),
    "R6": ("Redis dead 60 s, or flushed", "0 5xx; propagation ≤ 10 s; no herd"),
    "R7": (
        "gateway cut from iam",
        "known tokens and keys work ≤ 15 min; an unknown key is 503, not 401",
    ),
    "R8": ("audit away 5 min", "0 events lost, order kept, backlog drains ≥ 1 k/s"),
    "R9": ("half-open connections", "deadlines ≤ 1 s a hop, budget passed down"),
    "R11": ("disk full", "evaluation from memory, writes 503, no torn file"),
    "R12": ("clock ± 5 min", "tokens have leeway, schedules fire once, audit order by sequence"),
    "R13": ("poisoned stored configuration", "last good kept, alarm ≤ 10 s, 0 restarts"),
    "R14": ("poisoned outbox or stream message", "parked; neighbours ≤ 1 s late"),
    "R15": ("10× burst", "goodput ≥ 90 % of capacity; excess 429/503 in ≤ 50 ms"),
    "R16": (
        "all restart at once, 1,000 streams reconnect",
        "loads single-flight and jittered; no OOM",
    ),
    "R17": ("rolling restart of everything, Envoy too", "0 failed of 50,000"),
    "R18": ("migration of 1 M rows while serving", "0 5xx, lock wait ≤ 2 s"),
    "R20": ("one idempotency key × 50 at once", "1 effect"),
    "R21": ("two schedulers, leader killed or frozen", "1 transition, 1 entry"),
    "R22": ("slow loris, 64 kB headers, 1 GB body, resets", "refused; memory flat"),
    "R23": ("one noisy tenant at 20×", "others' p99 ≤ 1.2×"),
    "R24": ("restore on a fresh database", "≤ 5 min, the audit log verifies"),
    "R25": ("signing-key rotation under load", "0 spurious 401"),
    "R27": ("start with no network", "all works, no outside look-up"),
}
# Held by tests of their own, which have no figure to tell: where they are.
ELSEWHERE = {
    "R20": "`tests/journeys/test_bad_input.py` (fifty at once), `libs/chassis/tests` (the crash before the answer)",
}
HEAD = """# What it survives

Made by `make faults` (the tests under `tests/faults`, on one machine, one replica of each service unless the row says
two): do not edit. `make faults FULL=1` makes each fault as long and as strong as the row says, in about half an hour;
without it some are shorter, and say so. A row says *untested* until a test tells of it; "held" is what the test
asserted, the figure is of the run that wrote this page.

| # | fault | must hold | what was done, and the figure | held |
|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one test did about a row, and what it measured. `partly`: what of the row it leaves out."""

    row: str
    done: str
    figure: str
    partly: str = ""


def slower(took: float, wanted: float, what: str) -> str:
    """Return what `partly` says of a figure beyond the table's: such a run fails nothing, and hides nothing."""
    return f"{what} took {took:.1f} s in this run, wanted ≤ {wanted:g} s; " if took > wanted else ""


def page(findings: list[Finding]) -> str:
    """Return the page."""
    lines = [HEAD]
    for row, (fault, must) in ROWS.items():
        told = [f for f in findings if f.row == row]
        did = "<br>".join(f"{f.done}: {f.figure}" for f in told) or ELSEWHERE.get(row, "")
        short = "; ".join(f.partly.rstrip("; ") for f in told if f.partly)
        held = f"partly: {short}" if short else "yes" if did else "untested"
        lines.append(f"| {row} | {fault} | {must} | {did} | {held} |\n")
    return "".join(lines)


def write(path: Path, findings: list[Finding]) -> None:
    """Write the page."""
    path.write_text(page(findings))


def keep(folder: Path, findings: list[Finding]) -> None:
    """Keep what one run found, in a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{os.getpid()}.json").write_text(json.dumps([asdict(f) for f in findings], indent=1))


def kept(files: list[Path]) -> list[Finding]:
    """Return what several runs found."""
    return [Finding(**one) for file in files for one in json.loads(file.read_text())]


if __name__ == "__main__":
    write(Path(sys.argv[1]), kept([Path(name) for name in sys.argv[2:]]))
