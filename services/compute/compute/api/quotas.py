"""The REST door of quotas."""

from typing import Annotated

from chassis.http import Asking, View, doors, given, needs
from compute.domain.quota import RESOURCES, Quota
from compute.usecases.quotas import Quotas

router = doors("/api/v1/quotas", "compute")
Uses = Annotated[Quotas, given(Quotas)]


class ResourceView(View):
    """How much of one thing there may be, and is."""

    limit: int
    used: int


class QuotaView(View):
    """How much of each thing the tenant may have, and has. Memory and disk in GiB."""

    vms: ResourceView
    cpu: ResourceView
    memory_gb: ResourceView
    disk_gb: ResourceView


@router.get("", response_model=QuotaView, **needs("vm:read"))
async def read_quotas(caller: Asking, uses: Uses) -> QuotaView:
    """Return what the tenant may have and has."""
    return _view(await uses.read(caller))


def _view(quota: Quota) -> QuotaView:
    return QuotaView(
        **{
            name: ResourceView(limit=getattr(quota.limit, name), used=getattr(quota.used, name))
            for name in RESOURCES
        }
    )
