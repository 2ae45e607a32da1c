"""Saving results with words of one's own, and sharing them.

Who manages reports (`report:update`) reads all of them; who manages experiments those that are shared; anybody else who
may read reports those that are shared and approved; everybody their own. Whoever has a link reads what it leads to.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from authz.standing import Thing
from chassis.caller import Caller
from chassis.facts import Actor, Fact, Seen, Target, changed
from chassis.pages import Slice
from experiments.domain.errors import ReportNotFound
from experiments.domain.experiment import Experiment
from experiments.domain.moves import settled
from experiments.domain.planned import digest
from experiments.domain.report import Access, Report, ReportChanges, hashed
from experiments.ports import OpenWork, Work
from experiments.ports.reporting import ResultOf, WantedReports
from experiments.usecases.whose import allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDraft:
    """What a new report is to be: of which experiment (id or key), and with which words."""

    experiment: str
    title: str
    note: str = ""
    access: Access = Access.PRIVATE


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportIntent:
    """Which report a change is meant for, in which version (None: any), and why."""

    report: UUID
    version: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportWishes:
    """What is to change, where said. `refresh`: save the result anew. `relink`: the link until now leads nowhere."""

    title: str | None = None
    note: str | None = None
    access: Access | None = None
    approved: bool | None = None
    refresh: bool = False
    relink: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A report, the experiment's plan as it is now (empty if it is gone), and the link's token where it is new."""

    report: Report
    plan_now: str = ""
    plan_settled: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class Reports:
    """Everything one can do to a report."""

    work: OpenWork
    results: ResultOf
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]
    new_token: Callable[[], str]

    async def create(self, caller: Caller, draft: ReportDraft) -> Shown:
        """Save the result of an experiment as it is now, owned by the caller."""
        caller.must("report:create")
        result = await self.results.document(caller, draft.experiment)
        now, token = self.now(), self.new_token() if draft.access is Access.LINK else ""
        async with self.work() as work:
            it = await self._experiment(work, caller, draft.experiment)
            made = Report(
                id=self.new_id(),
                tenant=caller.tenant,
                experiment_id=it.id,
                experiment_key=it.key,
                title=draft.title,
                note=draft.note,
                access=draft.access,
                owner_id=caller.owner,
                link=hashed(token) if token else None,
                result=result,
                plan_hash=digest(it),
                created_at=now,
                updated_at=now,
            )
            await work.reports.add(made)
            work.record(_told(caller, "created", None, made))
        return Shown(made, digest(it), it.plan_hash, token)

    async def read(self, caller: Caller, report: UUID) -> Shown:
        """Return a report that the caller may read."""
        caller.must_for_some("report:read")
        async with self.work() as work:
            found = await work.reports.find(caller.tenant, report)
            return await self._shown(work, _readable(caller, found, report))

    async def page(
        self, caller: Caller, wanted: WantedReports, experiment: str = ""
    ) -> Slice[Report]:
        """Return a part of the reports that the caller may read, of one experiment (id or key) or of all."""
        own = caller.must_or_own("report:read")
        async with self.work() as work:
            of_it = None
            if experiment:
                found = await work.experiments.find(caller.tenant, experiment)
                if found is None:
                    return Slice(items=[], total=0)
                of_it = found.id
            wanted = replace(
                wanted,
                experiment=of_it,
                owner_id=caller.owner,
                all_shared=own is None and caller.may("experiment:update"),
                everything=caller.may("report:update"),
            )
            return await work.reports.page(caller.tenant, wanted)

    async def update(self, caller: Caller, intent: ReportIntent, wishes: ReportWishes) -> Shown:
        """Change a report's words, access or approval, or save its result anew, which ends an approval."""
        caller.must_for_some("report:update")
        fresh = await self._fresh(caller, intent, wishes)
        async with self.work() as work:
            before = await _taken(work, caller, "report:update", intent)
            changes, token = self._changes(caller, before, wishes)
            after = before.changed({**changes, **fresh}, self.now())
            if after is not before:
                await work.reports.put(after)
                work.record(_told(caller, "updated", before, after, intent.reason))
            shown = await self._shown(work, after)
        return Shown(after, shown.plan_now, shown.plan_settled, token)

    async def delete(self, caller: Caller, intent: ReportIntent) -> None:
        """Forget a report; a link to it leads nowhere."""
        caller.must_for_some("report:delete")
        async with self.work() as work:
            before = await _taken(work, caller, "report:delete", intent)
            await work.reports.remove(before)
            work.record(_told(caller, "deleted", before, None, intent.reason))

    async def linked(self, token: str) -> Shown:
        """Return what a link leads to; ReportNotFound whether it never existed or was revoked."""
        async with self.work() as work:
            found = await work.reports.linked(hashed(token))
            if found is None or found.access is not Access.LINK:
                raise ReportNotFound("there is no report here")
            return await self._shown(work, found)

    async def _fresh(
        self, caller: Caller, intent: ReportIntent, wishes: ReportWishes
    ) -> ReportChanges:
        """Return the result and the plan as they are now, if they are wanted; asked outside of any transaction."""
        if not wishes.refresh:
            return {}
        async with self.work() as work:
            found = await work.reports.find(caller.tenant, intent.report)
            report = _allowed(caller, "report:update", found, intent.report)
            name = str(report.experiment_id)
            it = await self._experiment(work, caller, name)
        result = await self.results.document(caller, name)
        return {"result": result, "plan_hash": digest(it), "approved_by": ""}

    def _changes(
        self, caller: Caller, before: Report, wishes: ReportWishes
    ) -> tuple[ReportChanges, str]:
        changes: ReportChanges = {}
        if wishes.title is not None:
            changes["title"] = wishes.title
        if wishes.note is not None:
            changes["note"] = wishes.note
        if wishes.access is not None:
            changes["access"] = wishes.access
        if wishes.approved is not None and wishes.approved != before.approved:
            changes["approved_by"] = caller.subject if wishes.approved else ""
        access, token = changes.get("access", before.access), ""
        if access is Access.LINK and (wishes.relink or before.link is None):
            token = self.new_token()
            changes["link"] = hashed(token)
        return changes, token

    async def _experiment(self, work: Work, caller: Caller, name: str) -> Experiment:
        found = await work.experiments.find(caller.tenant, name)
        return settled(allowed(caller, "experiment:read", found, name), self.now())

    async def _shown(self, work: Work, report: Report) -> Shown:
        found = await work.experiments.find(report.tenant, str(report.experiment_id))
        if found is None:
            return Shown(report)
        it = settled(found, self.now())
        return Shown(report, digest(it), it.plan_hash)


