"""Invitations, from making one to the first login of whoever accepts it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor
from chassis.pages import PageAsk, Slice
from iam.domain import names
from iam.domain.authority import Kind
from iam.domain.errors import BadExpiry, BadInvitation, EmailTaken, InvitationNotFound
from iam.domain.grants import Window
from iam.domain.invitation import LASTS, Invitation
from iam.domain.password import Policy
from iam.domain.roles import DEFAULT, SYSTEM, Role
from iam.domain.session import digest
from iam.domain.tenant import Tenant
from iam.domain.user import User, must_hold
from iam.ports import OpenWork, Passwords, Work
from iam.usecases.facts import acting, invitation_fact, user_fact
from iam.usecases.giving import chosen, own_role
from iam.usecases.opening import Opening, Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """Who accepts an invitation, and with which password they will log in."""

    token: str
    password: str
    first_name: str = ""
    last_name: str = ""
    username: str | None = None


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation with what its token opens. `status` is how it stands now."""

    invitation: Invitation
    status: str
    role: str
    tenant: Tenant


@dataclass(frozen=True, slots=True)
class Invitations:
    """Everything one can do with invitations. One invites only with a role that one could fill."""

    work: OpenWork
    passwords: Passwords
    policy: Policy
    opening: Opening

    async def list(self, caller: Caller, ask: PageAsk) -> Slice[Invited]:
        """Return a part of the tenant's invitations, newest first."""
        caller.must("invitation:read")
        async with self.work() as work:
            part = await work.invitations.list(caller.tenant, ask)
            items = await self._described(work, part.items)
        return Slice(items=items, next=part.next, total=part.total)

    async def get(self, caller: Caller, invitation: UUID) -> Invited:
        """Return an invitation."""
        caller.must("invitation:read")
        async with self.work() as work:
            found = await _found(work, caller, invitation)
            return (await self._described(work, [found]))[0]

    async def create(
        self, caller: Caller, email: str, role: str, expires_at: datetime | None
    ) -> tuple[Invited, str]:
        """Invite an address; return the invitation with its token, which nobody can ever be shown again."""
        caller.must("invitation:create")
        address, token = names.email(email), self.opening.means.new_secret()
        ends = self._ends(expires_at)
        async with self.work() as work:
            (given,) = await chosen(work, caller.tenant, [role])
            self._check(caller, given)
            await self._make_way(work, caller, address)
            made = self._made(caller, address, given, token, ends)
            await work.invitations.put(made)
            work.record(invitation_fact(Actor.of(caller), "created", made))
            return (await self._described(work, [made]))[0], token

    async def resend(self, caller: Caller, invitation: UUID) -> tuple[Invited, str]:
        """Give an open invitation another token and another week; the token before is worth nothing any more."""
        caller.must("invitation:update")
        token, ends = self.opening.means.new_secret(), self._ends(None)
        async with self.work() as work:
            before = await _found(work, caller, invitation, lock=True)
            for role in await chosen(work, caller.tenant, [before.role]):
                self._check(caller, role)
            after = before.resent(digest(token), ends)
            await work.invitations.put(after)
            work.record(invitation_fact(Actor.of(caller), "resent", after))
            return (await self._described(work, [after]))[0], token

    async def revoke(self, caller: Caller, invitation: UUID) -> Invited:
        """Withdraw an open invitation."""
        caller.must("invitation:delete")
        async with self.work() as work:
            before = await _found(work, caller, invitation, lock=True)
            after = before.revoked(self._now)
            await work.invitations.put(after)
            work.record(invitation_fact(Actor.of(caller), "revoked", after))
            return (await self._described(work, [after]))[0]

    async def verify(self, token: str) -> Invited:
        """Return the invitation that a token opens; BadInvitation, always the same, if it opens none. Open to all."""
        async with self.work() as work:
            invitation = await opened_by(work, token, self._now)
            return (await self._described(work, [invitation]))[0]

    async def accept(self, by: Acceptance) -> tuple[User, Tokens]:
        """Make the user with the role, use the invitation up, log them in: all of it, or nothing. Open to all."""
        invitation = (await self.verify(by.token)).invitation
        password = self.policy.check(by.password, invitation.email, by.username or "")
        hashed = await self.passwords.hash(password)
        async with self.work() as work:
            invitation = await opened_by(work, by.token, self._now, lock=True)
            tenant = await _tenant(work, invitation)
            user = self._user(invitation, by, hashed, await role_of(work, invitation))
            opened = self.opening.begin(user, tenant.subdomain, "pwd")
            accepted = invitation.accepted(user.id, self._now)
            await work.users.put(user)
            await work.invitations.put(accepted)
            await work.sessions.begin(opened.session, opened.refresh_token)
            work.changed(Kind.SUBJECT, str(user.id))
            work.record(invitation_fact(acting(user), "accepted", accepted))
            work.record(user_fact(acting(user), "created", None, user))
            work.record(opened.fact)
        return user, opened.tokens

    @property
    def _now(self) -> datetime:
        return self.opening.means.now()

    def _ends(self, expires_at: datetime | None) -> datetime:
        if expires_at is not None and expires_at <= self._now:
            raise BadExpiry("an invitation cannot end in the past")
        return expires_at or self._now + LASTS

    def _check(self, caller: Caller, role: Role) -> None:
        must_hold(caller, frozenset() if role.id == DEFAULT else role.permissions)

    async def _make_way(self, work: Work, caller: Caller, address: str) -> None:
        """Refuse an address that is a user's already; withdraw an invitation of it that has expired."""
        tenant = await work.tenants.get(caller.tenant)
        if tenant and await work.accounts.named(address, tenant.subdomain, 1):
            raise EmailTaken(f"a user with the address {address!r} exists")
        old = await work.invitations.open(caller.tenant, address)
        if old and old.status(self._now) == "expired":
            gone = old.revoked(self._now)
            await work.invitations.put(gone)
            work.record(invitation_fact(Actor.of(caller), "revoked", gone))

    def _made(
        self, caller: Caller, address: str, role: Role, token: str, ends: datetime
    ) -> Invitation:
        return Invitation(
            id=self.opening.means.new_id(),
            tenant=caller.tenant,
            email=address,
            role=role.id,
            hash=digest(token),
            invited_by=caller.subject,
            created_at=self._now,
            expires_at=ends,
        )

    def _user(self, invitation: Invitation, by: Acceptance, hashed: str, role: Role) -> User:
        now = self._now
        user = User(
            id=self.opening.means.new_id(),
            tenant=invitation.tenant,
            email=invitation.email,
            username=by.username,
            first_name=by.first_name,
            last_name=by.last_name,
            password=hashed,
            created_at=now,
            updated_at=now,
        )
        return user.given(role, Window(granted_by=invitation.invited_by), now)

    async def _described(self, work: Work, invitations: Sequence[Invitation]) -> Sequence[Invited]:
        """Return invitations (all of one tenant) with the names of their tenant and roles."""
        if not invitations:
            return []
        tenant = await work.tenants.get(invitations[0].tenant)
        assert tenant is not None
        own = {role.id: role for role in await work.roles.all(tenant.id, 10_000)}
        roles = {**SYSTEM, **own}
        return [
            Invited(i, i.status(self._now), roles[i.role].label if i.role in roles else "", tenant)
            for i in invitations
        ]


async def _found(work: Work, caller: Caller, invitation: UUID, *, lock: bool = False) -> Invitation:
    if known := await work.invitations.get(caller.tenant, invitation, lock=lock):
        return known
    raise InvitationNotFound("there is no such invitation")


async def opened_by(work: Work, token: str, now: datetime, *, lock: bool = False) -> Invitation:
    """Return the invitation that a token opens; BadInvitation, always in the same words, if it opens none."""
    found = await work.invitations.shown(digest(token), lock=lock)
    if found is None or found.status(now) != "pending":
        raise _bad()
    await _tenant(work, found)
    await role_of(work, found)
    return found


async def role_of(work: Work, invitation: Invitation) -> Role:
    """Return the role that waits, kept from being deleted meanwhile."""
    known = SYSTEM.get(invitation.role)
    role = known or await own_role(work, invitation.tenant, invitation.role, keep=True)
    if role is None:
        raise _bad()
    return role


async def _tenant(work: Work, invitation: Invitation) -> Tenant:
    tenant = await work.tenants.get(invitation.tenant)
    if tenant is None or not tenant.active:
        raise _bad()
    return tenant


def _bad() -> BadInvitation:
    return BadInvitation("the invitation is unknown, used, revoked or expired")
