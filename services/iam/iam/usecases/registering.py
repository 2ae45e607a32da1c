"""Registering by oneself: a name and a password, in the one tenant that takes registrations."""

from dataclasses import dataclass

from iam.domain import names
from iam.domain.authority import Kind
from iam.domain.errors import RegistrationClosed
from iam.domain.grants import Grant
from iam.domain.password import Policy
from iam.domain.roles import DEFAULT
from iam.domain.tenant import Tenant
from iam.domain.user import User
from iam.ports import OpenWork, Passwords, Work
from iam.usecases.facts import acting, user_fact
from iam.usecases.opening import Opening, Tokens


@dataclass(frozen=True, slots=True)
class Registration:
    """Makes users who ask for it themselves. `subdomain` names the tenant that they belong to; empty: there is none.

    Nobody has proved an address, so none is taken: it would be theirs in the eyes of all who look for it.
    """

    work: OpenWork
    passwords: Passwords
    policy: Policy
    opening: Opening
    subdomain: str

    async def register(self, username: str, password: str, subdomain: str | None) -> Tokens:
        """Make a user with the role that everybody has, and log them in: all of it, or nothing. Open to all.

        RegistrationClosed where no tenant takes registrations, or another is meant than the one that does.
        """
        if subdomain not in (None, self.subdomain):
            raise _closed()
        async with self.work() as work:
            await self._tenant(work)
        hashed = await self.passwords.hash(self.policy.check(password, username))
        async with self.work() as work:
            tenant = await self._tenant(work, lock=True)
            user = self._user(tenant, username, hashed)
            opened = self.opening.begin(user, tenant.subdomain, "pwd")
            await work.users.put(user)
            await work.sessions.begin(opened.session, opened.refresh_token)
            work.changed(Kind.SUBJECT, str(user.id))
            work.record(user_fact(acting(user), "created", None, user, "registered"))
            work.record(opened.fact)
        return opened.tokens

    async def _tenant(self, work: Work, *, lock: bool = False) -> Tenant:
        found = await work.tenants.named(self.subdomain) if self.subdomain else None
        if found and lock:
            found = await work.tenants.get(found.id, lock=True)
        if found is None or not found.active:
            raise _closed()
        return found

    def _user(self, tenant: Tenant, username: str, hashed: str) -> User:
        now, id_ = self.opening.means.now(), self.opening.means.new_id()
        return User(
            id=id_,
            tenant=tenant.id,
            email=names.email(f"{id_}@{tenant.subdomain}.invalid"),
            username=username,
            password=hashed,
            grants=(Grant(DEFAULT),),
            created_at=now,
            updated_at=now,
        )


def _closed() -> RegistrationClosed:
    return RegistrationClosed("nobody registers alone here: ask an administrator to invite you")
