"""Where events come in, and the flags that experiments stand on, in memory."""

from chassis.errors import Unavailable
from experiments.domain.trial import Cell, Frozen, Trial
from experiments.ports.assigning import Taken
from experiments.ports.measuring import Absorbed


class MemoryFlags:
    """Flags, as far as experiments talk to it. `fault`: what it answers instead."""

    def __init__(self):
        self.checked, self.told, self.fault = [], [], None
        self.enabled = True

    async def check(self, tenant, experiment, document):
        if self.fault:
            raise self.fault
        self.checked.append((experiment, document))
        return Taken(0, enabled=self.enabled, made=False)

    async def put(self, publication):
        if self.fault:
            raise self.fault
        self.told.append(publication)
        return Taken(publication.version, enabled=True, made=False)


class MemoryTrials:
    """Experiments as their data see them, as a test lays them out."""

    def __init__(self):
        self.kept: list[Trial] = []
        self.metrics: list[Frozen] = []
        self.laid: dict[str, list[Cell]] = {}

    async def named(self, tenant, names, now):
        found = {n: it for it in self.kept for n in (it.key, str(it.id)) if it.tenant == tenant}
        return {name: found[name] for name in names if name in found}

    async def definitions(self, experiment):
        return self.metrics

    async def frozen(self, experiment):
        return self.metrics

    async def cells(self, experiment, dimension):
        return self.laid.get(dimension, [])

    async def dimensions(self, experiment):
        return sorted(self.laid.keys() - {"", "day"})

    async def guarded(self, now):
        return self.kept


class MemoryIntake:
    """The inbox and the shards in memory; what is absorbed is counted."""

    def __init__(self):
        self.left, self.laid, self.frozen, self.joined = [], [], {}, []
        self.held, self.closed, self.forgotten = set(), [], []
        self.unfrozen = []

    async def hold(self, shard):
        return shard not in self.held

    async def leave(self, parcels):
        self.left += parcels

    async def take(self, shard, most):
        mine = [p for p in self.left if p.shard == shard]
        self.left = [p for p in self.left if p.shard != shard]
        return mine

    async def shards_waiting(self):
        return {p.shard for p in self.left}

    async def lay_out(self, parcels):
        self.laid += parcels
        return self.unfrozen

    async def freeze(self, experiment, metrics):
        self.frozen[experiment] = metrics

    async def close(self, experiment, closes, since):
        self.closed.append((experiment, closes, since))

    async def forget(self, experiment):
        self.forgotten.append(experiment)

    async def join(self, unit, same_as):
        self.joined.append((unit, same_as))
        return True

    async def absorb(self):
        return Absorbed(events=len(self.laid), exposures=0, cells=0)


class MemoryStream:
    """A stream in memory, which can be away."""

    def __init__(self):
        self.kept = []
        self.away = False

    def _ask(self):
        if self.away:
            raise Unavailable("Redis does not answer")

    async def put(self, parcels):
        self._ask()
        self.kept += parcels

    async def read(self, shard, most):
        self._ask()
        return [p for p in self.kept if p.shard == shard]

    async def drop(self, shard, parcels):
        self._ask()
        self.kept = [p for p in self.kept if p not in parcels]

    async def shards_waiting(self):
        self._ask()
        return {p.shard for p in self.kept}
