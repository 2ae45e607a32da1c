"""How much a tenant may have, and has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor, Fact, Target
from compute.domain.errors import OtherTenantsQuota, TenantNotFound
from compute.domain.quota import RESOURCES, Amount, Limits, Quota
from compute.ports import OpenWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a tenant is to have at most, meant for one version of its quota (None: any), and why."""

    limits: Limits
    version: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Quotas:
    """Everything one can do with quotas. `limit` is what holds where nothing else was said for a tenant.

    `known` tells whether there is such a tenant.
    """

    work: OpenWork
    limit: Amount
    known: Callable[[UUID], bool]

    async def read(self, caller: Caller, tenant: UUID | None = None) -> Quota:
        """Return what the tenant may have and has; another's for the platform's administrators."""
        caller.must("quota:read")
        if tenant not in (None, caller.tenant):
            _must_everywhere(caller, "quota:read")
        whose = self._whose(caller, tenant)
        async with self.work() as work:
            return await work.quotas.find(whose, self.limit)

    async def update(self, caller: Caller, tenant: UUID | None, setting: Setting) -> Quota:
        """Set what a tenant may have at most: a tenant's own administrators cannot. It may be less than it has."""
        caller.must("quota:update")
        _must_everywhere(caller, "quota:update")
        whose = self._whose(caller, tenant)
        async with self.work() as work:
            before = await work.quotas.lock(whose, self.limit)
            before.expect(setting.version)
            after = before.limited(setting.limits, self.limit)
            if after is not before:
                await work.quotas.put(whose, after)
                work.record(_told(caller, whose, before, after, setting.reason))
        return after

    def _whose(self, caller: Caller, tenant: UUID | None) -> UUID:
        if tenant in (None, caller.tenant) or self.known(tenant):
            return tenant or caller.tenant
        raise TenantNotFound(f"there is no tenant {tenant}")


def _must_everywhere(caller: Caller, permission: str) -> None:
    if not caller.may_everywhere(permission):
        said = "Insufficient permissions: quotas of tenants are the platform's administrators'"
        raise OtherTenantsQuota(said, needed=permission)


def _told(caller: Caller, tenant: UUID, before: Quota, after: Quota, reason: str) -> Fact:
    return Fact(
        tenant=tenant,
        actor=Actor.of(caller),
        action="quota.updated",
        target=Target("quota", str(tenant)),
        before=_document(before),
        after=_document(after),
        reason=reason,
    )


def _document(quota: Quota) -> Mapping[str, int]:
    return {name: getattr(quota.limit, name) for name in RESOURCES}
