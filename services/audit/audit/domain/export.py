"""Exports: JSON lines that prove themselves, and a table for people.

Lines of an export, in order: a header; each entry with its exact bytes and what is open of its personal parts, the
skipped stretches of the log between them as hashes; the hash of every full tile; the signed checkpoint. Put together,
the hashes come to the root that the checkpoint signs. Without the checkpoint at its end an export is cut.
"""

import csv
import io
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence

from audit.domain.entry import SALT, Entry, Json, instant, value_of
from audit.domain.merkle import leaf_hash

KIND = "switchyard audit export"
_COLUMNS = (
    *("seq", "id", "ts", "occurred_at", "user_id", "user_name", "on_behalf_of", "action"),
    *("entity_type", "entity_id", "entity_name", "outcome", "reason", "ip", "user_agent"),
    *("request_id", "trace_id", "service", "before", "after", "leaf_hash"),
)
_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def header(about: Mapping[str, Json]) -> bytes:
    """Return the first line."""
    return _line({"kind": KIND, "v": 1, **about})


def entry_line(entry: Entry) -> bytes:
    """Return the line of an entry; `size` is that of its bytes, so that they can be cut out as they are."""
    parts = {
        part: {"salt": secret[:SALT].hex(), "value": value_of(secret)}
        for part, secret in entry.secrets.items()
    }
    hashed = b64encode(leaf_hash(entry.body))
    return b'{"size":%d,"hash":"%b","leaf":%b,"opened":%b}\n' % (
        len(entry.body),
        hashed,
        entry.body,
        json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(),
    )


def skipped_line(low: int, high: int, hashes: Sequence[bytes]) -> bytes:
    """Return the line of a stretch that is not in the export: leaves `low` up to `high`, not included."""
    return _line({"skipped": [low, high], "hashes": [b64encode(one).decode() for one in hashes]})


def tiles_line(hashes: Sequence[bytes]) -> bytes:
    """Return a line of the hashes of full tiles."""
    return _line({"tiles": [b64encode(one).decode() for one in hashes]})


def footer(note: str) -> bytes:
    """Return the last line."""
    return _line({"checkpoint": note})


def _line(said: Mapping[str, Json]) -> bytes:
    return _dumps(said).encode() + b"\n"


def table_header() -> bytes:
    """Return the first row of a table."""
    return _row(_COLUMNS)


def table_row(entry: Entry) -> bytes:
    """Return an entry as a row."""
    event, actor, target, origin = entry.event, entry.event.actor, entry.event.target, entry.event.origin  # fmt: skip
    return _row(
        (
            *(str(entry.seq), str(event.id), instant(entry.ts), instant(event.occurred_at)),
            *(actor.id, actor.name, actor.on_behalf_of, event.action),
            *(target.type, target.id, target.name, event.outcome.value, event.reason),
            *(origin.ip, origin.user_agent, origin.request_id, origin.trace_id, origin.service),
            *(_document(event.before), _document(event.after), leaf_hash(entry.body).hex()),
        )
    )


def table_footer(note: str) -> bytes:
    """Return the last row: the checkpoint, in two cells."""
    return _row(("# checkpoint", note))


def _document(value: Json) -> str:
    return "" if value is None else _dumps(value)


def _row(cells: Sequence[str]) -> bytes:
    """Write a row in which no cell is a formula: a spreadsheet would run it (OWASP, CSV injection)."""
    out = io.StringIO()
    safe = [f"'{cell}" if cell.startswith(_RISKY) else cell for cell in cells]
    csv.writer(out, lineterminator="\r\n").writerow(safe)
    return out.getvalue().encode()
