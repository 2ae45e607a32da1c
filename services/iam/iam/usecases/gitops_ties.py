"""What ends with a thing: its memberships, and in a project the pipelines' accounts; the rest stands on its own."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from iam.domain.acl import Acl
from iam.domain.gitops import C, Entity
from iam.ports import Work
from iam.usecases.gitops_facts import entity_fact


async def cut_ties(work: Work, caller: Caller, gone: UUID, now: datetime) -> None:
    """Delete what cannot be without something that was deleted, and let go of the rest."""
    for entity in await work.entities.tied(gone):
        if entity.collection in (C.MEMBERSHIPS, C.PIPELINE_ACCOUNTS):
            await work.entities.put(entity.deleted(now), Acl())
            work.record(entity_fact(caller, "deleted", entity, None))
            if entity.collection is C.PIPELINE_ACCOUNTS:
                await cut_ties(work, caller, entity.id, now)
        else:
            after = _alone(entity).changed(now)
            await work.entities.put(after, Acl())
            work.record(entity_fact(caller, "updated", entity, after))


def _alone(entity: Entity) -> Entity:
    return replace(entity, parent=None)
