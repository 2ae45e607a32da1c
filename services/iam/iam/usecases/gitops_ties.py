"""What ends with a thing: its memberships, what it was given, and in a project the pipelines' accounts.

The rest stands on its own. Being in a group may give roles: who is put in or taken out, or deletes the group, decides
over these, and no tenant loses its last administrator that way.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor
from iam.domain.acl import Acl
from iam.domain.gitops import C, Entity
from iam.domain.grants import Where
from iam.ports import Work
from iam.usecases.ending import revoke_keys
from iam.usecases.gitops_facts import entity_fact
from iam.usecases.giving import administered, must_hold_there, told

_HOLDERS = (C.GROUPS, C.SERVICE_ACCOUNTS, C.PIPELINE_ACCOUNTS)


@asynccontextmanager
async def weighed(
    work: Work, caller: Caller, entity: Entity, now: datetime
) -> AsyncGenerator[None]:
    """Let a membership come or go, or a group or an account go, if the caller may decide over the roles in it."""
    group = entity.parent if entity.collection is C.MEMBERSHIPS else entity.id
    if (
        entity.collection not in (*_HOLDERS, C.MEMBERSHIPS)
        or group is None
        or not await work.bindings.matter(group)
    ):
        yield
    else:
        grants = await work.bindings.through(group)
        await must_hold_there(work, caller, entity.tenant, grants, now)
        whom = await work.bindings.reached([entity.principal or entity.id])
        async with administered(work, entity.tenant):
            yield
        await told(work, *whom)


async def cut_ties(work: Work, caller: Caller, gone: Entity, now: datetime) -> None:
    """Delete what cannot be without something that was deleted, and let go of the rest."""
    if gone.collection in _HOLDERS:
        await work.bindings.put(gone.tenant, gone.id, ())
        await revoke_keys(work, Actor.of(caller), gone.tenant, gone.id, now)
    if gone.collection is C.PROJECTS:
        here = Where("project", gone.key)
        holders = await work.bindings.at(gone.tenant, here)
        await work.bindings.clear(gone.tenant, here)
        await told(work, *holders)
    await cut_ties_of(work, caller, gone.id, now)


async def cut_ties_of(work: Work, caller: Caller, gone: UUID, now: datetime) -> None:
    """Do the same for what is tied to somebody or something by its id."""
    for entity in await work.entities.tied(gone):
        if entity.collection in (C.MEMBERSHIPS, C.PIPELINE_ACCOUNTS):
            await work.entities.put(entity.deleted(now), Acl())
            work.record(entity_fact(caller, "deleted", entity, None))
            if entity.collection is C.PIPELINE_ACCOUNTS:
                await cut_ties(work, caller, entity, now)
        else:
            after = _alone(entity).changed(now)
            await work.entities.put(after, Acl())
            work.record(entity_fact(caller, "updated", entity, after))


def _alone(entity: Entity) -> Entity:
    return replace(entity, parent=None)
