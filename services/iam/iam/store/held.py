"""What principals hold, their groups' grants with their own, in one statement, as every decision asks for it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from iam.domain.grants import Grant
from iam.domain.roles import Role

DEPTH = 10  # steps from somebody to a group that contains them
# A role's name is the slug of a system role or the id of a tenant's own; only ids are looked up.
_HELD = text(
    """
    WITH RECURSIVE reached(who, id, steps) AS (
        SELECT u, u, 0 FROM unnest(CAST(:ids AS uuid[])) u
        UNION
        SELECT r.who, m.parent, r.steps + 1 FROM reached r JOIN iam.entity m ON m.principal = r.id
        WHERE m.collection = 'memberships' AND m.deleted_at IS NULL AND r.steps < :depth
    )
    SELECT p.who, nullif(p.id, p.who),
        b.role, b.scope, b.not_before, b.expires_at, b.granted_by, b.reason, b.place, b.tenant, b.source,
        (b.not_before IS NULL OR b.not_before <= clock_timestamp())
            AND (b.expires_at IS NULL OR b.expires_at > clock_timestamp()),
        r.id, r.name, r.description, r.permissions, r.tenant, r.created_at, r.updated_at, r.version
    FROM (SELECT DISTINCT who, id FROM reached) p
    JOIN iam.role_binding b ON b.principal = p.id
    LEFT JOIN iam.role r ON r.id = CASE WHEN length(b.role) = 36 THEN CAST(b.role AS uuid) END
    """
)


async def held_by(session: AsyncSession, ids: Sequence[UUID]) -> Mapping[UUID, Sequence[Grant]]:
    """Return what each of these was given, directly or through groups. Each grant names its tenant."""
    made: dict[UUID, list[Grant]] = defaultdict(list)
    if not ids:
        return made
    found = await session.execute(_HELD, {"ids": list(ids), "depth": DEPTH})
    roles = dict[UUID, Role]()
    for who, through, *given in found:
        made[who].append(_grant(through, given[:10], _role(given[10:], roles)))
    return made


def _grant(through: UUID | None, given: Sequence[Any], custom: Role | None) -> Grant:
    role, scope, begins, ends, by, reason, place, tenant, source, in_force = given
    return Grant(
        role=role,
        scope=scope,
        not_before=begins,
        expires_at=ends,
        granted_by=by,
        reason=reason,
        custom=custom,
        in_force=in_force,
        place=place,
        tenant=tenant,
        source=source,
        through=through,
    )


def _role(cells: Sequence[Any], known: dict[UUID, Role]) -> Role | None:
    id_, name, description, permissions, tenant, created, updated, version = cells
    if id_ is None:
        return None
    if id_ not in known:
        known[id_] = Role(
            id=str(id_),
            name=name,
            description=description,
            permissions=frozenset(permissions),
            tenant=tenant,
            created_at=created,
            updated_at=updated,
            version=version,
        )
    return known[id_]
