"""Managing metrics: what experiments measure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from authz.standing import Thing
from chassis.caller import Caller
from chassis.facts import Actor, Fact, Seen, Target, changed
from chassis.pages import Slice
from experiments.domain.errors import MetricInUse, MetricNotFound
from experiments.domain.experiment import check_key
from experiments.domain.metric import Definition, Metric, MetricChanges, document
from experiments.ports import OpenWork, WantedMetrics, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDraft:
    """What a new metric is to be."""

    key: str
    name: str
    description: str = ""
    definition: Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricIntent:
    """Which metric a change is meant for (id or key), in which version (None: any), and why."""

    metric: str
    version: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Everything one can do to a metric."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def create(self, caller: Caller, draft: MetricDraft) -> Metric:
        """Make a metric, owned by the caller; MetricKeyTaken if there is one of its key."""
        caller.must("metric:create")
        check_key(draft.key)
        made = self._made(caller, draft)
        async with self.work() as work:
            await work.metrics.add(made)
            work.record(_told(caller, "created", None, made))
        return made

    async def read(self, caller: Caller, name: str) -> Metric:
        """Return the metric with this id or key."""
        caller.must_for_some("metric:read")
        async with self.work() as work:
            found = await work.metrics.find(caller.tenant, name)
        return _allowed(caller, "metric:read", found, name)

    async def list(self, caller: Caller, wanted: WantedMetrics) -> Slice[Metric]:
        """Return a part of the tenant's metrics; of one's own if not of all."""
        own = caller.must_or_own("metric:read")
        async with self.work() as work:
            return await work.metrics.list(caller.tenant, replace(wanted, owner_id=own))

    async def update(
        self, caller: Caller, intent: MetricIntent, changes: Callable[[Metric], MetricChanges]
    ) -> Metric:
        """Change what `changes` makes of the metric. Experiments that have data keep what they began with."""
        caller.must_for_some("metric:update")
        async with self.work() as work:
            before = await _taken(work, caller, "metric:update", intent)
            after = before.changed(changes(before), self.now())
            if after is not before:
                await work.metrics.put(after)
                work.record(_told(caller, "updated", before, after, intent.reason))
        return after

    async def delete(self, caller: Caller, intent: MetricIntent) -> None:
        """Forget a metric; MetricInUse while a running experiment measures it. Its key is free again.

        Experiments that are over keep their copy of the definition, and so their results.
        """
        caller.must_for_some("metric:delete")
        async with self.work() as work:
            before = await _taken(work, caller, "metric:delete", intent)
            if users := await work.metrics.running_with(before):
                names = ", ".join(users)
                raise MetricInUse(
                    f"metric {before.key!r} is measured by {names}, which is not over; complete that first"
                )
            await work.metrics.remove(before)
            work.record(_told(caller, "deleted", before, None, intent.reason))

    def _made(self, caller: Caller, draft: MetricDraft) -> Metric:
        now = self.now()
        return Metric(
            id=self.new_id(),
            tenant=caller.tenant,
            key=draft.key,
            name=draft.name,
            owner_id=caller.owner,
            description=draft.description,
            definition=draft.definition,
            created_at=now,
            updated_at=now,
        )


def metric_document(metric: Metric) -> dict[str, Any]:
    """Return a metric as the audit log keeps it."""
    return {
        "key": metric.key,
        "name": metric.name,
        "description": metric.description,
        "owner_id": metric.owner_id,
        "definition": document(metric.definition),
        "version": metric.version,
    }


async def _taken(work: Work, caller: Caller, permission: str, intent: MetricIntent) -> Metric:
    found = await work.metrics.take(caller.tenant, intent.metric)
    metric = _allowed(caller, permission, found, intent.metric)
    metric.expect(intent.version)
    return metric


def _allowed(caller: Caller, permission: str, found: Metric | None, name: str) -> Metric:
    """Return a metric that is there and to which the caller may do this."""
    missing = MetricNotFound(f"there is no metric {name!r}")
    if found is None:
        raise missing
    caller.must_over(permission, Thing(found.owner_id, id=str(found.id)), missing)
    return found


def _told(
    caller: Caller, verbed: str, before: Metric | None, after: Metric | None, reason: str = ""
) -> Fact:
    who = Actor.of(caller)
    return changed(who, verbed, before and _seen(before), after and _seen(after), reason)


def _seen(it: Metric) -> Seen:
    return it.tenant, Target("metric", str(it.id), it.key), metric_document(it)
