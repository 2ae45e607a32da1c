"""The table in `matrix.md`: what is read from it, and how a row of it is written."""

from pathlib import Path

from tests.journeys.matrix import CALLERS, GLOBAL

TABLE = Path(__file__).with_name("matrix.md")
METHODS = ("get", "post", "put", "patch", "delete")


def operations(document):
    """Yield (operation, its description) for each; a {kind} is told one by one."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                kinds = GLOBAL if "/{kind}" in path else ("",)
                for kind in kinds:
                    yield f"{method.upper()} {path.replace('{kind}', kind)}", item[method]


def read_table():
    """Return operation → caller → cell."""
    rows = {}
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip()[1:-1].split("|")]
        if len(cells) == len(CALLERS) + 1 and " /" in cells[0]:
            rows[cells[0]] = dict(zip(CALLERS, cells[1:], strict=True))
    return rows


def written(operation, cells):
    """Return a row of the table, ready to be pasted."""
    return f"| `{operation}` | " + " | ".join(cells[caller] for caller in CALLERS) + " |"


def told(codes):
    """Return the cell for what was seen in each state; None where a state cannot be had. Empty: it is open to all.

    `a`: the same in all. `a/b`: own and another's, and all others. `o/a/b`: own, another's, and all others.
    `o/a/f/b`: foreign too. `o/a/f/d/m`: each by itself.
    """
    if codes is None:
        return ""
    for cell in _forms(codes):
        if all(seen in (None, wanted) for seen, wanted in zip(codes, meant(cell), strict=True)):
            return cell
    raise AssertionError(codes)


def _forms(codes):
    own, another, foreign, deleted, missing = codes
    known = [code for code in codes if code is not None]
    first = own if own is not None else another if another is not None else known[0]
    there = another if another is not None else first
    rest = [code for code in (foreign, deleted, missing) if code is not None]
    gone = rest[-1] if rest else there
    abroad = foreign if foreign is not None else gone
    yield f"{known[0]}"
    yield f"{first}/{gone}"
    yield f"{first}/{there}/{gone}"
    yield f"{first}/{there}/{abroad}/{gone}"
    yield f"{first}/{there}/{abroad}/{deleted if deleted is not None else gone}/{gone}"


def meant(cell):
    """Return what a cell says of each state."""
    codes = [int(code) for code in filter(None, cell.split("/"))]
    match len(codes):
        case 0:
            return [None] * 5
        case 1:
            return codes * 5
        case 2:
            return [codes[0], codes[0], *codes[1:] * 3]
        case 3:
            return [*codes[:2], *codes[2:] * 3]
        case 4:
            return [*codes[:3], *codes[3:] * 2]
    return codes
