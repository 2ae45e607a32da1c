"""How fast an export is checked offline: entries a second through the verifier, and how long a tree takes.

    python benchmarks/audit_verify.py [--entries 200000]

The export is made here, of toggled flags with their actors' personal parts open, and checked `--runs` times.
"""

import argparse
import random
import statistics
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.domain import export as lines
from audit.domain.entry import Event, Origin, read
from audit.domain.evidence import Verifier
from audit.domain.merkle import Frontier, leaf_hash
from audit.domain.note import Checkpoint, signed, vkey
from audit.domain.writing import prepared
from chassis.facts import Actor, Target


def made(count):
    tenant, now, dice = UUID(int=1), datetime.now(UTC), random.Random(7)
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    tree, tile, tiles, out = Frontier(), Frontier(), [], []
    for seq in range(1, count + 1):
        event = Event(
            id=uuid4(),
            tenant=tenant,
            occurred_at=now,
            actor=Actor("user", f"user-{dice.randrange(200)}", "ana@example.com", "session-1"),
            action="flag.toggle_enabled",
            target=Target("flag", f"flag-{dice.randrange(1000)}", "Dark mode"),
            origin=Origin(ip="192.0.2.1", request_id=uuid4().hex, trace_id=uuid4().hex),
            before={"key": "dark", "name": "Dark mode", "status": "disabled", "version": 1},
            after={"key": "dark", "name": "Dark mode", "status": "enabled", "version": 2},
            reason="benchmark",
        )
        one = prepared(event, dice.randbytes(32))
        entry = read(one.written(seq, now), one.secrets)
        leaf = leaf_hash(entry.body)
        tree.grow(leaf)
        tile.grow(leaf)
        if tile.size == 256:
            tiles.append(tile.root())
            tile = Frontier()
        out.append(lines.entry_line(entry))
    name = "bench.example"
    about = {"tenant": str(tenant), "origin": name, "vkey": vkey(name, public), "filters": {}}
    note = signed(Checkpoint(name, tree.size, tree.root()), public, key.sign)
    return [lines.header(about), *out, lines.tiles_line(tiles), lines.footer(note)]


def main(given):
    export = made(given.entries)
    print(f"{given.entries:,} entries, {sum(map(len, export)) / 1e6:.0f} MB")
    rates, costs = [], []
    for _ in range(given.runs):
        begun, used = time.perf_counter(), time.process_time()
        assert Verifier().verify(export).entries == given.entries
        rates.append(given.entries / (time.perf_counter() - begun))
        costs.append(given.entries / (time.process_time() - used))
    print(
        f"verified: {statistics.median(rates):,.0f} entries/s on the clock, "
        f"{statistics.median(costs):,.0f} per second of CPU"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    main(parser.parse_args())
