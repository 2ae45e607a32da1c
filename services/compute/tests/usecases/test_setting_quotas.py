"""Quotas: who reads whose, and who sets them."""

from uuid import UUID, uuid4

import pytest

from chassis.errors import Forbidden
from compute.domain.errors import OtherTenantsQuota, QuotaExceeded, QuotaStale, TenantNotFound
from compute.domain.quota import Amount, Limits
from compute.usecases.quotas import Setting


async def test_the_platform_sets_a_tenants_quota_and_says_why(quotas, root, ana, work):
    setting = Setting(limits=Limits(vms=0), reason="unpaid")
    after = await quotas.update(root, ana.tenant, setting)
    assert (after.limit.vms, after.limit.cpu, after.version) == (0, 8, 2)
    assert (await quotas.read(ana)) == after == await quotas.read(root, ana.tenant)
    assert await quotas.update(root, ana.tenant, setting) == after
    [fact] = work.facts
    assert (fact.action, fact.tenant, fact.reason) == ("quota.updated", ana.tenant, "unpaid")
    assert (fact.before["vms"], fact.after["vms"]) == (3, 0)


async def test_a_tenants_administrator_sets_no_quota_not_even_their_own(quotas, ana, work):
    for tenant in (None, ana.tenant, uuid4()):
        with pytest.raises(OtherTenantsQuota):
            await quotas.update(ana, tenant, Setting(limits=Limits(vms=1_000)))
    with pytest.raises(OtherTenantsQuota):
        await quotas.read(ana, uuid4())
    assert (work.quotas.limits, work.facts) == ({}, [])


async def test_a_tenant_that_there_is_not_has_no_quota(quotas, root, ana, work):
    for ask in (
        quotas.read(root, UUID(int=0)),
        quotas.update(root, UUID(int=0), Setting(limits=Limits(vms=1))),
    ):
        with pytest.raises(TenantNotFound, match="there is no tenant"):
            await ask
    with pytest.raises(OtherTenantsQuota):
        await quotas.read(ana, UUID(int=0))
    assert (work.quotas.limits, work.facts) == ({}, [])


async def test_who_may_only_read_sets_nothing(quotas, vera):
    with pytest.raises(Forbidden, match="quota:update"):
        await quotas.update(vera, None, Setting(limits=Limits()))
    assert (await quotas.read(vera)).used == Amount()


async def test_a_quota_meant_for_an_older_version_is_refused(quotas, root, ana):
    await quotas.update(root, ana.tenant, Setting(limits=Limits(vms=1), version=1))
    with pytest.raises(QuotaStale):
        await quotas.update(root, ana.tenant, Setting(limits=Limits(vms=2), version=1))


async def test_a_limit_below_what_there_is_takes_nothing_away(
    quotas, vms, ana, root, order, driven
):
    await vms.create(ana, order)
    after = await quotas.update(root, ana.tenant, Setting(limits=Limits(vms=0)))
    assert (after.limit.vms, after.used.vms) == (0, 1)
    with pytest.raises(QuotaExceeded):
        await vms.create(ana, order)
