"""Strands: each thing that a reader may filter by runs through a log as a strand, and each entry is numbered within it.

Since the numbers of a strand have no gaps, how many of its entries lie between two of them is a subtraction.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from audit.domain.entry import Event

STRANDS = ("actor", "entity", "entity_type", "verb", "action", "outcome")
Strand = tuple[int, str]  # which of STRANDS, and the value
Strands = Mapping[UUID, Collection[Strand]]  # by whose log
Ordinals = tuple[int, ...]  # in the order of STRANDS


def values(event: Event) -> tuple[str, ...]:
    """Return what an event is in each strand, in the order of STRANDS."""
    target, action = event.target, event.action
    verb = action.partition(".")[2]
    return (event.actor.id, target.id, target.type, verb, action, str(event.outcome))
