"""Checking an export without any server: is every entry what was logged, in its place, and is none missing?

It reads the lines once, in constant memory: hashes every entry, checks its personal parts against what it commits to,
and puts the tree together again, which must come to the root that the checkpoint signs.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from audit.domain.entry import Json, digest, secret_of
from audit.domain.export import KIND
from audit.domain.merkle import Frontier, cover, leaf_hash
from audit.domain.note import BadNote, Checkpoint, verified
from audit.domain.tiles import HEIGHT, WIDTH

_START = b'{"size":'
_HASH, _LEAF, _OPENED, _END = b',"hash":"', b'","leaf":', b',"opened":', b"}\n"


class Forged(Exception):
    """The export is not what was logged. `seq` is the first bad entry, 0 if it is not in an entry."""

    def __init__(self, seq: int, why: str) -> None:
        super().__init__(f"entry {seq}: {why}" if seq else why)
        self.seq = seq


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a sound export is: how many entries, of a log of which size and name, how many personal parts are erased."""

    entries: int
    size: int
    origin: str
    erased: int


class Verifier:
    """Reads one export."""

    def __init__(self, vkey: str = "") -> None:
        self._vkey = vkey
        self._tenant = ""
        self._tree = Frontier()
        self._tile = Frontier()  # the leaves after the last full tile
        self._tiles: list[
            bytes | None
        ] = []  # what we make of each tile; None where we were given it
        self._told: list[bytes] = []
        self._entries = 0
        self._erased = 0
        self._end: Checkpoint | None = None

    def verify(self, lines: Iterable[bytes]) -> Verdict:
        """Return what the export is; Forged, if it is not what was logged."""
        for line in lines:
            if line.startswith(_START):
                self._entry(line)
            else:
                self._other(line)
        if self._end is None:
            raise Forged(0, f"the export is cut: no checkpoint follows entry {self._size}")
        self._come_to(self._end)
        return Verdict(self._entries, self._end.size, self._end.origin, self._erased)

    @property
    def _size(self) -> int:
        return self._tree.size + self._tile.size

    def _entry(self, line: bytes) -> None:
        seq = self._size + 1
        try:
            told, body, rest = _cut(line)
            said, parts = orjson.loads(body), json.loads(rest)
        except ValueError:
            raise Forged(seq, "the line is damaged") from None
        leaf = leaf_hash(body)
        if b64encode(leaf) != told:
            raise Forged(seq, "its bytes were changed")
        if (found := said.get("seq")) != seq:
            raise Forged(seq, f"entry {found} stands in its place")
        if said.get("tenant") != self._tenant:
            raise Forged(seq, "it is of another tenant's log")
        self._personal(seq, said.get("personal", {}), parts)
        self._grow(leaf, 0)
        self._entries += 1

    def _personal(self, seq: int, said: Mapping[str, str], parts: Mapping[str, Json]) -> None:
        for part, opened in parts.items():
            try:
                secret = secret_of(bytes.fromhex(opened["salt"]), opened["value"])
            except (KeyError, TypeError, ValueError):
                raise Forged(seq, f"what is open of its {part} is damaged") from None
            if said.get(part) != digest(secret):
                raise Forged(seq, f"what it says of its {part} was changed")
        self._erased += len(said) - len(parts)

    def _other(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            raise Forged(self._size + 1, "the line is damaged, or the export is cut") from None
        if self._end is not None:
            raise Forged(0, "something follows the checkpoint")
        if said.get("kind") == KIND:
            self._tenant = said["tenant"]
            self._vkey = self._vkey or said["vkey"]
        elif "skipped" in said:
            low, high = said["skipped"]
            self._skip(low, high, [b64decode(one) for one in said["hashes"]])
        elif "tiles" in said:
            self._told += [b64decode(one) for one in said["tiles"]]
        elif "checkpoint" in said:
            self._end = self._signed(said["checkpoint"])
        else:
            raise Forged(self._size + 1, "the line is none of an export")

    def _signed(self, note: str) -> Checkpoint:
        try:
            return verified(note, self._vkey)
        except BadNote as bad:
            raise Forged(0, str(bad)) from None

    def _skip(self, low: int, high: int, hashes: list[bytes]) -> None:
        nodes = cover(low, high)
        if low != self._size or len(nodes) != len(hashes):
            raise Forged(self._size + 1, "it is missing, and no hash stands for it")
        for (level, _), node in zip(nodes, hashes, strict=True):
            self._grow(node, level)

    def _grow(self, node: bytes, level: int) -> None:
        if level >= HEIGHT:
            self._tree.grow(node, level)
            self._tiles += [None] * (1 << (level - HEIGHT))
            return
        self._tile.grow(node, level)
        if self._tile.size == WIDTH:
            self._tiles.append(self._tile.root())
            self._tree.grow(self._tile.root(), HEIGHT)
            self._tile = Frontier()

    def _root(self, tiles: Frontier) -> bytes:
        return Frontier(0, [*tiles.nodes, *self._tile.nodes]).root()

    def _come_to(self, end: Checkpoint) -> None:
        if self._size != end.size:
            raise Forged(self._size + 1, f"it is missing: the checkpoint is of {end.size} entries")
        if self._root(self._tree) == end.root:
            return
        told = Frontier()
        for one in self._told:
            told.grow(one, HEIGHT)
        if told.size == self._tree.size and self._root(told) == end.root:
            for number, (mine, given) in enumerate(zip(self._tiles, self._told, strict=True)):
                if mine != given and mine is not None:
                    first = number * WIDTH + 1
                    raise Forged(
                        first,
                        f"it, or one of the {WIDTH - 1} after it, was changed and hashed anew",
                    )
        raise Forged(
            self._tree.size + 1 if self._told == self._tiles else 1,
            "it, or one after it, was changed and hashed anew: the root is not what is signed",
        )


def _cut(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the hash that a line tells, the entry's bytes, and what is open of it; ValueError for another line."""
    at = line.index(_HASH)
    size = int(line[len(_START) : at])
    first = at + len(_HASH)
    body = first + 44 + len(_LEAF)
    rest = body + size
    frame = (line[first + 44 : body], line[rest : rest + len(_OPENED)], line[-len(_END) :])
    if frame != (_LEAF, _OPENED, _END):
        raise ValueError("not an entry's line")
    return line[first : first + 44], line[body:rest], line[rest + len(_OPENED) : -len(_END)]
