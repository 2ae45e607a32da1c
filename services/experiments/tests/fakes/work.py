"""A unit of work, in memory."""

from contextlib import asynccontextmanager

from experiments.domain.errors import (
    HoldoutKeyTaken,
    LayerKeyTaken,
)
from services.experiments.tests.fakes.book import (
    MemoryBook,
    MemoryMetrics,
    MemoryNamed,
    MemoryPhases,
    MemoryPlans,
    MemoryPublications,
    MemoryReports,
)
from services.experiments.tests.fakes.intake import MemoryIntake, MemoryTrials


class MemoryWork:
    """A transaction in memory: what is changed is put back when the block fails."""

    def __init__(self):
        self.experiments = MemoryBook()
        self.metrics = MemoryMetrics()
        self.phases = MemoryPhases()
        self.plans = MemoryPlans()
        self.publications = MemoryPublications()
        self.layers = MemoryNamed(self.experiments, LayerKeyTaken)
        self.holdouts = MemoryNamed(self.experiments, HoldoutKeyTaken)
        self.reports = MemoryReports()
        self.trials = MemoryTrials()
        self.intake = MemoryIntake()
        self.facts = []
        self.leads = True

    async def lead(self, seconds):
        return self.leads

    def record(self, fact):
        self.facts.append(fact)

    @asynccontextmanager
    async def __call__(self):
        books = (self.experiments, self.phases, self.plans, self.publications)
        books += (self.layers, self.holdouts, self.reports)
        kept, facts = [dict(book.kept) for book in books], len(self.facts)
        try:
            yield self
        except BaseException:
            for book, before in zip(books, kept, strict=True):
                book.kept = before
            del self.facts[facts:]
            raise

    @property
    def actions(self):
        return [fact.action for fact in self.facts]
