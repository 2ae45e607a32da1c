"""How what /global keeps looks in the audit log: never with a password."""

from chassis.caller import Caller
from chassis.facts import Actor, Document, Fact, Target
from iam.domain.gitops import Entity


def entity_fact(by: Caller | Actor, verb: str, before: Entity | None, after: Entity | None) -> Fact:
    """Return the fact that something happened to a thing."""
    entity = after or before
    assert entity is not None
    kind = entity.collection.value.removesuffix("s")
    return Fact(
        tenant=entity.tenant,
        actor=by if isinstance(by, Actor) else Actor.of(by),
        action=f"{kind}.{verb}",
        target=Target(kind, str(entity.id), entity.key),
        before=_entity(before),
        after=_entity(after),
    )


def _entity(entity: Entity | None) -> Document | None:
    return entity and {
        **entity.fields,
        "key": entity.key,
        "labels": dict(entity.labels),
        "annotations": dict(entity.annotations),
        "parent": entity.parent and str(entity.parent),
        "principal": entity.principal and str(entity.principal),
        "avatar": entity.avatar,
        "acl": [
            {
                "permissions": entry.permissions,
                "principals": [str(principal) for principal in entry.principals],
                "scope": entry.scope,
            }
            for entry in entity.acl.entries
        ],
    }
