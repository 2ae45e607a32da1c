"""Who has which role, and where: giving roles to users, groups and accounts, and taking them back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor, Fact, Target
from iam.domain.errors import SelfDemotion, TooManyRows, UnknownUser, UserNotFound
from iam.domain.gitops import C
from iam.domain.grant_errors import RoleNotHeld
from iam.domain.grants import PLATFORM, TENANT, Grant, Grants, Where, Window, held_at, without_grant
from iam.domain.names import as_id
from iam.domain.reach_errors import BadPlace, GuestAccount, HeldThroughGroup
from iam.domain.roles import Role
from iam.domain.user import User
from iam.ports import Means, OpenWork, Work
from iam.usecases.facts import SYSTEM as IAM
from iam.usecases.facts import Assignment, assignment_fact, expiry_fact
from iam.usecases.giving import (
    administered,
    checked,
    chosen,
    locked_in,
    must_exist,
    must_hold_there,
    must_there,
    told,
)
from iam.usecases.roles import MOST_BARE, role_of

TURNED = 1000  # roles whose time has come or gone, looked at in one transaction
_PRINCIPALS = (C.GROUPS, C.SERVICE_ACCOUNTS, C.PIPELINE_ACCOUNTS)


@dataclass(frozen=True, slots=True)
class To:
    """Whom a role is given to: a user, group or account of a tenant, by id or key (`g_ops`).

    And where: without a scope in all of the tenant, or as far as the role reached before.
    """

    tenant: UUID
    principal: str
    where: Where | None = None

    @property
    def at(self) -> Where:
        """The scope that is meant."""
        return self.where or TENANT


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody with what they were given in a tenant. `user` is None for groups and accounts."""

    tenant: UUID
    id: UUID
    kind: str
    name: str
    grants: Grants
    user: User | None = None


@dataclass(frozen=True, slots=True)
class _Turn:
    """That a role is given to somebody at a scope, or taken: what they hold before, and after."""

    role: Role
    where: Where | None
    holder: Holder
    after: Grants

    @property
    def wide(self) -> bool:
        """Whether all of the tenant is meant, or more."""
        return self.where is None or self.where.wide

    @property
    def had(self) -> Grant | None:
        """How they held it."""
        return next(iter(held_at(self.holder.grants, self.role, self.where)), None)

    @property
    def given(self) -> Grant | None:
        """How they hold it from now on; None if it is taken."""
        return next(iter(held_at(self.after, self.role, self.where)), None)

    @property
    def touched(self) -> Grants:
        """What comes or goes."""
        return tuple(grant for grant in (self.had, self.given) if grant)


