"""How fast are rules decided in process, how does a large environment do, and how do the Python peers?

One rule is "country in a list, version at least 1.4.0, then a split in halves". The large environment has 5,000 flags,
500 segments and a list of 100,000 ids; its numbers are taken in a process of their own. The peers (flagd-core,
growthbook, flagsmith-flag-engine, yggdrasil-engine) are installed into a throw-away environment, if they can be had,
and evaluate the same rule in the same run; they are no dependencies of anything. Times are of the CPU, so that whatever
else the machine does counts as little as may be.

    python benchmarks/flags_rules.py [--runs 7] [--no-peers]
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from flags.api.rendered import rendered
from flags.domain.compile import StoredSegment
from flags.domain.place import Place
from flags.domain.ruleset import Stored, compile_all

PLACE = Place(UUID(int=1), "default", "production")
CONTEXT = {"targetingKey": "user-1", "country": "CH", "version": "1.5.2", "plan": "pro"}
NOW = 1_767_225_600.0
HALF = {"weights": [{"variant": "on", "weight": 50_000}, {"variant": "off", "weight": 50_000}]}
IN = {"op": "in", "attribute": "country", "values": ["CH", "DE", "AT"]}
SEMVER = {"op": "semver_ge", "attribute": "version", "value": "1.4.0"}
RULE = {"when": {"all": [IN, SEMVER]}, "split": HALF}
PEERS = [
    "openfeature-flagd-core==2.0.0",
    "growthbook==4.0.0",
    "flagsmith-flag-engine==11.1.1",
    "yggdrasil-engine==2.0.0",
]


def flag(key, rules):
    return Stored(
        key=key,
        type="boolean",
        variants={"on": True, "off": False},
        enabled=True,
        default_variant="off",
        off_variant="off",
        client_side=True,
        targeting={"rules": rules},
        salt=key,
    )


def timed(call, runs, repeat=20_000):
    """Return the median, over the runs, of the microseconds that one call takes."""
    found = []
    for _ in range(runs):
        start = time.process_time()
        for _ in range(repeat):
            call()
        found.append((time.process_time() - start) / repeat * 1e6)
    return round(statistics.median(found), 3)


def one_rule(runs):
    ruleset, _ = compile_all(PLACE, 1, [flag("one", [RULE])])
    one = ruleset.flags["one"]
    assert ruleset.ask(one, CONTEXT, NOW).reason == "SPLIT"
    return timed(lambda: ruleset.ask(one, CONTEXT, NOW), runs)


def bulk_of_twenty(runs):
    ruleset, _ = compile_all(PLACE, 1, [flag(f"flag-{n}", [RULE]) for n in range(20)])
    answers = rendered(ruleset, client_side=False)
    return timed(lambda: answers.everything(CONTEXT, NOW), runs, 2_000)


def large(queue, runs):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    flags, segments = large_environment()
    rows = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    ruleset, refused = compile_all(PLACE, 1, flags, segments=segments)
    compiling = time.process_time() - start
    assert not refused, refused
    start = time.process_time()
    answers = rendered(ruleset, client_side=False)
    rendering = time.process_time() - start
    changes = sorted(one_change(ruleset, answers) for _ in range(5))
    bulk = timed(lambda: answers.everything(CONTEXT, NOW), runs, 5)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    queue.put(
        {
            "compile_seconds": round(compiling, 3),
            "render_seconds": round(rendering, 3),
            "one_flag_changed_seconds": round(changes[2], 3),
            "bulk_milliseconds": round(bulk / 1000, 2),
            "memory_mebibytes": round(peak / 1024, 1),
            "of_which_interpreter_and_rows": round(rows / 1024, 1),
            "of_which_interpreter": round(before / 1024, 1),
        }
    )


def one_change(ruleset, answers):
    """Return the seconds of CPU from reading a change of one flag to having it in force. All is read anew."""
    flags, segments = large_environment()
    changed = [replace(flags[0], enabled=not flags[0].enabled), *flags[1:]]
    start = time.process_time()
    then, _ = compile_all(PLACE, 2, changed, ruleset, segments)
    rendered(then, client_side=False, before=answers)
    return time.process_time() - start


def a_rule(n):
    """Return one of a thousand rules of the same form, as they are alike in a real environment, too."""
    countries = {"op": "in", "attribute": "country", "values": ["CH", "DE", f"X{n % 20}"]}
    version = {"op": "semver_ge", "attribute": "version", "value": f"1.0.{n % 50}"}
    return {"when": {"all": [countries, version]}, "split": HALF}


def large_environment():
    segments = [
        StoredSegment(
            key=f"segment-{n}",
            document={"when": {"op": "eq", "attribute": "plan", "value": f"plan-{n}"}},
            included=[f"user-{m}" for m in range(100_000)] if n == 0 else [f"user-{n}"],
        )
        for n in range(500)
    ]
    flags = [
        flag(
            f"flag-{n}",
            [
                {"when": {"op": "in_segment", "segments": [f"segment-{n % 500}"]}, "variant": "on"},
                a_rule(n),
            ],
        )
        for n in range(5_000)
    ]
    return flags, segments


def peers():
    """Return what each peer takes for the same rule in microseconds, or why it was not measured."""
    with tempfile.TemporaryDirectory() as home:
        venv.create(home, with_pip=True)
        python = Path(home) / "bin/python"
        install = [python, "-m", "pip", "install", "-q", *PEERS]
        made = subprocess.run(install, capture_output=True, text=True, timeout=600)
        if made.returncode:
            return {"not installed": made.stderr.strip().splitlines()[-1:]}
        script = Path(__file__).with_name("flags_rules_peers.py")
        told = subprocess.run([python, script], capture_output=True, text=True, timeout=600)
        return json.loads(told.stdout) if told.returncode == 0 else {"failed": told.stderr[-300:]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--no-peers", action="store_true")
    asked = parser.parse_args()
    queue = multiprocessing.get_context("spawn").Queue()
    process = multiprocessing.get_context("spawn").Process(target=large, args=(queue, asked.runs))
    process.start()
    big = queue.get(timeout=300)
    process.join()
    rule, bulk = one_rule(asked.runs), bulk_of_twenty(asked.runs)
    others = {} if asked.no_peers else peers()
    told = {
        "one_rule_microseconds": rule,
        "one_rule_again_after_the_peers": one_rule(asked.runs),
        "bulk_of_20_microseconds": bulk,
        "bulks_of_20_per_second_in_process": round(1e6 / bulk),
        "large": big,
        "peers_one_rule_microseconds": others,
        "targets": {
            "one rule ≤ 3 µs": rule <= 3,
            "large bulk ≤ 20 ms": big["bulk_milliseconds"] <= 20,
            "large memory ≤ 300 MB": big["memory_mebibytes"] <= 286,
            "large compile ≤ 2 s": big["compile_seconds"] <= 2,
        },
        "load_average": os.getloadavg()[0],
    }
    json.dump(told, sys.stdout, indent=2, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
