"""Agents and the ledger of their use, in memory."""

from chassis.pages import Slice, cut
from compute.domain.agent import AgentStatus
from compute.domain.agent_errors import AgentNameTaken, AgentTypeTaken
from compute.domain.usage import summed
from compute.domain.usage import total as sum_of
from services.compute.tests.fakes.common import part_of


class MemoryAgents:
    def __init__(self):
        self.kept = {}

    async def find(self, tenant, agent_id):
        agent = self.kept.get(agent_id)
        return agent if agent and agent.usable_by(tenant) else None

    take = find

    async def list(self, tenant, wanted):
        text = wanted.search.lower()
        return part_of(
            [
                it
                for it in self.kept.values()
                if it.usable_by(tenant)
                and any(text in said.lower() for said in (it.name, it.description, it.agent_type))
                and wanted.status in (None, it.status)
                and wanted.agent_type in (None, it.agent_type)
                and wanted.free in (None, it.is_free_agent)
                and (it.is_free_agent or wanted.owner_id in (None, it.owner_id))
            ],
            wanted,
        )

    async def active(self, tenant, agent_types):
        return [
            it
            for it in self.kept.values()
            if it.usable_by(tenant)
            and it.status is AgentStatus.ACTIVE
            and it.agent_type in agent_types
        ]

    async def known(self, tenant, agents):
        return frozenset(a for a in agents if a in self.kept and self.kept[a].usable_by(tenant))

    async def add(self, agent):
        rivals = [
            it
            for it in self.kept.values()
            if it.owner_tenant_id == agent.owner_tenant_id
            and it.id != agent.id
            and {it.status, agent.status} == {AgentStatus.ACTIVE}
        ]
        if any(it.agent_type == agent.agent_type for it in rivals):
            raise AgentTypeTaken(agent.agent_type)
        if any(it.look == agent.look for it in rivals):
            raise AgentNameTaken(agent.name)
        self.kept[agent.id] = agent

    put = add


class MemoryLedger:
    def __init__(self):
        self.kept = {}

    async def enter(self, records):
        for record in records:
            self.kept.setdefault((record.tenant, *record.key), record)
        return [self.kept[record.tenant, *record.key] for record in records]

    async def take(self, tenant, ids):
        ours = [r for r in self.kept.values() if r.tenant == tenant]
        return [r for r in ours if r.id in ids] + [r for r in ours if r.corrects in ids]

    def _which(self, tenant, wanted):
        return [
            r
            for r in self.kept.values()
            if r.tenant == tenant
            and wanted.since <= r.occurred_at < wanted.until
            and wanted.kind in (None, r.kind)
            and wanted.agent_id in (None, r.agent_id)
            and wanted.vm_id in (None, r.vm_id)
        ]

    async def list(self, tenant, wanted):
        def position(record):
            return record.occurred_at.isoformat(), str(record.id)

        found = sorted(self._which(tenant, wanted), key=lambda r: (r.occurred_at, r.id))[::-1]
        return self._part(found, wanted, position)

    async def summary(self, tenant, wanted):
        records = self._which(tenant, wanted)
        lines = summed(records, wanted.by, wanted.period)
        return self._part(lines, wanted, lambda line: line.place), sum_of(records)

    def _part(self, found, wanted, position):
        ask, count = wanted.ask, len(found)
        if ask.after:
            at = [position(it) for it in found].index(ask.after)
            found = found[at + 1 :]
        items, after = cut(found[ask.offset : ask.offset + ask.limit + 1], ask.limit, position)
        return Slice(items=items, next=after, total=count)


class MemoryMeter:
    def __init__(self):
        self.kept = {}

    async def take(self, vm_id):
        return self.kept.get(vm_id)

    async def put(self, interval):
        before = self.kept.get(interval.vm_id, interval)
        self.kept[interval.vm_id] = interval.seen(before.seen_at)

    async def drop(self, vm_id):
        self.kept.pop(vm_id, None)

    async def open_of(self, vm_ids):
        return frozenset(self.kept.keys() & set(vm_ids))

    async def beat(self, vm_ids, at):
        for vm_id in self.kept.keys() & set(vm_ids):
            self.kept[vm_id] = self.kept[vm_id].seen(at)

    async def due(self, most):
        return [it for it in self.kept.values() if it.cut()[0]][:most]
