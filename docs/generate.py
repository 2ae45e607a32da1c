"""Make the pages that are read off the code: `make docs`. `--check` says which of them are out of date.

docs/errors.md: every permanent error code, its status, where it comes from and what it means; gateway/errors.json says
the same to the gateway, which serves it at /docs/errors, where the `type` of every problem document points.
docs/permissions.md: which role holds what, and what comes of every operation for every caller.
"""

import argparse
import importlib
import json
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from authz.permissions import catalogue
from chassis.errors import Fault
from chassis.problems import STATUS, TITLES
from iam.domain.roles import SYSTEM

HERE = Path(__file__).parent
PACKAGES = ("chassis", "iam", "flags", "experiments", "audit", "compute")
# Codes that are not faults of ours: what the framework or the gateway answers by itself.
OTHERS = [
    ("bad_request", 400, "chassis", "The request contradicts itself, or cannot be read as HTTP."),
    ("no_such_path", 404, "chassis", "There is nothing at this path."),
    ("method_not_allowed", 405, "chassis", "The path does not know this method."),
    ("unsupported_media_type", 415, "chassis", "The body is of a kind that is not taken here."),
    ("internal", 500, "chassis", "A bug on our side; the request id says where to look."),
    ("page_and_cursor", 400, "chassis", "A list was asked for by page and by cursor at once."),
    ("api_key_needed", 400, "chassis", "The path takes an API key, not an access token."),
]
GATEWAY = [
    ("gateway.bad_request", 400, "The request is malformed, or carries two credentials."),
    ("gateway.unauthenticated", 401, "No credential, or one that is not valid."),
    ("gateway.forbidden", 403, "The credential does not open this path."),
    ("gateway.not_found", 404, "No service answers at this path."),
    ("gateway.method_not_allowed", 405, "This path of the gateway's own is only read."),
    (
        "gateway.timeout",
        504,
        "The service did not answer in time, or the request did not arrive in time.",
    ),
    ("gateway.too_large", 413, "The body is larger than 1 MiB."),
    ("gateway.headers_too_large", 431, "The headers are larger or more than is taken."),
    ("gateway.rate_limited", 429, "Too many requests; Retry-After says when to come again."),
    ("gateway.unavailable", 503, "The service, or the list of API keys, is away for the moment."),
]


def modules(package: str) -> Iterator[object]:
    """Import and yield every module of a package where faults may be declared."""
    root = importlib.import_module(package)
    yield root
    for found in pkgutil.walk_packages(root.__path__, f"{package}."):
        if ".migrations" not in found.name and not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def faults() -> list[type[Fault]]:
    """Return every kind of fault with a code of its own, sorted by code."""
    for package in PACKAGES:
        list(modules(package))
    seen: set[type[Fault]] = set()
    todo = list(Fault.__subclasses__())
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        if "code" in vars(kind):
            seen.add(kind)
    return sorted(seen, key=lambda kind: kind.code)


def rows() -> list[tuple[str, int, str, str]]:
    """Return (code, status, where from, meaning) of every code, sorted."""
    found = [
        (kind.code, _status(kind), kind.__module__.partition(".")[0], _first_line(kind))
        for kind in faults()
    ]
    known = {row[0] for row in found}
    found += [row for row in OTHERS if row[0] not in known]
    found += [(code, status, "gateway", meaning) for code, status, meaning in GATEWAY]
    return sorted(found)


def errors_for_the_gateway() -> str:
    """Return the same as JSON."""
    names = ("code", "status", "source", "meaning")
    made = [dict(zip(names, row, strict=True)) for row in rows()]
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def errors_page() -> str:
    """Return the page of all error codes."""
    lines = [
        "# Error codes",
        "",
        "Generated from the code by `make docs`; do not edit. A code is permanent: clients may rely on it.",
        "Every error is a problem document (RFC 9457) whose `type` is `/docs/errors#<code>`.",
        "",
        "| code | status | from | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f'| <a id="{code}"></a>`{code}` | {status} {TITLES.get(status, "")} | {source} | {meaning} |'
        for code, status, source, meaning in rows()
    ]
    return "\n".join(lines) + "\n"


