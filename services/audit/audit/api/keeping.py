"""The REST doors of retention and erasure."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Request, Response
from pydantic import Field

from audit.api.asked import KNOWN
from audit.domain.keeping import LEAST_DAYS, MOST_DAYS, Erasure, Retention
from audit.usecases.keeper import Keeper, Terms
from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Page,
    Paging,
    View,
    doors,
    etag,
    given,
    needs,
    tagged,
)

router = doors("/api/v1/audit", "audit")
Uses = Annotated[Keeper, given(Keeper)]
Reason = Annotated[str, Field(max_length=10_000, pattern=r"^[^\x00]*$")]
PersonName = Annotated[
    str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/+=~-]*$")
]


class RetentionBody(Body):
    """How long entries are kept: `days` from their recording, null for ever. A legal hold stops all dropping.

    Who does not speak of the hold leaves it as it is: it is never lifted in passing.
    """

    days: Annotated[int, Field(ge=LEAST_DAYS, le=MOST_DAYS)] | None
    legal_hold: bool | None = None
    reason: Reason = ""


class RetentionView(View):
    """How long entries are kept."""

    tenant: UUID
    days: int | None
    legal_hold: bool
    version: int
    updated_at: datetime | None


class ErasureBody(Body):
    """Who is erased from the log: the id that entries name as user_id or entity_id."""

    user_id: PersonName
    reason: Reason = ""


class ErasureView(View):
    """An erasure. Its id is that of the entry that records it."""

    id: UUID
    tenant: UUID
    user_id: str
    at: datetime
    asked_by: str
    reason: str


@router.get(
    "/retention",
    response_model=RetentionView,
    responses=TAGGED,
    dependencies=KNOWN,
    **needs("audit:admin"),
)
async def retention(
    caller: Asking,
    keeper: Uses,
    request: Request,
    response: Response,
    tenant_id: UUID | None = None,
) -> Retention | Response:
    """Return how long the tenant's log is kept."""
    found = await keeper.retention(caller, tenant_id)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers={"etag": etag(found.version)})
    return found


@router.put("/retention", response_model=RetentionView, dependencies=KNOWN, **needs("audit:admin"))
async def retain(
    caller: Asking,
    keeper: Uses,
    body: RetentionBody,
    response: Response,
    expected: Expected,
    tenant_id: UUID | None = None,
) -> Retention:
    """Set how long the tenant's log is kept. What goes can still be proven from an export: its hashes stay."""
    terms = Terms(days=body.days, legal_hold=body.legal_hold, reason=body.reason)
    found = await keeper.retain(caller, terms, expected, tenant_id)
    response.headers["etag"] = etag(found.version)
    return found


@router.post(
    "/erasures",
    response_model=ErasureView,
    status_code=201,
    responses={200: {"model": ErasureView, "description": "This person was erased before"}},
    dependencies=KNOWN,
    **needs("audit:admin"),
)
async def erase(
    caller: Asking,
    keeper: Uses,
    body: ErasureBody,
    response: Response,
    tenant_id: UUID | None = None,
) -> ErasureView:
    """Erase a person from the tenant's log: names, addresses and documents are gone for good, every proof holds."""
    done, new = await keeper.erase(caller, body.user_id, body.reason, tenant_id)
    response.status_code = 201 if new else 200
    response.headers["location"] = f"/api/v1/audit-logs/{done.id}"
    return _shown(done)


@router.get(
    "/erasures", response_model=Page[ErasureView], dependencies=KNOWN, **needs("audit:admin")
)
async def erasures(
    caller: Asking, keeper: Uses, pager: Paging, tenant_id: UUID | None = None
) -> dict[str, object]:
    """List who was erased, newest first."""
    return pager.render(await keeper.erasures(caller, pager.ask, tenant_id), _shown)


def _shown(done: Erasure) -> ErasureView:
    return ErasureView(
        id=done.id,
        tenant=done.tenant,
        user_id=done.person,
        at=done.at,
        asked_by=done.asked_by,
        reason=done.reason,
    )
