"""Organizations: found one, see those within reach, and change one's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from chassis.caller import Caller
from chassis.errors import FieldError, Forbidden, Invalid
from chassis.facts import Actor
from chassis.pages import PageAsk, Slice
from iam.domain import names
from iam.domain.authority import Kind
from iam.domain.errors import NotYourOrganization, TenantNotFound, TenantStale, TenantTaken
from iam.domain.grants import Grant
from iam.domain.password import Policy
from iam.domain.reach_errors import Confusable, PlatformStays
from iam.domain.tenant import PLATFORM, RESERVED, Tenant, may_be_registered
from iam.domain.user import User
from iam.ports import OpenWork, Passwords, Work
from iam.usecases.facts import acting, tenant_fact, user_fact
from iam.usecases.opening import Opening, Tokens
from iam.usecases.projects import founded

# Both: `org_admin` is what clients of the organization manager look for, `admin` lets its holder do all of the rest.
FOUNDER = (Grant("admin"), Grant("org_admin"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """An organization that shall be, and who shall be its first administrator."""

    subdomain: str
    name: str
    full_name: str = ""
    address: Mapping[str, Any] = field(default_factory=dict[str, Any])
    phone: str = ""
    email: str = ""
    admin_email: str
    admin_username: str | None = None
    admin_password: str
    admin_first_name: str = ""
    admin_last_name: str = ""


@dataclass(frozen=True, slots=True)
class Organizations:
    """Everything one can do with organizations."""

    work: OpenWork
    passwords: Passwords
    policy: Policy
    opening: Opening

    async def register(self, new: Founding) -> tuple[Tenant, User, Tokens]:
        """Make an organization, its first administrator and their session: all of it, or nothing. Open to all."""
        _check_subdomain(new.subdomain)
        email = names.email(new.admin_email)
        password = self.policy.check(new.admin_password, email, new.admin_username or "")
        hashed = await self.passwords.hash(password)
        tenant = self._tenant(new)
        admin = self._admin(tenant, new, hashed)
        opened = self.opening.begin(admin, tenant.subdomain, "pwd")
        async with self.work() as work:
            await _check_twins(work, tenant)
            await work.tenants.put(tenant)
            await work.users.put(admin)
            work.changed(Kind.TENANT, str(tenant.id))
            work.changed(Kind.SUBJECT, str(admin.id))
            work.record(tenant_fact(acting(admin), "created", tenant))
            work.record(user_fact(acting(admin), "created", None, admin))
            await founded(work, acting(admin), tenant, self.opening.means)
            await work.sessions.begin(opened.session, opened.refresh_token)
            work.record(opened.fact)
        return tenant, admin, opened.tokens

    async def within_reach(self, caller: Caller, search: str, ask: PageAsk) -> Slice[Tenant]:
        """Return a part of the tenants that the caller can reach: all of them over the whole platform, else theirs.

        A person's are the one of their account and those that they are a guest of; a key's is the one that it is of.
        """
        caller.must_be_person_or("tenant:read")
        async with self.work() as work:
            among = None if caller.platform else await _reach(work, caller)
            return await work.tenants.list(among, search, ask)

    async def get(self, caller: Caller, tenant: UUID) -> Tenant:
        """Return the caller's own organization; any to whoever reaches the whole platform."""
        caller.must_be_person_or("tenant:read")
        must_be_own(caller, tenant)
        async with self.work() as work:
            return _there(await work.tenants.get(tenant))

    async def tenant(self, caller: Caller, tenant: UUID) -> Tenant:
        """Return a tenant that the caller can reach; TenantNotFound, as if it were not there, for any other."""
        caller.must_be_person_or("tenant:read")
        async with self.work() as work:
            if not caller.platform and tenant not in await _reach(work, caller):
                raise TenantNotFound("there is no such organization")
            return _there(await work.tenants.get(tenant))

    async def update(
        self, caller: Caller, tenant: UUID, fields: Mapping[str, Any], expected: int | None
    ) -> Tenant:
        """Change an organization: `fields` by their names in Tenant. Only the platform switches one off or on."""
        caller.must("tenant:update")
        must_be_own(caller, tenant)
        if "active" in fields:
            _must_be_platform(caller)
        async with self.work() as work:
            before = _there(await work.tenants.get(tenant, lock=True))
            if expected is not None and expected != before.version:
                raise TenantStale(f"the organization is at version {before.version}; read it again")
            now, version = self.opening.means.now(), before.version + 1
            after = replace(before, **fields, updated_at=now, version=version)
            await _check_change(work, before, after)
            await work.tenants.put(after)
            work.changed(Kind.TENANT, str(tenant))
            work.record(tenant_fact(Actor.of(caller), "updated", after, before))
        return after

    def _tenant(self, new: Founding) -> Tenant:
        now = self.opening.means.now()
        return Tenant(
            id=self.opening.means.new_id(),
            subdomain=new.subdomain,
            name=new.name,
            full_name=new.full_name,
            address=new.address,
            phone=new.phone,
            email=new.email,
            created_at=now,
            updated_at=now,
        )

    def _admin(self, tenant: Tenant, new: Founding, hashed: str) -> User:
        return User(
            id=self.opening.means.new_id(),
            tenant=tenant.id,
            email=names.email(new.admin_email),
            username=new.admin_username,
            first_name=new.admin_first_name,
            last_name=new.admin_last_name,
            password=hashed,
            grants=FOUNDER,
            created_at=tenant.created_at,
            updated_at=tenant.created_at,
        )


async def _reach(work: Work, caller: Caller) -> frozenset[UUID]:
    user = await work.users.get(None, UUID(caller.subject)) if caller.kind == "user" else None
    return frozenset((user.tenant, *user.tenants) if user else (caller.tenant,))


def must_be_own(caller: Caller, tenant: UUID | None) -> None:
    """Refuse another organization, or all of them (None), before looking whether it exists."""
    if tenant != caller.tenant and not caller.platform:
        raise NotYourOrganization("this is not your organization")


async def _check_change(work: Work, before: Tenant, after: Tenant) -> None:
    if after.name != before.name:
        await _check_twins(work, after)
    if before.subdomain == PLATFORM and not after.active:
        raise PlatformStays("the platform's own organization cannot be switched off")


async def _check_twins(work: Work, tenant: Tenant) -> None:
    """Refuse a name that only looks like another organization's; two may have the very same one."""
    others = (t for t in await work.tenants.alike(tenant.name) if t.id != tenant.id)
    if any(names.folded(other.name) != names.folded(tenant.name) for other in others):
        raise Confusable(f"another organization has a name that looks like {tenant.name!r}")


def _must_be_platform(caller: Caller) -> None:
    if not caller.platform:
        raise Forbidden("only the platform's administrators switch an organization off or on")


def _there(tenant: Tenant | None) -> Tenant:
    if tenant is None:
        raise TenantNotFound("there is no such organization")
    return tenant


def _check_subdomain(subdomain: str) -> None:
    if subdomain in RESERVED:
        raise TenantTaken(f"the subdomain {subdomain!r} is taken")
    if not may_be_registered(subdomain):
        detail = "a subdomain is made of a-z, 0-9 and - (not at its ends), at most 63 characters"
        raise Invalid(detail, errors=(FieldError("/subdomain", detail, "subdomain"),))
