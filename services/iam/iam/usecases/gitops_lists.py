"""The lists that govern things: what is lent by what they are in, and lists with the names of principals read."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from iam.domain.acl import Acl, Entry, EntryDraft, refused
from iam.domain.gitops import C, Entity, principal_key
from iam.ports import Work


async def lent_to(work: Work, entity: Entity) -> Acl:
    """Return the list that a thing's project lends to it, or a membership's group with all that is lent to that."""
    if entity.parent is None:
        return Acl()
    if entity.collection is not C.MEMBERSHIPS:
        project = await work.entities.get(entity.tenant, C.PROJECTS, entity.parent)
        return project.acl if project else Acl()
    group = await work.entities.get(entity.tenant, C.GROUPS, entity.parent)
    if group is None:
        return Acl()
    more = await lent_to(work, group) if group.inherits else Acl()
    return replace(group.acl, entries=(*group.acl.entries, *more.entries))


async def drawn(work: Work, entity: Entity, drafts: Sequence[EntryDraft], now: datetime) -> Acl:
    """Return the list that a client has written, with ids for keys; the present one if it says the same."""
    wanted = list({principal_key(key) for draft in drafts for key in draft.principals})
    ids = await work.entities.principals(entity.tenant, wanted)
    entries = list[Entry]()
    for number, draft in enumerate(drafts):
        keys = list(dict.fromkeys(principal_key(key) for key in draft.principals))
        if unknown := [key for key in keys if key not in ids]:
            raise refused(f"/{number}/principals", f"there is no {unknown[0]}")
        entries.append(Entry(draft.permissions, tuple(ids[key] for key in keys), draft.scope))
    return entity.acl if tuple(entries) == await _live(work, entity) else Acl(tuple(entries), now)


async def _live(work: Work, entity: Entity) -> tuple[Entry, ...]:
    """Return a thing's entries without those who are no more, as they are shown."""
    named = {p for entry in entity.acl.entries for p in entry.principals}
    keys = await work.entities.keys(entity.tenant, named)
    left = (
        replace(entry, principals=tuple(p for p in entry.principals if p in keys))
        for entry in entity.acl.entries
    )
    return tuple(entry for entry in left if entry.principals)
