"""Roles that come with groups at an identity provider: the table that says which, and bringing a user up to date."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor
from iam.domain.errors import TooManyRows
from iam.domain.external import Claims, Line, Rule, meant, synced
from iam.domain.grants import Grant, Where, Window
from iam.domain.reach_errors import BadPlace, LineNotFound
from iam.domain.roles import Role
from iam.domain.user import User
from iam.ports import Means, OpenWork, Work
from iam.usecases.facts import line_fact, synced_fact
from iam.usecases.giving import (
    checked,
    chosen,
    locked,
    must_exist,
    must_hold_there,
    told,
)

MOST_BARE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLine:
    """A line that shall be in the table."""

    idp: str
    claim: str
    value: str
    role: str
    where: Where
    rule: Rule


@dataclass(frozen=True, slots=True)
class External:
    """Everything about roles from outside. Nobody lets others be given what they do not hold themselves."""

    work: OpenWork
    means: Means

    async def list(self, caller: Caller) -> Sequence[Line]:
        """Return the caller's tenant's table."""
        caller.must("role:read")
        async with self.work() as work:
            found = await work.external.all(caller.tenant, MOST_BARE + 1)
        if len(found) > MOST_BARE:
            raise TooManyRows(f"there are more than {MOST_BARE} lines")
        return found

    async def get(self, caller: Caller, line: UUID) -> Line:
        """Return one line."""
        caller.must("role:read")
        async with self.work() as work:
            return await _found(work, caller, line)

    async def create(self, caller: Caller, new: NewLine) -> Line:
        """Put a line into the table. It counts from the next sync of a user on."""
        caller.must("role:assign_users")
        if new.where.scope == "platform":
            raise BadPlace("groups of a tenant give roles in the tenant")
        async with self.work() as work:
            (role,) = await chosen(work, caller.tenant, [new.role])
            await must_exist(work, caller.tenant, new.where)
            await self._must_hold(work, caller, role, new.where)
            line = self._made(caller, new, role)
            await work.external.put(line)
            work.record(line_fact(Actor.of(caller), "created", line))
        return line

    async def delete(self, caller: Caller, line: UUID) -> None:
        """Take a line out. Who has the role by it keeps it until they are synced again."""
        caller.must("role:assign_users")
        async with self.work() as work:
            found = await _found(work, caller, line)
            for role in await chosen(work, caller.tenant, [found.role]):
                await self._must_hold(work, caller, role, found.where)
            await work.external.drop(line)
            work.record(line_fact(Actor.of(caller), "deleted", found))

    async def sync(self, caller: Caller, user: UUID, idp: str, claims: Claims) -> Sequence[Grant]:
        """Let a user hold from this identity provider exactly what their claims mean now; return these grants.

        What was given by hand, or came from another one, stays.
        """
        caller.must("role:assign_users")
        async with self.work() as work:
            before = await locked(work, caller, user)
            after = await self._synced(work, caller, before, idp, claims)
            if after.grants != before.grants:
                await self._put(work, caller, idp, before, after)
        return [grant for grant in after.grants if grant.source == idp]

    async def _synced(
        self, work: Work, caller: Caller, user: User, idp: str, claims: Claims
    ) -> User:
        table = await work.external.all(user.tenant, MOST_BARE, idp)
        window = Window(granted_by=caller.subject, reason=f"groups at {idp}")
        given = list[Grant]()
        for name, where in sorted(meant(table, idp, claims)):
            for role in await chosen(work, user.tenant, [name]):
                grant = window.grant(role, self.means.now(), where)
                given.append(replace(grant, source=idp))
        return replace(user, grants=synced(user.grants, idp, given))

    async def _put(self, work: Work, caller: Caller, idp: str, before: User, after: User) -> None:
        now = self.means.now()
        narrow = [g for g in {*before.grants} ^ {*after.grants} if not g.wide]
        await must_hold_there(work, caller, before.tenant, narrow, now)
        after = after.changed(now)
        await checked(work, caller, before, after)
        await work.users.put(after)
        await told(work, after.id)
        work.record(synced_fact(Actor.of(caller), idp, before, after))

    async def _must_hold(self, work: Work, caller: Caller, role: Role, where: Where) -> None:
        now = self.means.now()
        grant = Window().grant(role, now, where)
        await must_hold_there(work, caller, caller.tenant, [grant], now)

    def _made(self, caller: Caller, new: NewLine, role: Role) -> Line:
        return Line(
            id=self.means.new_id(),
            tenant=caller.tenant,
            idp=new.idp,
            claim=new.claim,
            value=new.value,
            role=role.id,
            where=new.where,
            rule=new.rule,
            created_by=caller.subject,
            created_at=self.means.now(),
        )


async def _found(work: Work, caller: Caller, line: UUID) -> Line:
    if known := await work.external.get(caller.tenant, line):
        return known
    raise LineNotFound("there is no such line")
