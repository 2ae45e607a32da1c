"""The project that every tenant is born with. Other services' projects go by the same slugs."""

from chassis.facts import Actor
from iam.domain.acl import Acl
from iam.domain.gitops import C, Entity
from iam.domain.tenant import Tenant
from iam.ports import Means, Work
from iam.usecases.gitops_facts import entity_fact

DEFAULT = "default"


async def founded(work: Work, actor: Actor, tenant: Tenant, means: Means) -> None:
    """Make the project `default` of a tenant that is just being made."""
    project = Entity(
        id=means.new_id(),
        tenant=tenant.id,
        collection=C.PROJECTS,
        key=DEFAULT,
        fields={"name": "Default", "description": ""},
        inherits=True,
        created_at=tenant.created_at,
        updated_at=tenant.created_at,
    )
    await work.entities.put(project, Acl())
    work.record(entity_fact(actor, "created", None, project))
