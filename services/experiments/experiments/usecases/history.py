"""Reading what became of an experiment: its phases, its plans, and how far flags knows of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.caller import Caller
from experiments.domain.experiment import Experiment
from experiments.domain.moves import settled
from experiments.domain.phases import Phase
from experiments.domain.planned import Planned
from experiments.domain.publication import Publication
from experiments.ports import OpenWork
from experiments.usecases.whose import allowed


@dataclass(frozen=True, slots=True)
class History:
    """What one can ask about an experiment's past. A move of the clock is in it once it is written down."""

    work: OpenWork
    now: Callable[[], datetime]

    async def phases(self, caller: Caller, name: str) -> Sequence[Phase]:
        """Return the phases of an experiment (id or key), in order."""
        caller.must_for_some("experiment:read")
        async with self.work() as work:
            found = await work.experiments.find(caller.tenant, name)
            it = allowed(caller, "experiment:read", found, name)
            return await work.phases.of(it.id)

    async def plans(self, caller: Caller, name: str) -> tuple[Experiment, Sequence[Planned]]:
        """Return an experiment (id or key) as it is now, and its plans: that of the start, then each change."""
        caller.must_for_some("experiment:read")
        async with self.work() as work:
            found = await work.experiments.find(caller.tenant, name)
            it = allowed(caller, "experiment:read", found, name)
            return settled(it, self.now()), await work.plans.of(it.id)

    async def publication(self, caller: Caller, name: str) -> tuple[Experiment, Publication | None]:
        """Return an experiment (id or key) as it is now, and what flags has to know of it, if anything."""
        caller.must_for_some("experiment:read")
        async with self.work() as work:
            found = await work.experiments.find(caller.tenant, name)
            it = allowed(caller, "experiment:read", found, name)
            return settled(it, self.now()), await work.publications.of(it.id)
