"""Experiments and what is planned and written about them, in memory."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from chassis.pages import Slice, cut
from experiments.domain.errors import (
    ChangedMeanwhile,
    KeyTaken,
    MetricKeyTaken,
)
from experiments.domain.experiment import Experiment
from experiments.domain.metric import Metric
from experiments.domain.moves import due_at, settled
from experiments.domain.report import Access


class MemoryBook:
    """The experiment book in memory: the same contract as the one in PostgreSQL."""

    def __init__(self):
        self.kept: dict[UUID, Experiment] = {}

    async def find(self, tenant, name):
        for it in self.kept.values():
            if it.tenant == tenant and name in (it.key, str(it.id)):
                return it
        return None

    take = find

    async def list(self, tenant, wanted):
        def value(it):
            return (getattr(it, wanted.sort.removeprefix("-")), it.id)

        def position(it):
            said, it_id = value(it)
            return (said.isoformat() if isinstance(said, datetime) else said, str(it_id))

        down = wanted.sort.startswith("-")
        found = sorted(
            (
                it
                for it in self.kept.values()
                if it.tenant == tenant
                and self._fits(it, wanted)
                and (wanted.owner_id in (None, it.owner_id) or it.project in wanted.projects)
                and wanted.project in ("", it.project)
                and wanted.environment in ("", it.environment)
            ),
            key=value,
            reverse=down,
        )
        total, ask = len(found), wanted.ask
        if ask.after:
            place = next((i for i, it in enumerate(found) if position(it) == ask.after), None)
            found = found[place + 1 :]
        rows = found[ask.offset : ask.offset + ask.limit + 1]
        items, after = cut(rows, ask.limit, position)
        return Slice(items=items, next=after, total=total)

    def _fits(self, it, wanted):
        text = wanted.search.lower()
        hit = any(text in said.lower() for said in (it.key, it.name, it.description))
        return hit and wanted.status in (None, settled(it, wanted.now).status)

    async def add(self, experiment):
        if await self.find(experiment.tenant, experiment.key):
            raise KeyTaken(experiment.key)
        self.kept[experiment.id] = experiment

    async def put(self, before, after):
        if self.kept[before.id].version != before.version:
            raise ChangedMeanwhile(before.key)
        self.kept[after.id] = after

    async def remove(self, experiment):
        del self.kept[experiment.id]

    async def take_due(self, now, tenant):
        due = [it for it in self.kept.values() if tenant in (None, it.tenant) and due_at(it)]
        first = min(due, key=due_at, default=None)
        return first if first and due_at(first) <= now else None

    async def next_due(self):
        return min((due_at(it) for it in self.kept.values() if due_at(it)), default=None)


class MemoryMetrics:
    """The metric book in memory: the same contract as the one in PostgreSQL."""

    def __init__(self):
        self.kept: dict[UUID, Metric] = {}
        self.running: dict[str, list[str]] = {}

    async def find(self, tenant, name):
        for it in self.kept.values():
            if it.tenant == tenant and name in (it.key, str(it.id)):
                return it
        return None

    take = find

    async def list(self, tenant, wanted):
        found = [
            it
            for it in self.kept.values()
            if it.tenant == tenant
            and wanted.owner_id in (None, it.owner_id)
            and wanted.kind in (None, it.definition.kind)
            and any(
                wanted.search.lower() in said.lower() for said in (it.key, it.name, it.description)
            )
        ]
        field = wanted.sort.removeprefix("-")
        found.sort(key=lambda it: (getattr(it, field), it.id), reverse=wanted.sort.startswith("-"))

        def position(it):
            said = getattr(it, field)
            return (said.isoformat() if isinstance(said, datetime) else said, str(it.id))

        total, ask = len(found), wanted.ask
        if ask.after:
            found = found[[position(it) for it in found].index(ask.after) + 1 :]
        items, after = cut(found[ask.offset : ask.offset + ask.limit + 1], ask.limit, position)
        return Slice(items=items, next=after, total=total)

    async def add(self, metric):
        if await self.find(metric.tenant, metric.key):
            raise MetricKeyTaken(metric.key)
        self.kept[metric.id] = metric

    async def put(self, metric):
        self.kept[metric.id] = metric

    async def remove(self, metric):
        del self.kept[metric.id]

    async def running_with(self, metric):
        return self.running.get(metric.key, [])


class MemoryPhases:
    """The phase book in memory."""

    def __init__(self):
        self.kept = {}

    async def open(self, phase):
        self.kept[phase.experiment_id, phase.number] = phase

    async def close(self, experiment, at):
        for key, phase in self.kept.items():
            if key[0] == experiment and phase.ended_at is None:
                self.kept[key] = phase.over(at)

    async def of(self, experiment):
        return [phase for key, phase in sorted(self.kept.items()) if key[0] == experiment]


class MemoryPlans:
    """The plan book in memory."""

    def __init__(self):
        self.kept = {}

    async def add(self, planned):
        number = len(await self.of(planned.experiment_id)) + 1
        self.kept[planned.experiment_id, number] = replace(planned, number=number)

    async def of(self, experiment):
        return [planned for key, planned in sorted(self.kept.items()) if key[0] == experiment]


class MemoryPublications:
    """What flags has to know, in memory."""

    def __init__(self):
        self.kept = {}

    async def put(self, publication):
        before = self.kept.get(publication.experiment_id, publication)
        known = replace(publication, sent=before.sent, sent_at=before.sent_at)
        self.kept[publication.experiment_id] = known

    async def of(self, experiment):
        return self.kept.get(experiment)

    async def claim(self, now, until):
        due = [it for it in self.kept.values() if it.next_at and it.next_at <= now]
        found = min(due, key=lambda it: it.next_at, default=None)
        if found:
            taken = replace(found, next_at=until, attempts=found.attempts + 1)
            self.kept[found.experiment_id] = taken
        return found

    async def sent(self, publication, at):
        it = self.kept[publication.experiment_id]
        newest = it.version == publication.version
        self.kept[it.experiment_id] = replace(
            it,
            sent=max(it.sent, publication.version),
            sent_at=at,
            next_at=None if newest else at,
            trouble="",
        )

    async def failed(self, publication, trouble, again):
        it = self.kept[publication.experiment_id]
        if it.version == publication.version and it.sent < it.version:
            self.kept[it.experiment_id] = replace(it, trouble=trouble, next_at=again)


class MemoryNamed:
    """Layers or holdouts in memory; `book` are the experiments that may name a layer."""

    def __init__(self, book, taken):
        self.kept, self._book, self._taken = {}, book, taken

    async def find(self, tenant, name):
        mine = (it for it in self.kept.values() if it.tenant == tenant)
        return next((it for it in mine if name in (it.key, str(it.id))), None)

    take = find

    async def all(self, tenant):
        return sorted((it for it in self.kept.values() if it.tenant == tenant), key=lambda i: i.id)

    async def page(self, tenant, wanted):
        field, ask = wanted.sort.removeprefix("-"), wanted.ask

        def position(it):
            said = getattr(it, field)
            return (said.isoformat() if isinstance(said, datetime) else said, str(it.id))

        text = wanted.search.lower()
        mine = [
            it for it in await self.all(tenant)
            if any(text in said.lower() for said in (it.key, it.name, it.description))
        ]  # fmt: skip
        mine.sort(key=lambda it: (getattr(it, field), it.id), reverse=wanted.sort.startswith("-"))
        total = len(mine)
        if ask.after:
            mine = mine[[position(it) for it in mine].index(ask.after) + 1 :]
        items, after = cut(mine[ask.offset :][: ask.limit + 1], ask.limit, position)
        return Slice(items=items, next=after, total=total)

    async def add(self, it):
        if await self.find(it.tenant, it.key):
            raise self._taken(it.key)
        self.kept[it.id] = it

    async def put(self, it):
        self.kept[it.id] = it

    async def remove(self, it):
        del self.kept[it.id]

    def _naming(self, layer):
        return [it for it in self._book.kept.values() if it.slot and it.slot.layer == layer]

    async def slots(self, layer, now):
        over = ("COMPLETED", "ARCHIVED")
        found = [it for it in self._naming(layer) if settled(it, now).status not in over]
        return sorted(((it.key, it.slot) for it in found), key=lambda one: one[1].start)

    async def named_by(self, layer):
        return sorted(it.key for it in self._naming(layer))


class MemoryReports:
    """The report book in memory."""

    def __init__(self):
        self.kept = {}

    async def find(self, tenant, report):
        found = self.kept.get(report)
        return found if found and found.tenant == tenant else None

    take = find

    async def linked(self, link):
        return next((it for it in self.kept.values() if it.link == link), None)

    async def page(self, tenant, wanted):
        def seen(it):
            shared = it.access is not Access.PRIVATE and (wanted.all_shared or it.approved)
            return wanted.everything or shared or it.owner_id == wanted.owner_id

        field, text = wanted.sort.removeprefix("-"), wanted.search.lower()

        def position(it):
            said = getattr(it, field)
            return (said.isoformat() if isinstance(said, datetime) else said, str(it.id))

        ask = wanted.ask
        mine = [it for it in self.kept.values() if it.tenant == tenant and seen(it)]
        mine = [it for it in mine if wanted.experiment in (None, it.experiment_id)]
        mine = [replace(it, result={}) for it in mine if text in f"{it.title}\0{it.note}".lower()]
        mine.sort(key=lambda it: (getattr(it, field), it.id), reverse=wanted.sort.startswith("-"))
        total = len(mine)
        if ask.after:
            mine = mine[[position(it) for it in mine].index(ask.after) + 1 :]
        items, after = cut(mine[ask.offset :][: ask.limit + 1], ask.limit, position)
        return Slice(items=items, next=after, total=total)

    async def add(self, report):
        self.kept[report.id] = report

    put = add

    async def remove(self, report):
        del self.kept[report.id]
