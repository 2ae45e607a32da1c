"""The users of /global are the users of /users: here is what changes the row that both are."""

from dataclasses import replace
from datetime import datetime

from chassis.caller import Caller
from chassis.facts import Actor
from iam.domain import names
from iam.domain.authority import Kind
from iam.domain.gitops import Entity
from iam.domain.gitops_errors import nothing
from iam.domain.grants import Grant
from iam.domain.roles import DEFAULT
from iam.domain.user import User, check_change
from iam.ports import Work
from iam.usecases.ending import end_sessions

NO_PASSWORD = "!"  # noqa: S105 - no hash looks like this, so nothing verifies against it


async def made(work: Work, entity: Entity, hashed: str | None) -> Entity:
    """Make a user with the role that everybody has; without a password they cannot log in."""
    tenant = await work.tenants.get(entity.tenant)
    if tenant is None:
        raise nothing()
    username, said = entity.key.removeprefix("u_"), entity.fields
    user = User(
        id=entity.id,
        tenant=entity.tenant,
        email=names.email(said.get("email") or f"{username}@{tenant.subdomain}.invalid"),
        username=username,
        first_name=said["first_name"],
        last_name=said["last_name"],
        password=hashed or NO_PASSWORD,
        active=said.get("is_active", True),
        grants=(Grant(DEFAULT),),
        created_at=entity.created_at,
        updated_at=entity.updated_at,
    )
    await work.users.put(user)
    work.changed(Kind.SUBJECT, str(user.id))
    return replace(entity, fields=_shown(user))


async def changed(work: Work, caller: Caller, entity: Entity, hashed: str | None) -> Entity:
    """Change a user; whoever lost their password or their account is logged out."""
    before, said = await _user(work, entity), entity.fields
    after = replace(
        before,
        email=names.email(said["email"]),
        first_name=said["first_name"],
        last_name=said["last_name"],
        active=said["is_active"],
        password=hashed or before.password,
        updated_at=entity.updated_at,
        version=entity.version,
    )
    await _check(work, caller, before, after)
    await work.users.put(after)
    work.changed(Kind.SUBJECT, str(after.id))
    if hashed is not None or not after.active:
        why = "the password was set by another" if after.active else "the account was disabled"
        await end_sessions(work, Actor.of(caller), after.id, after.updated_at, why)
    return replace(entity, fields=_shown(after))


async def deleted(work: Work, caller: Caller, entity: Entity, now: datetime) -> None:
    """Delete a user: they are found no more, and their sessions end."""
    before = await _user(work, entity)
    after = replace(before, active=False, deleted_at=now).changed(now)
    await _check(work, caller, before, after)
    await work.users.put(after)
    work.changed(Kind.SUBJECT, str(after.id))
    await end_sessions(work, Actor.of(caller), after.id, now, "the account was deleted")


async def _user(work: Work, entity: Entity) -> User:
    found = await work.users.get(entity.tenant, entity.id, lock=True)
    if found is None:
        raise nothing()
    return found


async def _check(work: Work, caller: Caller, before: User, after: User) -> None:
    others = await work.users.administrators(before.tenant, without=before.id)
    check_change(caller, before, after, others)


def _shown(user: User) -> dict[str, object]:
    return {
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "is_active": user.active,
    }
