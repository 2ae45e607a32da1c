"""Merkle trees as RFC 6962 (2.1) and RFC 9162 define them, over SHA-256. Pure.

A tree is known by its complete nodes: `(level, index)` is the root of the 2**level leaves from index * 2**level on, and
never changes once it is there. Whatever spans a range of leaves is folded from the few complete nodes that cover it, so
a proof is a list of ranges, and whoever has the nodes (a tile, a frontier, a dict) has the hashes.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

Node = tuple[int, int]
Range = tuple[int, int]
Find = Callable[[Node], bytes]
Tree = tuple[int, bytes]  # size and root
EMPTY = sha256().digest()
SIZE = 32


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of an entry."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def folded(hashes: Sequence[bytes]) -> bytes:
    """Return what complete nodes of falling size, side by side, come to; the empty tree's root for none."""
    if not hashes:
        return EMPTY
    whole = hashes[-1]
    for left in reversed(hashes[:-1]):
        whole = node_hash(left, whole)
    return whole


class Frontier:
    """The right edge of a growing tree: its size, and the complete nodes that cover it, the largest first."""

    __slots__ = ("nodes", "size")

    def __init__(self, size: int = 0, nodes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.nodes = list(nodes)

    @classmethod
    def of(cls, size: int, packed: bytes) -> "Frontier":
        """Return a frontier from what `packed` made of it."""
        return cls(size, (packed[at : at + SIZE] for at in range(0, len(packed), SIZE)))

    def packed(self) -> bytes:
        """Return the nodes as bytes."""
        return b"".join(self.nodes)

    def root(self) -> bytes:
        """Return the hash of the whole tree."""
        return folded(self.nodes)

    def grow(self, node: bytes, level: int = 0) -> None:
        """Add the next complete node (a leaf's hash, unless `level` says more); ValueError where it cannot stand."""
        if self.size & ((1 << level) - 1):
            raise ValueError(f"no node of level {level} begins at {self.size}")
        rest = self.size >> level
        while rest & 1:
            node = node_hash(self.nodes.pop(), node)
            rest >>= 1
        self.nodes.append(node)
        self.size += 1 << level


def cover(low: int, high: int) -> list[Node]:
    """Return the complete nodes that together span the leaves from `low` up to `high` (not included)."""
    nodes: list[Node] = []
    while low < high:
        most = (high - low).bit_length() - 1
        level = min((low & -low).bit_length() - 1, most) if low else most
        nodes.append((level, low >> level))
        low += 1 << level
    return nodes


def spanned(span: Range, find: Find) -> bytes:
    """Return the hash of a range of leaves that a proof names."""
    return folded([find(node) for node in cover(*span)])


def inclusion(index: int, size: int) -> list[Range]:
    """Return the ranges whose hashes prove a leaf, from its sibling up (RFC 6962, 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    path: list[Range] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _half(high - low)
        if index < middle:
            path.append((middle, high))
            high = middle
        else:
            path.append((low, middle))
            low = middle
    return path[::-1]


def consistency(old: int, new: int) -> list[Range]:
    """Return the ranges whose hashes prove that a tree grew from `old` to `new` leaves (RFC 6962, 2.1.2)."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree does not grow from {old} to {new}")
    if old in (0, new):
        return []
    path: list[Range] = []
    low, high, whole = 0, new, True
    while old != high:
        middle = low + _half(high - low)
        if old <= middle:
            path.append((middle, high))
            high = middle
        else:
            path.append((low, middle))
            low, whole = middle, False
    return ([] if whole else [(low, high)]) + path[::-1]


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether a proof shows that the leaf is number `index` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or any(len(h) != SIZE for h in (leaf, root, *proof)):
        return False
    at, last, whole = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            whole = node_hash(step, whole)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            whole = node_hash(whole, step)
        at, last = at >> 1, last >> 1
    return last == 0 and whole == root


def grown(old: Tree, new: Tree, proof: Sequence[bytes]) -> bool:
    """Tell whether a proof shows that one (size, root) continues another (RFC 9162, 2.1.4.2).

    From nothing to something nothing can be shown.
    """
    (was, before), (is_now, after) = old, new
    if was == is_now:
        return was > 0 and not proof and before == after
    if not 0 < was < is_now or not proof or any(len(h) != SIZE for h in proof):
        return False
    path = [before, *proof] if was & (was - 1) == 0 else list(proof)
    at, last = was - 1, is_now - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    left = right = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            left, right = node_hash(step, left), node_hash(step, right)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            right = node_hash(right, step)
        at, last = at >> 1, last >> 1
    return last == 0 and (left, right) == (before, after)


def _half(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