def _readable(caller: Caller, found: Report | None, report: UUID) -> Report:
    """Return a report that the caller may read; to anybody else it is not there."""
    missing = ReportNotFound(f"there is no report {str(report)!r}")
    if found is None:
        raise missing
    if found.owner_id == caller.owner or caller.may("report:update"):
        return found
    shared = found.access is not Access.PRIVATE
    may_read = caller.may("report:read", Thing(found.owner_id, id=str(found.id)))
    if shared and may_read and (found.approved or caller.may("experiment:update")):
        return found
    raise missing


def _allowed(caller: Caller, permission: str, found: Report | None, report: UUID) -> Report:
    there = _readable(caller, found, report)
    missing = ReportNotFound(f"there is no report {str(report)!r}")
    caller.must_over(permission, Thing(there.owner_id, id=str(there.id)), missing)
    return there


async def _taken(work: Work, caller: Caller, permission: str, intent: ReportIntent) -> Report:
    found = await work.reports.take(caller.tenant, intent.report)
    report = _allowed(caller, permission, found, intent.report)
    report.expect(intent.version)
    return report


def _told(
    caller: Caller, verbed: str, before: Report | None, after: Report | None, reason: str = ""
) -> Fact:
    who = Actor.of(caller)
    return changed(who, verbed, before and _seen(before), after and _seen(after), reason)


def _seen(report: Report) -> Seen:
    """Return a report as the audit log keeps it: without the result, and of a link only that there is one."""
    names = ("title", "note", "owner_id", "approved_by", "plan_hash", "version")
    document = {name: getattr(report, name) for name in names} | {
        "experiment": str(report.experiment_id),
        "access": report.access.value,
        "has_link": report.link is not None,
    }
    return report.tenant, Target("report", str(report.id), report.title), document
