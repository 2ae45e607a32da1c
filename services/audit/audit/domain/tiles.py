"""Tiles: a tree in pieces of 256 neighbouring hashes, eight levels apart (C2SP tlog-tiles)."""

import re
from collections.abc import Sequence

from audit.domain.merkle import SIZE, Node, folded, node_hash

HEIGHT = 8
WIDTH = 1 << HEIGHT
Tile = tuple[int, int]  # level (of tiles) and number
_PATH = re.compile(r"((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


def parsed(path: str) -> tuple[int, int] | None:
    """Return number and width of `x001/x234/067.p/8`; None if it is not spelled so. A full tile has width 256."""
    found = _PATH.fullmatch(path)
    if found is None or (found[1].startswith("x000") or len(found[1]) > 40):
        return None
    width = int(found[2]) if found[2] else WIDTH
    full_with_suffix = found[2] and width >= WIDTH
    return None if full_with_suffix else (int(re.sub(r"[x/]", "", found[1])), width)


def place(node: Node) -> tuple[Tile, int, int]:
    """Return the tile that holds a node, and the first and the number of the hashes there that make it up."""
    level, index = node
    rise = level % HEIGHT
    first = index << rise
    return (level // HEIGHT, first >> HEIGHT), first % WIDTH, 1 << rise


def width(tile: Tile, size: int) -> int:
    """Return how many hashes a tile has in a tree of `size` leaves."""
    level, number = tile
    return max(0, min(WIDTH, (size >> (HEIGHT * level)) - number * WIDTH))


def root(hashes: Sequence[bytes]) -> bytes:
    """Return what a power of two of neighbouring hashes comes to."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return folded(row)


def split(packed: bytes) -> list[bytes]:
    """Return the hashes of a tile."""
    return [packed[at : at + SIZE] for at in range(0, len(packed), SIZE)]
