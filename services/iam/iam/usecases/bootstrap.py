"""The first administrator, and in development a first API key; made once, however many replicas start at once."""

import logging
from dataclasses import dataclass

from authz import apikeys
from chassis.pages import PageAsk
from iam.domain import password
from iam.domain.api_key import SMALLEST, ApiKey, Version
from iam.domain.authority import Kind
from iam.domain.grants import Grant
from iam.domain.password import Policy
from iam.domain.tenant import PLATFORM, Tenant
from iam.domain.user import User
from iam.ports import Means, OpenWork, Passwords, UserQuery, Work
from iam.usecases.facts import SYSTEM, key_fact, tenant_fact, user_fact
from iam.usecases.projects import founded

log = logging.getLogger(__name__)

ROOT = "root"


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What must be there before anybody can be given anything."""

    work: OpenWork
    passwords: Passwords
    policy: Policy
    means: Means

    async def begin(self, admin_password: str | None, api_key: str | None) -> None:
        """Make the tenant `platform`, its `root`, and the key; leave alone what exists."""
        if admin_password is None:
            return
        if password.known(admin_password):
            log.warning("%s has a password that everybody knows: change it", ROOT)
        hashed = await self.passwords.hash(self.policy.check(admin_password))
        async with self.work() as work:
            await work.alone("bootstrap")
            root = await self._first(work) or await self._root(work, hashed)
            if api_key is not None:
                await self._key(work, root, api_key)

    async def _first(self, work: Work) -> User | None:
        """Return the platform's oldest user: `root`, under whatever name by now, or who came after."""
        if not (tenant := await work.tenants.named(PLATFORM)):
            return None
        oldest = UserQuery(tenant=tenant.id)
        return next(iter((await work.users.list(oldest, PageAsk(limit=1))).items), None)

    async def _tenant(self, work: Work) -> Tenant:
        now = self.means.now()
        tenant = Tenant(
            id=self.means.new_id(),
            subdomain=PLATFORM,
            name="Platform",
            created_at=now,
            updated_at=now,
        )
        await work.tenants.put(tenant)
        work.changed(Kind.TENANT, str(tenant.id))
        work.record(tenant_fact(SYSTEM, "created", tenant))
        await founded(work, SYSTEM, tenant, self.means)
        return tenant

    async def _root(self, work: Work, hashed: str) -> User:
        tenant = await work.tenants.named(PLATFORM) or await self._tenant(work)
        now = self.means.now()
        root = User(
            id=self.means.new_id(),
            tenant=tenant.id,
            email=f"{ROOT}@{PLATFORM}.invalid",
            username=ROOT,
            first_name="Root",
            password=hashed,
            grants=(Grant("adm_godmode", "platform"), Grant("super_admin", "platform")),
            created_at=now,
            updated_at=now,
        )
        await work.users.put(root)
        work.changed(Kind.SUBJECT, str(root.id))
        work.record(user_fact(SYSTEM, "created", None, root))
        log.warning("made the first administrator: %s of the organization %s", ROOT, PLATFORM)
        return root

    async def _key(self, work: Work, root: User, text: str) -> None:
        if not apikeys.well_formed(text):
            raise ValueError("IAM_BOOTSTRAP_API_KEY is not an API key: its form or check is wrong")
        if await work.api_keys.known(apikeys.digest(text)):
            return
        now = self.means.now()
        version = Version(hash=apikeys.digest(text), prefix=apikeys.prefix_of(text), created_at=now)
        key = ApiKey(
            id=self.means.new_id(),
            tenant=root.tenant,
            owner=root.id,
            maker=root.id,
            name="development",
            kind="server",
            environment="production",
            project="default",
            scopes=SMALLEST,
            created_at=now,
            expires_at=None,
            versions=(version,),
        )
        await work.api_keys.put(key)
        work.changed(Kind.API_KEY, version.hash)
        work.record(key_fact(SYSTEM, "created", None, key))
        log.warning("made the API key of development %s…", version.prefix)
