"""A unit of work, in memory."""

from contextlib import asynccontextmanager

from services.compute.tests.fakes.agents import MemoryAgents, MemoryLedger, MemoryMeter
from services.compute.tests.fakes.machines import (
    MemoryLeases,
    MemoryLog,
    MemoryOperations,
    MemoryQuotas,
    MemorySnapshots,
    MemoryTickets,
    MemoryVms,
)
from services.compute.tests.fakes.templates import MemoryImages, MemoryTemplates


class MemoryWork:
    """A transaction in memory: what is changed is put back when the block fails."""

    def __init__(self):
        self.vms, self.templates, self.quotas = MemoryVms(), MemoryTemplates(), MemoryQuotas()
        self.operations, self.log, self.leases = MemoryOperations(), MemoryLog(), MemoryLeases()
        self.tickets = MemoryTickets()
        self.agents = MemoryAgents()
        self.ledger, self.meter = MemoryLedger(), MemoryMeter()
        self.images, self.templates.vms = MemoryImages(self.templates), self.vms
        self.snapshots = MemorySnapshots(self.vms)
        self.facts, self.stirred = [], 0

    def stir(self):
        self.stirred += 1

    def record(self, fact):
        self.facts.append(fact)

    @asynccontextmanager
    async def __call__(self):
        agents, ledger = dict(self.agents.kept), dict(self.ledger.kept)
        meter, templates = dict(self.meter.kept), dict(self.templates.kept)
        vms, used, facts = dict(self.vms.kept), dict(self.quotas.used), len(self.facts)
        try:
            yield self
        except BaseException:
            self.vms.kept, self.quotas.used = vms, used
            self.agents.kept, self.ledger.kept, self.meter.kept = agents, ledger, meter
            self.templates.kept = templates
            del self.facts[facts:]
            raise
