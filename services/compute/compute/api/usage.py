"""The REST doors of the ledger of usage."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from fastapi import Depends, Query
from pydantic import Field, StringConstraints, model_validator

from chassis.errors import FieldError, Invalid
from chassis.http import Asking, Body, Id, Instant, Page, Paging, View, doors, given, in_utc, needs
from compute.domain.usage import (
    MOST_CALLS,
    MOST_MICROS,
    MOST_RECORDS,
    MOST_TOKENS,
    Dimension,
    Kind,
    Period,
)
from compute.ports.ledger import UsageWanted
from compute.usecases.usage import Told, Usage

router = doors("/api/v1/usage", "compute")
Uses = Annotated[Usage, given(Usage)]
Source = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$", max_length=100)
]
EventId = Annotated[str, StringConstraints(pattern=r"^[!-~]+$", max_length=200)]
Calls = Annotated[int, Field(ge=-MOST_CALLS, le=MOST_CALLS)]
Tokens = Annotated[int, Field(ge=-MOST_TOKENS, le=MOST_TOKENS)]
Micros = Annotated[int, Field(ge=-MOST_MICROS, le=MOST_MICROS)]
Moment = Annotated[datetime, Query()]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_SPAN = timedelta(days=366 * 5)


class UsageRecordBody(Body):
    """One event: what an agent used. Money is whole micros (millionths); what is not known is left out or null.

    With `corrects` it is a correction: signed amounts that are added to those of the record that it names.
    """

    source: Source
    event_id: EventId
    kind: Literal["agent_call", "agent_tokens"] = "agent_call"
    agent_id: Id | None = None
    calls: Calls | None = None
    token_count: Tokens | None = None
    cost_micros: Micros | None = None
    occurred_at: Instant | None = None
    corrects: Id | None = None

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> "UsageRecordBody":
        if self.corrects is not None:
            if self.agent_id is not None or self.occurred_at is not None:
                raise ValueError(
                    "a correction takes agent_id and occurred_at from what it corrects"
                )
            return self
        if self.agent_id is None:
            raise ValueError("agent_id is missing")
        for name in ("calls", "token_count", "cost_micros"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} must not be negative, except in a correction")
        if self.occurred_at is not None and self.occurred_at < _EPOCH:
            raise ValueError("occurred_at is before 1970")
        return self

    def told(self) -> Told:
        """Return what is told. A call counts as one unless said; tokens and corrections as none."""
        one = 1 if self.kind == "agent_call" and self.corrects is None else 0
        return Told(
            source=self.source,
            event_id=self.event_id,
            kind=Kind(self.kind),
            agent_id=self.agent_id,
            calls=one if self.calls is None else self.calls,
            token_count=self.token_count,
            cost_micros=self.cost_micros,
            occurred_at=self.occurred_at,
            corrects=self.corrects,
        )


class UsageBody(Body):
    """Events, all of which are recorded or none."""

    records: Annotated[list[UsageRecordBody], Field(min_length=1, max_length=MOST_RECORDS)]

    @model_validator(mode="after")
    def _each_once(self) -> "UsageBody":
        if len({(r.source, r.event_id) for r in self.records}) != len(self.records):
            raise ValueError("an event (source, event_id) stands here twice")
        return self


class UsageView(View):
    """One line of the ledger. `cost_cents` is `cost_micros` rounded; what is not known is null."""

    id: UUID
    source: str
    event_id: str
    kind: Kind
    agent_id: UUID | None
    vm_id: UUID | None
    calls: int
    token_count: int | None
    seconds: int
    cost_micros: int | None
    cost_cents: int | None
    occurred_at: datetime
    recorded_at: datetime
    recorded_by: str
    corrects: UUID | None


class ReceiptView(View):
    """How many events were recorded now, how many before, and what the ledger holds of each, in order."""

    accepted: int
    duplicates: int
    records: list[UsageView]


class UsagePage(Page[UsageView]):
    """A part of the ledger: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""


class TotalsView(View):
    """What records add up to: sums of what is known (null where nothing is), and how many records lack it."""

    records: int
    corrections: int
    calls: int
    seconds: int
    token_count: int | None
    records_without_tokens: int
    cost_micros: int | None
    cost_cents: int | None
    records_without_cost: int


