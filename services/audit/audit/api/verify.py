"""The door for those who have nothing but an export: `python -m audit verify export.jsonl [--vkey KEY]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from audit.domain.evidence import Forged, Verifier


def main(words: Sequence[str]) -> int:
    """Check an export; say what it is, or name the first bad entry and return 1."""
    parser = argparse.ArgumentParser(
        prog="audit verify",
        description="Check an export of the audit log, offline: each entry as it was logged, none missing.",
    )
    parser.add_argument(
        "export", type=Path, help="what GET /api/v1/audit-logs/export?format=jsonl gave"
    )
    parser.add_argument(
        "--vkey",
        default="",
        help="the log's verifier key, or a file with it, kept from earlier (GET /api/v1/audit/vkey); "
        "without it the key in the export is believed",
    )
    asked = parser.parse_args(words)
    try:
        with asked.export.open("rb") as lines:
            found = Verifier(_key(asked.vkey)).verify(lines)
    except OSError as trouble:
        sys.stderr.write(f"{asked.export}: {trouble.strerror}\n")
        return 2
    except Forged as forged:
        sys.stderr.write(f"NOT what was logged: {forged}\n")
        return 1
    left = found.size - found.entries
    sys.stdout.write(
        f"sound: {found.entries} entries of {found.origin}, signed at {found.size}; "
        f"{left} are there as hashes only, {found.erased} personal parts are erased\n"
    )
    if not asked.vkey:
        sys.stdout.write(
            "the key was taken from the export itself; give --vkey to rule out a forged log\n"
        )
    return 0


def _key(given: str) -> str:
    path = Path(given)
    return path.read_text() if given and "+" not in given and path.is_file() else given