def _status(kind: type[Fault]) -> int:
    return next(status for family, status in STATUS.items() if issubclass(kind, family))


def _first_line(kind: type[Fault]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


# --- who may what ---------------------------------------------------------------------------------------------------

MATRIX = HERE.parent / "tests/journeys/matrix.md"
MERGED = HERE.parent / "gateway/openapi.json"


def matrix() -> tuple[list[str], dict[str, list[str]]]:
    """Return the callers, and operation → cells, of the table that the journeys try."""
    rows = [
        [cell.strip().strip("`") for cell in line[1:-1].split("|")]
        for line in MATRIX.read_text().splitlines()
        if line.startswith("| ")
    ]
    callers = next(row[1:] for row in rows if row[0] == "operation")
    return callers, {row[0]: row[1:] for row in rows if re.match(r"[A-Z]+ /", row[0])}


def permissions_page() -> str:
    """Return the page that says who may what."""
    callers, rows = matrix()
    needed = {
        f"{method.upper()} {path}": operation.get("x-permission") or ""
        for path, item in json.loads(MERGED.read_text())["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict)
    }
    lines = [
        "# Who may what",
        "",
        "Generated by `make docs` from the catalogue, and from `tests/journeys/matrix.md`, which is tried through",
        "the gateway: every operation, caller and state of a thing. Do not edit. `services/iam/README.md` says how.",
        "",
        "## What a role holds",
        "",
        f"| permission | {' | '.join(SYSTEM)} |",
        f"|---|{'---|' * len(SYSTEM)}",
    ]
    for permission in catalogue():
        holds = ["yes" if permission.id in role.permissions else "" for role in SYSTEM.values()]
        lines.append(f"| `{permission.id}` | {' | '.join(holds)} |")
    lines += [
        "",
        "## What comes of it",
        "",
        "*yes*: what is in one's tenant, or one's own; *own*: only what is one's own; *all*: in every tenant; *open*:",
        "to everybody; a dash: refused. Where no permission is named, the path decides: what is one's own, or an ACL.",
        "",
        f"| operation | permission | {' | '.join(callers)} |",
        f"|---|---|{'---|' * len(callers)}",
    ]
    for operation, cells in rows.items():
        wanted = f"`{permission}`" if (permission := needed.get(_spelled(operation))) else ""
        said = [_word(cell, opened=not cells[-1]) for cell in cells]
        lines.append(f"| `{operation}` | {wanted} | {' | '.join(said)} |")
    return "\n".join(lines) + "\n"


def _spelled(operation: str) -> str:
    """Return an operation as OpenAPI spells it: one path for all kinds under /global."""
    return re.sub(r"/global/\w+", "/global/{kind}", operation)


def _word(cell: str, *, opened: bool) -> str:
    """Return a cell in a word; past the guard is what counts, not whether a body made sense."""
    if opened:
        return "open"
    codes = [code not in ("401", "403", "404") for code in cell.split("/")]
    own, another, *others = codes if len(codes) > 2 else [codes[0], *codes]
    if len(codes) > 3 and others[0] and another:
        return "all"
    if another:
        return "yes"
    return "own" if own else "-"


PAGES = {
    "errors.md": errors_page,
    "permissions.md": permissions_page,
    "../gateway/errors.json": errors_for_the_gateway,
}


def main() -> None:
    """Write the pages, or with --check name those that are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for name, page in PAGES.items():
        made, path = page(), HERE / name
        if check and (not path.exists() or path.read_text() != made):
            stale.append(name)
        elif not check:
            path.write_text(made)
    if stale:
        sys.exit(f"out of date, run `make docs`: {', '.join(stale)}")


if __name__ == "__main__":
    main()