class LineView(TotalsView):
    """A line of a summary; a dimension that was not asked for is null."""

    period: datetime | None
    kind: Kind | None
    agent_id: UUID | None
    vm_id: UUID | None


class SummaryView(View):
    """A part of a summary by cursor, with the totals of all its lines: from `since` to `until` (exclusive)."""

    since: datetime
    until: datetime
    totals: TotalsView
    items: list[LineView]
    has_more: bool
    next_cursor: str | None = None


# --- doors --------------------------------------------------------------------------------------------------------


@router.post("", status_code=201, response_model=ReceiptView, **needs("usage:create"))
async def record_usage(body: UsageBody, caller: Asking, uses: Uses) -> ReceiptView:
    """Record events; one that was recorded before is not counted again."""
    receipt = await uses.record(caller, [one.told() for one in body.records])
    accepted = len(receipt.fresh)
    views = [UsageView.model_validate(one) for one in receipt.records]
    return ReceiptView(accepted=accepted, duplicates=len(views) - accepted, records=views)


async def _span(
    since: Annotated[
        datetime | None, Query(description="From when; this month's start unless said")
    ] = None,
    until: Annotated[
        datetime | None, Query(description="Until when (exclusive); an hour from now unless said")
    ] = None,
) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    end = _moment(until, "until") or now + timedelta(hours=1)
    month = min(now, end).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    start = _moment(since, "since") or month
    if not start < end or end - start > MOST_SPAN:
        said = "since must be before until, by five years at most"
        raise Invalid(said, errors=(FieldError("query:since", said, "bad_span"),))
    return start, end


def _moment(said: datetime | None, name: str) -> datetime | None:
    try:
        if said is None or said.tzinfo is not None:
            return in_utc(said) if said else None
        text = "must say its offset from UTC"
    except ValueError as beyond:
        text = str(beyond)
    raise Invalid(f"{name}: {text}", errors=(FieldError(f"query:{name}", text, "bad_moment"),))


async def _wanted(
    pager: Paging,
    span: Annotated[tuple[datetime, datetime], Depends(_span)],
    kind: Kind | None = None,
    agent_id: UUID | None = None,
    vm_id: UUID | None = None,
) -> UsageWanted:
    since, until = span
    return UsageWanted(
        ask=pager.ask, since=since, until=until, kind=kind, agent_id=agent_id, vm_id=vm_id
    )


Filtered = Annotated[UsageWanted, Depends(_wanted)]


@router.get("", response_model=UsagePage, response_model_exclude_unset=True, **needs("usage:read"))
async def list_usage(caller: Asking, uses: Uses, pager: Paging, wanted: Filtered) -> Any:  # noqa: ANN401
    """List the ledger, the newest first; this month unless said."""
    return pager.render(await uses.list(caller, wanted), UsageView.model_validate)


GroupBy = Annotated[
    str,
    Query(
        pattern=r"^(period|kind|agent|vm)(,(period|kind|agent|vm)){0,3}$",
        description="What a line is about, by commas: period, kind, agent, vm",
    ),
]


@router.get(
    "/summary",
    response_model=SummaryView,
    response_model_exclude_unset=True,
    **needs("usage:read"),
)
async def summarize_usage(
    caller: Asking,
    uses: Uses,
    pager: Paging,
    wanted: Filtered,
    period: Period = "day",
    group_by: GroupBy = "period,kind,agent,vm",
) -> Any:  # noqa: ANN401
    """Add the ledger up, by period (in UTC), kind, agent and machine; this month unless said."""
    by = cast("list[Dimension]", group_by.split(","))
    asked = UsageWanted(
        ask=wanted.ask,
        since=wanted.since,
        until=wanted.until,
        kind=wanted.kind,
        agent_id=wanted.agent_id,
        vm_id=wanted.vm_id,
        by=by,
        period=period,
    )
    part, totals = await uses.summary(caller, asked)
    page = pager.render(part, _line)
    return {
        "since": wanted.since,
        "until": wanted.until,
        "totals": TotalsView.model_validate(totals),
        "items": page["items"],
        "has_more": part.next is not None,
        **({"next_cursor": page["next_cursor"]} if part.next else {}),
    }


def _line(line: Any) -> LineView:  # noqa: ANN401
    totals = TotalsView.model_validate(line.totals).model_dump()
    return LineView(
        period=line.period, kind=line.kind, agent_id=line.agent_id, vm_id=line.vm_id, **totals
    )
