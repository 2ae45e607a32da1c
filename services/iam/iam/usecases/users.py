"""The people of a tenant."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor
from chassis.pages import PageAsk, Slice
from iam.domain import names
from iam.domain.authority import Kind
from iam.domain.errors import UserNotFound
from iam.domain.grants import Window
from iam.domain.password import Policy
from iam.domain.reach_errors import PlatformOnly
from iam.domain.roles import DEFAULT, Role, together
from iam.domain.user import User, must_hold
from iam.ports import Means, OpenWork, Passwords, UserQuery, Work
from iam.usecases.dismissing import dismissed
from iam.usecases.ending import end_sessions
from iam.usecases.facts import user_fact
from iam.usecases.gitops_ties import cut_ties_of as _cut_ties
from iam.usecases.giving import checked, chosen, found, locked, locked_in


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """Who shall be made."""

    email: str
    password: str
    first_name: str = ""
    last_name: str = ""
    username: str | None = None
    active: bool = True
    roles: Sequence[str] = (DEFAULT,)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """What shall be different. `fields` by their names in User; `roles` all of them, or None as they are."""

    fields: dict[str, Any]
    roles: Sequence[str] | None = None
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Users:
    """Everything one can do to users."""

    work: OpenWork
    passwords: Passwords
    policy: Policy
    means: Means

    async def list(self, caller: Caller, query: UserQuery, ask: PageAsk) -> Slice[User]:
        """Return a part of the users of the caller's tenant; of any, or of all, to whoever reaches the platform."""
        caller.must("user:read")
        if query.tenant != caller.tenant and not caller.platform:
            raise PlatformOnly("you reach your own tenant only")
        async with self.work() as work:
            return await work.users.list(query, ask)

    async def get(self, caller: Caller, user: UUID) -> User:
        """Return a user of the caller's tenant; of any tenant to whoever reaches the whole platform."""
        caller.must("user:read")
        async with self.work() as work:
            return await found(work, caller, user)

    async def directory(self, caller: Caller, query: UserQuery, ask: PageAsk) -> Slice[User]:
        """Return the same to everybody else of the tenant, who are shown its active users' names and nothing more.

        What is not shown is not searched or sorted by either: that would show it.
        """
        caller.must_be_person_or("user:read")
        if query.sort.endswith("email") or query.tenant != caller.tenant:
            caller.must("user:read")
        async with self.work() as work:
            return await work.users.list(replace(query, brief=True), ask)

    async def colleague(self, caller: Caller, user: UUID) -> User:
        """Return an active user of the caller's tenant, of whom only the name will be shown."""
        caller.must_be_person_or("user:read")
        async with self.work() as work:
            known = await work.users.get(caller.tenant, user)
        if known is None or not known.active:
            raise UserNotFound("there is no such user")
        return known

    async def update_own(
        self, caller: Caller, fields: dict[str, Any], expected: int | None
    ) -> User:
        """Change what one may change about oneself: one's names."""
        person = caller.must_be_person()
        async with self.work() as work:
            known = await work.users.get(None, person)
            if known is None:
                raise UserNotFound("there is no such user")
            before = await locked_in(work, known.tenant, person, expected)
            after = replace(before, **fields).changed(self.means.now())
            await work.users.put(after)
            await self._tell(work, caller, before, after)
        return after

    async def create(self, caller: Caller, new: NewUser) -> User:
        """Make a user in the caller's tenant, with no role that the caller could not fill."""
        caller.must("user:create")
        email = names.email(new.email)
        password = self.policy.check(new.password, email, new.username or "")
        hashed = await self.passwords.hash(password)
        async with self.work() as work:
            roles = await chosen(work, caller.tenant, new.roles)
            must_hold(caller, together(role for role in roles if role.id != DEFAULT))
            user = self._made(caller, new, hashed, roles)
            await work.users.put(user)
            work.changed(Kind.SUBJECT, str(user.id))
            work.record(user_fact(Actor.of(caller), "created", None, user))
        return user

    async def update(self, caller: Caller, user: UUID, change: UserChange) -> User:
        """Change a user. Who loses something is logged out where it matters."""
        caller.must("user:update")
        if change.roles is not None:
            caller.must("role:assign_users")
        async with self.work() as work:
            before = await locked(work, caller, user, change.expected)
            after = replace(before, **_cleaned(change.fields)).changed(self.means.now())
            if change.roles is not None:
                roles = await chosen(work, before.tenant, change.roles)
                window = Window(granted_by=caller.subject)
                after = after.granted(roles, window, self.means.now())
            await checked(work, caller, before, after)
            await work.users.put(after)
            await self._tell(work, caller, before, after)
        return after

    async def delete(self, caller: Caller, user: UUID, expected: int | None) -> None:
        """Delete a user: found no more, logged out, their name free. A guest only leaves; their account is not ours."""
        caller.must("user:delete")
        async with self.work() as work:
            before = await locked(work, caller, user, expected)
            if before.guest:
                return await dismissed(work, caller, before, self.means.now())
            now = self.means.now()
            after = replace(before, active=False, deleted_at=now).changed(now)
            await checked(work, caller, before, after)
            await work.users.put(after)
            await self._tell(work, caller, before, after)
            await _cut_ties(work, caller, after.id, now)
        return None

    def _made(self, caller: Caller, new: NewUser, hashed: str, roles: Sequence[Role]) -> User:
        now = self.means.now()
        user = User(
            id=self.means.new_id(),
            tenant=caller.tenant,
            email=names.email(new.email),
            username=new.username,
            first_name=new.first_name,
            last_name=new.last_name,
            password=hashed,
            active=new.active,
            created_at=now,
            updated_at=now,
        )
        return user.granted(roles, Window(granted_by=caller.subject), now)

    async def _tell(self, work: Work, caller: Caller, before: User, after: User) -> None:
        verb = "deleted" if after.deleted_at else "updated"
        work.changed(Kind.SUBJECT, str(after.id))
        work.record(user_fact(Actor.of(caller), verb, before, None if after.deleted_at else after))
        if not after.active:
            why = f"the account was {'deleted' if after.deleted_at else 'disabled'}"
            await end_sessions(work, Actor.of(caller), after.id, self.means.now(), why)


def _cleaned(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | ({"email": names.email(fields["email"])} if "email" in fields else {})
