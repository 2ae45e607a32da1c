"""What is stored, over REST, for those who hold godmode."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path

from chassis.http import Asking, View, anybody, doors, given
from iam.usecases.debug import Debug

router = doors("/api/v1/debug/collections", "debug")
Uses = Annotated[Debug, given(Debug)]
Name = Annotated[str, Path(min_length=1, max_length=80)]


class CollectionsView(View):
    """The names of the collections."""

    collections: list[str]


class DumpView(View):
    """Everything in a collection, what was deleted too, of all tenants."""

    collection: str
    count: int
    documents: list[Mapping[str, Any]]


@router.get("", **anybody())
async def collections(caller: Asking, debug: Uses) -> CollectionsView:
    """List the collections."""
    return CollectionsView(collections=await debug.collections(caller))


@router.get("/{name}", **anybody())
async def dump(name: Name, caller: Asking, debug: Uses) -> DumpView:
    """Dump a collection, without secrets."""
    documents = await debug.dump(caller, name)
    return DumpView(collection=name, count=len(documents), documents=documents)
