"""The REST doors of quotas."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from pydantic import Field

from chassis.http import Asking, Body, Expected, View, doors, etag, given, needs
from compute.api.words import Reason
from compute.domain.quota import RESOURCES, Limits, Quota
from compute.usecases.quotas import Quotas, Setting

router = doors("/api/v1/quotas", "compute")
Uses = Annotated[Quotas, given(Quotas)]
Tenant = Annotated[
    UUID | None,
    Query(description="Whose: the caller's own tenant unless said; others' for the platform"),
]
Limit = Annotated[int, Field(ge=0, le=1_000_000)]


class QuotaBody(Body):
    """What a tenant may have at most; null: as the deployment's settings have it. Memory and disk in GiB."""

    vms: Limit | None
    cpu: Limit | None
    memory_gb: Limit | None
    disk_gb: Limit | None
    reason: Reason = ""


class ResourceView(View):
    """How much of one thing there may be, and is: more than the limit where that was set below."""

    limit: int
    used: int


class QuotaView(View):
    """How much of each thing the tenant may have, and has. Memory and disk in GiB."""

    vms: ResourceView
    cpu: ResourceView
    memory_gb: ResourceView
    disk_gb: ResourceView


@router.get("", response_model=QuotaView, **needs("quota:read", **{"x-errors": [404]}))
async def read_quotas(
    caller: Asking, uses: Uses, response: Response, tenant_id: Tenant = None
) -> QuotaView:
    """Return what the tenant may have and has. The ETag is that of the limits: what is used changes without it."""
    return _shown(await uses.read(caller, tenant_id), response)


@router.put("", response_model=QuotaView, **needs("quota:update", **{"x-errors": [404, 412]}))
async def set_quotas(
    body: QuotaBody,
    caller: Asking,
    uses: Uses,
    expected: Expected,
    response: Response,
    tenant_id: Tenant = None,
) -> QuotaView:
    """Set what a tenant may have at most. Below what it has: nothing is taken away, and it gets no more."""
    limits = Limits(**{name: getattr(body, name) for name in RESOURCES})
    setting = Setting(limits=limits, version=expected, reason=body.reason)
    return _shown(await uses.update(caller, tenant_id, setting), response)


def _shown(quota: Quota, response: Response) -> QuotaView:
    response.headers["etag"] = etag(quota.version)
    return QuotaView(
        **{
            name: ResourceView(limit=getattr(quota.limit, name), used=getattr(quota.used, name))
            for name in RESOURCES
        }
    )
