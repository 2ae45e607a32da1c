"""Hashes of a tree's nodes, from its tiles."""

from collections.abc import Callable, Sequence
from uuid import UUID

from audit.domain.merkle import Node, Range, cover, spanned
from audit.domain.tiles import place, root
from audit.ports import Work


async def of_ranges(work: Work, tenant: UUID, ranges: Sequence[Range]) -> list[bytes]:
    """Return the hash of each range of leaves; all of it must be in the tree."""
    find = await finder(work, tenant, [node for span in ranges for node in cover(*span)])
    return [spanned(span, find) for span in ranges]


async def finder(work: Work, tenant: UUID, nodes: Sequence[Node]) -> Callable[[Node], bytes]:
    """Read every tile that these nodes are in, once; return what finds the nodes."""
    tiles = await work.trees.tiles(tenant, {place(node)[0] for node in nodes})

    def find(node: Node) -> bytes:
        tile, first, count = place(node)
        return root(tiles[tile][first : first + count])

    return find