@dataclass(frozen=True, slots=True)
class Assignments:
    """Gives only what the giver holds there, to whom they could change anyhow, and takes no tenant's last admin."""

    work: OpenWork
    means: Means

    async def users(self, caller: Caller, role: str, where: Where = TENANT) -> Sequence[UUID]:
        """Return to whom in its tenant (the caller's, for a system role) a role was given."""
        caller.must("role:read")
        async with self.work() as work:
            known = await role_of(work, caller, role)
            return await _holders(work, caller, known, where)

    async def put_users(
        self, caller: Caller, role: str, users: Sequence[UUID], where: Where | None = None
    ) -> Sequence[UUID]:
        """Give a role to exactly these users of its tenant, and take it from all others; all of it or nothing."""
        caller.must("role:assign_users")
        async with self.work() as work:
            home = (await role_of(work, caller, role)).tenant or caller.tenant
            await work.tenants.get(home, lock=True)
            await self._may(work, caller, To(home, "", where))
            (known,) = await chosen(work, home, [role])
            had = set(await _holders(work, caller, known, where or TENANT))
            for user in sorted(set(users) ^ had):
                if (before := await work.users.get(home, user, lock=True)) is None:
                    raise UnknownUser(f"there is no user {user} in this tenant")
                after = self._turned(caller, before.grants, known, where, held=user not in had)
                await self._put(work, caller, _Turn(known, where, _person(before), after))
            return await _holders(work, caller, known, where or TENANT)

    async def of(self, caller: Caller, to: To) -> Sequence[Grant]:
        """Return what was given to somebody of a tenant, also through groups; at one scope if one is named."""
        caller.must_be_known()
        async with self.work() as work:
            await self._may(work, caller, to, "role:read")
            grants = (await _holder(work, to)).grants
        return [grant for grant in grants if to.where in (None, grant.at)]

    async def give(self, caller: Caller, to: To, role: str, window: Window) -> None:
        """Give a role, for a time if the window says so; again means: with this window."""
        caller.must_be_known()
        async with self.work() as work:
            await self._may(work, caller, to)
            holder = await self._locked(work, to)
            await must_exist(work, to.tenant, to.at)
            (known,) = await chosen(work, to.tenant, [role])
            after = window.anew(holder.grants, known, self.means.now(), to.where)
            await self._put(work, caller, _Turn(known, to.where, holder, after))

    async def take(self, caller: Caller, to: To, role: str) -> None:
        """Take a role back."""
        caller.must_be_known()
        async with self.work() as work:
            await self._may(work, caller, to)
            holder = await self._locked(work, to)
            (known,) = await chosen(work, to.tenant, [role])
            if not held_at(holder.grants, known, to.where):
                raise _not_held(holder, known)
            after = without_grant(holder.grants, known, to.where)
            await self._put(work, caller, _Turn(known, to.where, holder, after))

    async def turn(self) -> int:
        """Tell replicas of roles that have begun or ended by themselves; return how many. A job, not a verb."""
        async with self.work() as work:
            turned = await work.bindings.turned(self.means.now(), TURNED)
            for one in turned:
                await told(work, one.principal)
                work.record(expiry_fact(IAM, one))
        return len(turned)

    # --- steps ------------------------------------------------------------------------------------------------------

    async def _may(
        self, work: Work, caller: Caller, to: To, permission: str = "role:assign_users"
    ) -> None:
        await must_there(work, caller, permission, (to.tenant, to.at), self.means.now())

    def _turned(
        self, caller: Caller, grants: Grants, role: Role, where: Where | None, *, held: bool
    ) -> Grants:
        if not held:
            return without_grant(grants, role, where)
        return Window(granted_by=caller.subject).anew(grants, role, self.means.now(), where)

    async def _locked(self, work: Work, to: To) -> Holder:
        """Return who is meant, kept still with the administrators of their tenant."""
        await work.tenants.get(to.tenant, lock=True)
        holder = await _holder(work, to)
        if holder.user is None:
            return holder
        return _person(await locked_in(work, to.tenant, holder.id))

    async def _put(self, work: Work, caller: Caller, turn: _Turn) -> None:
        """Store what somebody holds now, if this caller may bring it about, and tell of it."""
        holder = turn.holder
        _check(caller, turn)
        if holder.user is None or not turn.wide:
            await must_hold_there(work, caller, holder.tenant, turn.touched, self.means.now())
        if holder.user is not None:
            after = replace(holder.user, grants=turn.after).changed(self.means.now())
            if turn.wide:
                await checked(work, caller, holder.user, after)
            await work.users.put(after)
        else:
            async with administered(work, holder.tenant):
                await work.bindings.put(holder.tenant, holder.id, turn.after)
        await told(work, holder.id)
        work.record(_fact(caller, turn))


def _check(caller: Caller, turn: _Turn) -> None:
    """Refuse what can never be: giving everywhere to what is not everywhere, and taking from oneself."""
    holder = turn.holder
    if turn.where == PLATFORM and (holder.user is None or holder.user.guest):
        raise GuestAccount("only users hold roles everywhere, and they are given them at home")
    if turn.where == PLATFORM and not turn.role.system:
        raise BadPlace("a role of a tenant's own reaches no further than the tenant")
    if not turn.wide and turn.given is None and caller.subject == str(holder.id):
        raise SelfDemotion("you cannot take a role from yourself; ask another administrator")


def _fact(caller: Caller, turn: _Turn) -> Fact:
    holder = turn.holder
    what = Assignment(
        tenant=holder.tenant,
        target=Target(holder.kind, str(holder.id), holder.name),
        role=turn.role,
        had=turn.had,
        given=turn.given,
    )
    return assignment_fact(Actor.of(caller), what)


async def _holder(work: Work, to: To) -> Holder:
    """Return who is meant by an id or a key; a key of a user is that of /global."""
    ids = await work.entities.principals(to.tenant, [to.principal])
    id_ = ids.get(to.principal) or as_id(to.principal)
    if id_ and (user := await work.users.get(to.tenant, id_)):
        return _person(user)
    for collection in _PRINCIPALS:
        if id_ and (thing := await work.entities.get(to.tenant, collection, id_)):
            grants = await work.bindings.of(to.tenant, id_)
            return Holder(to.tenant, id_, collection.kind, thing.key, tuple(grants))
    raise UserNotFound("there is no such user")


def _person(user: User) -> Holder:
    return Holder(user.tenant, user.id, "user", user.name, user.grants, user)


def _not_held(holder: Holder, role: Role) -> RoleNotHeld | HeldThroughGroup:
    if any(grant.through and grant.role == role.id for grant in holder.grants):
        return HeldThroughGroup("a group gives the role: take it from the group, or leave that")
    return RoleNotHeld("the user does not have this role")


async def _holders(work: Work, caller: Caller, role: Role, where: Where) -> Sequence[UUID]:
    home = role.tenant or caller.tenant
    holders = await work.roles.holders(home, role.id, MOST_BARE + 1, where)
    if len(holders) > MOST_BARE:
        raise TooManyRows(f"more than {MOST_BARE} users have this role")
    return holders
