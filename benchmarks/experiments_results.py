"""How long reading a result takes, and that it does not depend on how many events there were.

    python -m yard with --database-only -- python benchmarks/experiments_results.py

Reads TEST_DATABASE_URL. Ten metrics, four variants; the cells are written as 1e5, 1e6 and 1e7 events of a tenth as many
units would have left them (reading looks at nothing else). Prints medians of the use-case (the database, all inference,
the decision), of the whole door in process (with JSON), and of both with one metric ranked by size. Target: 5 ms.
"""

import asyncio
import math
import os
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx

from chassis.caller import Caller
from chassis.db import Sessions, database
from chassis.http import Wiring, rest_app
from experiments.api.rest import routers
from experiments.domain.analysis import Analysis, MetricRole, MetricUse
from experiments.domain.experiment import Experiment, Status, Variant
from experiments.domain.inference.histogram import bucket
from experiments.domain.metric import Definition, MetricKind
from experiments.domain.trial import Frozen
from experiments.ports import OpenWork
from experiments.store.data_tables import CellRow
from experiments.store.work import sql_work
from experiments.usecases.results import Results
from schemas.migrate import migrate

NOW = datetime.now(UTC)
START = NOW - timedelta(days=14)
VARIANTS = ("control", "a", "b", "c")
RUNS = 60
K = MetricKind


def definitions(ranked: bool) -> list[Frozen]:
    """Return ten metrics: three proportions, the rest means, the last one perhaps a quantile."""
    made = [
        Definition(kind=K.PROPORTION if at < 3 else K.MEAN, event=f"e{at}", lookback=86_400)
        for at in range(10)
    ]
    if ranked:
        made[-1] = Definition(kind=K.QUANTILE, event="e9", quantile=0.95)
    return [Frozen(number=at, key=f"m{at}", definition=it) for at, it in enumerate(made, 1)]


def cells(experiment: UUID, metrics: list[Frozen], units: int) -> list[CellRow]:
    """Return the cells that so many units leave, of all and of fourteen days."""
    dice, made = random.Random(1), []
    for value, share in [("", 1.0), *((f"2026-05-{day:02}", 1 / 14) for day in range(1, 15))]:
        n = int(units * share / len(VARIANTS))
        for variant in range(len(VARIANTS)):
            place = {
                "experiment": experiment, "slice": "day" if value else "", "value": value,
                "phase": 1, "variant": variant,
            }  # fmt: skip
            flat = [0.0, 1.0, 0.0, 0.0]
            made.append(CellRow(**place, metric=0, bucket=0, n=n, mean=flat, co=[0.0] * 10))
            for metric in metrics:
                for key, size in _buckets(metric, n):
                    made.append(_cell(place, metric.number, key, size, dice))
    return made


def _buckets(metric: Frozen, n: int) -> list[tuple[int, int]]:
    if not metric.definition.ranked:
        return [(0, n)]
    weights = {bucket(10.0 ** (at / 40)): math.exp(-(((at - 60) / 25) ** 2)) for at in range(120)}
    total = sum(weights.values())
    return [(key, max(1, int(n * w / total))) for key, w in weights.items()]


def _cell(place: dict[str, object], metric: int, key: int, n: int, dice: random.Random) -> CellRow:
    mean = 0.1 if metric <= 3 else 5.0 + dice.random() / 20
    spread = 0.09 * n if metric <= 3 else 20.0 * n
    co = [spread, 0, spread / 2, 0, 0, 0, 0, spread, 0, 0]
    return CellRow(
        **place,
        metric=metric,
        bucket=key,
        n=n,
        mean=[mean, 1.0, mean, 0.0],
        co=[float(c) for c in co],
    )


async def lay(sessions: Sessions, work: OpenWork, tenant: UUID, key: str, units: int) -> None:
    """Write an experiment with its cells."""
    metrics = definitions(ranked=key.startswith("ranked"))
    uses = tuple(
        MetricUse(key=m.key, role=MetricRole.GUARDRAIL if m.number > 7 else MetricRole.SUCCESS)
        for m in metrics
    )
    experiment = Experiment(
        id=uuid4(), tenant=tenant, key=key, name=key, owner_id="ana", created_at=START,
        updated_at=START, status=Status.ACTIVE, started_at=START, phase=1, metrics=uses,
        variants=tuple(Variant(name, 25_000) for name in VARIANTS), analysis=Analysis(units=units),
    )  # fmt: skip
    async with work() as it:
        await it.experiments.add(experiment)
        await it.intake.freeze(experiment.id, metrics)
    async with sessions.begin() as session:
        session.add_all(cells(experiment.id, metrics, units))


async def median(job: Callable[[], Awaitable[object]]) -> str:
    """Return the medians of the wall clock and of our processor's time of a job (the machine may be shared)."""
    await job()
    walls: list[float] = []
    used: list[float] = []
    for _ in range(RUNS):
        begun, cpu = time.perf_counter(), time.process_time()
        await job()
        walls.append(time.perf_counter() - begun)
        used.append(time.process_time() - cpu)
    return f"{1000 * statistics.median(walls):6.1f} ms ({1000 * statistics.median(used):.1f} of processor)"


@dataclass
class Known:
    """An identity that knows one caller."""

    caller: Caller

    async def of(self, _: object) -> Caller:
        """Return the caller."""
        return self.caller


async def main() -> None:
    admin = os.environ["TEST_DATABASE_URL"]
    url = f"postgresql://test_experiments:test-only{admin[admin.index('@') :]}"
    await migrate("experiments", url, admin)
    tenant = uuid4()
    ana = Caller(subject="ana", tenant=tenant, permissions=frozenset({"experiment:read"}))
    async with database(url, "experiments", 4) as sessions:
        work = sql_work(sessions, lambda: None)
        results = Results(work, lambda: NOW)
        app = rest_app("experiments", routers, Wiring(identity=Known(ana), uses={Results: results}))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
            for kind in ("plain", "ranked"):
                for events in (10**5, 10**6, 10**7):
                    key = f"{kind}-{events}"
                    await lay(sessions, work, tenant, key, events // 10)
                    path = f"/api/v1/experiments/{key}/results"
                    assert (await client.get(path)).status_code == 200
                    read = await median(lambda key=key: results.read(ana, key))
                    door = await median(lambda path=path: client.get(path))
                    days = await median(lambda path=path: client.get(f"{path}/timeseries"))
                    print(f"{key:<18} use-case {read}   door in process {door}   14 days {days}")


asyncio.run(main())
