"""Where a request is at home: a tenant's project, the first of which comes into being when it is first asked for."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from flags.domain.errors import ProjectNotFound
from flags.domain.place import BORN_WITH, DEFAULT_PROJECT, Project, founded
from flags.ports import Hold, Work


async def home(
    work: Work,
    tenant: UUID,
    key: str,
    now: datetime,
    new_id: Callable[[], UUID],
    hold: Hold | None = None,
) -> Project:
    """Return a project of a tenant. The default one is made here, in the same transaction, if it is not there yet.

    No fact tells of that: it belongs to the birth of the tenant, of which iam tells.
    """
    if found := await work.projects.get(tenant, key, hold):
        return found
    if key == DEFAULT_PROJECT:
        born = founded(tenant, key, "Default", some_ids(new_id), now)
        if await work.projects.add(born):
            return born
        if found := await work.projects.get(tenant, key, hold):  # somebody was a moment faster
            return found
    raise ProjectNotFound(f"there is no project {key!r}")


def some_ids(new_id: Callable[[], UUID]) -> Sequence[UUID]:
    """Return as many ids as a new project needs, for itself and its environments."""
    return [new_id() for _ in range(1 + len(BORN_WITH))]
