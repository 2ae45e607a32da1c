"""The REST doors of reports."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from pydantic import Field, JsonValue, StringConstraints

from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Page,
    Paging,
    View,
    doors,
    given,
    needs,
    needs_somewhere,
    public,
    tagged,
)
from experiments.api.experiments import Search
from experiments.api.plan_views import KEY, Key
from experiments.api.views import Reason
from experiments.domain.report import Access, Report
from experiments.ports.reporting import WantedReports
from experiments.usecases.reports import ReportDraft, ReportIntent, Reports, ReportWishes, Shown

PREFIX, SHARED = "/api/v1/reports", "/api/v1/shared-reports"
router, shared = doors(PREFIX, "reports"), doors(SHARED, "reports")
Uses = Annotated[Reports, given(Reports)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
AccessText = Literal["private", "tenant", "link"]
Note = Annotated[str, StringConstraints(max_length=20_000)]
Token = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{20,100}$", description="the end of a link")]
Sort = Literal["created_at", "-created_at", "updated_at", "-updated_at", "title", "-title"]
OfExperiment = Annotated[str, Query(pattern=rf"^$|{KEY}", max_length=100, description="id or key")]


async def _aim(report: UUID, expected: Expected) -> ReportIntent:
    return ReportIntent(report=report, version=expected)


Aimed = Annotated[ReportIntent, Depends(_aim)]


class ReportBody(Body):
    """A new report: the result of an experiment (id or key) as it is now, with words of one's own.

    private: for its owner; tenant: for all who read reports, once it is approved; link: for whoever has the link, too.
    """

    experiment: Key
    title: Title
    note: Note = ""
    access: AccessText = "private"


class ReportPatch(Body):
    """What is to change; what is not said stays.

    `refresh`: save the result anew, which ends an approval. `relink`: make a new link; the old one leads nowhere.
    """

    title: Title = Field(default_factory=str)
    note: Note = ""
    access: AccessText = "private"
    approved: bool = False
    refresh: bool = False
    relink: bool = False
    reason: Reason = ""


class ReportView(View):
    """A report without its result."""

    id: UUID
    experiment_id: UUID
    experiment: str
    title: str
    note: str
    access: Access
    approved: bool
    owner_id: str
    version: int
    created_at: datetime
    updated_at: datetime


class ReportPage(Page[ReportView]):
    """A part of a list of reports."""


class ReportPlanView(View):
    """Hashes of the analysis plan: as settled at the start, when this was saved, and now; null if unknown."""

    settled: str | None
    saved: str
    now: str | None
    changed: bool
    warning: str | None


class WholeReportView(ReportView):
    """A report with the result as it was saved. `link` is the path to share; it is shown once, when it is made."""

    plan: ReportPlanView
    result: dict[str, JsonValue]
    link: str | None


@router.post(
    "",
    status_code=201,
    response_model=WholeReportView,
    **needs("report:create", **{"x-errors": [404]}),  # the experiment that the body names
)
async def create_report(
    body: ReportBody, caller: Asking, uses: Uses, request: Request, response: Response
) -> WholeReportView:
    """Save the result of an experiment."""
    draft = ReportDraft(
        experiment=body.experiment,
        title=body.title,
        note=body.note,
        access=Access(body.access),
    )
    made = await uses.create(caller, draft)
    response.headers["location"] = f"{PREFIX}/{made.report.id}"
    return _shown(made, request, response)


@router.get(
    "",
    response_model=ReportPage,
    response_model_exclude_unset=True,
    **needs_somewhere("report:read"),
)
async def list_reports(
    caller: Asking,
    uses: Uses,
    pager: Paging,
    experiment: OfExperiment = "",
    search: Search = "",
    sort: Sort = "-created_at",
) -> Any:  # noqa: ANN401
    """List the reports that the caller may read, the newest first unless said; `search` is for title and note."""
    wanted = WantedReports(ask=pager.ask, search=search, sort=sort)
    return pager.render(await uses.page(caller, wanted, experiment), _view)


@router.get(
    "/{report}",
    response_model=WholeReportView,
    responses=TAGGED,
    **needs_somewhere("report:read"),
)
async def read_report(
    report: UUID, caller: Asking, uses: Uses, request: Request, response: Response
) -> Any:  # noqa: ANN401
    """Return a report, and whether the plan has changed since it was settled."""
    return _shown(await uses.read(caller, report), request, response)


@router.patch("/{report}", response_model=WholeReportView, **needs_somewhere("report:update"))
async def update_report(
    aimed: Aimed,
    body: ReportPatch,
    caller: Asking,
    uses: Uses,
    request: Request,
    response: Response,
) -> WholeReportView:
    """Change a report's words, access or approval, or save its result anew."""
    intent = ReportIntent(report=aimed.report, version=aimed.version, reason=body.reason)
    said = {name: getattr(body, name) for name in body.model_fields_set - {"reason"}}
    if "access" in said:
        said["access"] = Access(body.access)
    return _shown(await uses.update(caller, intent, ReportWishes(**said)), request, response)


@router.delete("/{report}", status_code=204, **needs_somewhere("report:delete"))
async def delete_report(aimed: Aimed, caller: Asking, uses: Uses) -> None:
    """Forget a report; a link to it leads nowhere."""
    await uses.delete(caller, aimed)


@shared.get("/{token}", response_model=WholeReportView, **public(**{"x-limit": "strict"}))
async def read_shared_report(
    token: Token, uses: Uses, request: Request, response: Response
) -> WholeReportView:
    """Return the report that a link leads to; whoever has the link may read it until it is revoked."""
    found = await uses.linked(token)
    response.headers["cache-control"] = "no-store"
    response.headers["referrer-policy"] = "no-referrer"
    return _shown(found, request, response)


def _shown(shown: Shown, request: Request, response: Response) -> WholeReportView:
    tagged(response, request, shown.report.version)
    link = f"{SHARED}/{shown.token}" if shown.token else None
    return WholeReportView(
        **_view(shown.report).model_dump(),
        plan=_plan(shown),
        result=dict(shown.report.result),
        link=link,
    )


def _view(report: Report) -> ReportView:
    return ReportView(
        id=report.id,
        experiment_id=report.experiment_id,
        experiment=report.experiment_key,
        title=report.title,
        note=report.note,
        access=report.access,
        approved=report.approved,
        owner_id=report.owner_id,
        version=report.version,
        created_at=report.created_at,
        updated_at=report.updated_at,
    )


def _plan(shown: Shown) -> ReportPlanView:
    settled, saved, now = shown.plan_settled, shown.report.plan_hash, shown.plan_now
    warning = None
    if settled and saved != settled:
        warning = "the analysis plan was changed after the start, before this report was saved"
    elif now and saved != now:
        warning = "the analysis plan was changed after this report was saved"
    return ReportPlanView(
        settled=settled or None,
        saved=saved,
        now=now or None,
        changed=warning is not None,
        warning=warning,
    )
