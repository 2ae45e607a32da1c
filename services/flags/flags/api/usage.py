"""How flags are used, in REST."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query

from chassis.http import Asking, Instant, Page, Paging, View, doors, given, needs_somewhere
from flags.api.feature_flags import FlagPath, Where
from flags.api.words import NO_PLACE
from flags.domain.staleness import Stale
from flags.domain.usage import Usage
from flags.usecases.usage import Usages

router = doors("/api/v1/feature-flags", "flags")
Uses = Annotated[Usages, given(Usages)]


class CountView(View):
    """How often a variant was served for a reason (OpenFeature's word) in the hour or day that begins at `at`."""

    at: datetime
    variant: str
    reason: str
    count: int


class UsageView(View):
    """How often a flag was evaluated in one environment, from `since` (included) to `until` (not included), in UTC."""

    environment: str
    since: datetime
    until: datetime
    by: str
    total: int
    variants: dict[str, int]
    items: list[CountView]
    last_evaluated_at: datetime | None


class ReasonView(View):
    """Why a flag looks stale: `marked`, `age`, `one_sided`, `one_variant` or `unused`, and the same in a sentence."""

    why: str
    message: str


class StaleView(View):
    """A flag whose code could perhaps go."""

    id: UUID
    key: str
    name: str
    owner_id: str
    lifecycle: str
    updated_at: datetime
    last_evaluated_at: datetime | None
    reasons: list[ReasonView]


class StalePage(Page[StaleView]):
    """A page of flags that look stale."""


Days = Annotated[int, Query(ge=1, le=400)]
Ends = tuple[datetime | None, datetime | None]


async def ends(
    since: Annotated[Instant | None, Query(alias="from")] = None,
    until: Annotated[Instant | None, Query(alias="to")] = None,
) -> Ends:
    """Return from when to when is asked about."""
    return since, until


@router.get(
    "/stale",
    response_model=StalePage,
    response_model_exclude_unset=True,
    **needs_somewhere("flag:read", **NO_PLACE),
)
async def list_stale_flags(
    caller: Asking,
    where: Where,
    uses: Uses,
    pager: Paging,
    unchanged_days: Days = 60,
    unused_days: Days = 30,
) -> dict[str, Any]:
    """List flags whose code could perhaps go, and why: marked as stale, or long unchanged and deciding nothing.

    Deciding nothing is: everybody gets the same variant, or got it lately, or nobody asks. Nothing is said of use
    before it has been counted for `unused_days`. A flag with the tag `permanent` is listed only if it is marked.
    """
    limits = timedelta(days=unchanged_days), timedelta(days=unused_days)
    return pager.render(await uses.stale(caller, where, limits, pager.ask), _stale)


@router.get("/{flag}/usage", response_model=UsageView, **needs_somewhere("flag:read"))
async def get_usage(
    flag: FlagPath,
    caller: Asking,
    where: Where,
    uses: Uses,
    period: Annotated[Ends, Depends(ends)],
    by: Literal["hour", "day"] = "hour",
) -> UsageView:
    """Return how often a flag served what, and why: whole hours or days of UTC, those without any left out.

    The last seven days unless told; at most 31 days by hour, 400 by day. Counts are stored every few seconds, so the
    latest are missing; a replica that is killed loses those.
    """
    return _usage(await uses.of_flag(caller, where, flag, by, period), where.environment)


def _stale(found: Stale) -> StaleView:
    flag = found.flag
    return StaleView(
        id=flag.id,
        key=flag.key,
        name=flag.name,
        owner_id=flag.owner_id,
        lifecycle=flag.lifecycle.value,
        updated_at=flag.updated_at,
        last_evaluated_at=found.last,
        reasons=[ReasonView.model_validate(reason) for reason in found.reasons],
    )


def _usage(usage: Usage, environment: str) -> UsageView:
    variants: dict[str, int] = {}
    for count in usage.counts:
        variants[count.variant] = variants.get(count.variant, 0) + count.count
    return UsageView(
        environment=environment,
        since=usage.period.since,
        until=usage.period.until,
        by=usage.period.by,
        total=sum(variants.values()),
        variants=variants,
        items=[CountView.model_validate(count) for count in usage.counts],
        last_evaluated_at=usage.last,
    )
