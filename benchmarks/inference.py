"""How long a complete result takes: 10 metrics, 4 variants; all views and the decision.

    PYTHONPATH=services/experiments:libs/chassis python benchmarks/inference.py

Prints medians of many runs; nothing is remembered between runs but the boundaries of the planned looks, as in service.
"""

import statistics
import time
from collections.abc import Callable

from experiments.domain.inference import moments
from experiments.domain.inference.analysis import Observed, analysed
from experiments.domain.inference.decision import decided
from experiments.domain.inference.judgement import judged
from experiments.domain.inference.mismatch import Phase
from experiments.domain.inference.plans import Adjustment, Method, MetricPlan, Plan, Role
from experiments.domain.inference.plots.forest import forest

N, RUNS = 25_000, 300


def state(k: int, arm: int) -> moments.Moments:
    """Return a metric with a past, or a proportion."""
    if k < 3:
        return moments.counted(2500 * (k + 1) + 40 * arm, N)
    mean = 10.0 + k + 0.02 * arm
    return moments.Moments(
        N, (mean, 1.0, 9.0, 0.0), (N * 9.0, 0, N * 4.0, 0, 0, 0, 0, N * 8.0, 0, 0)
    )


def metrics(adjustment: Adjustment) -> tuple[MetricPlan, ...]:
    """Return three proportions, four means and three guardrails."""
    return tuple(
        MetricPlan(
            key=f"m{k}",
            proportion=k < 3,
            role=Role.GUARDRAIL if k > 6 else Role.SUCCESS,
            margin=0.02,
            effect=0.02,
            adjustment=adjustment if k > 2 else Adjustment.NONE,
        )
        for k in range(10)
    )


def median(job: Callable[[], object]) -> float:
    """Return the median processor time of a run in milliseconds: the machine may be shared."""
    job()
    times = []
    for _ in range(RUNS):
        begun = time.process_time()
        job()
        times.append(time.process_time() - begun)
    return 1000 * statistics.median(times)


def main() -> None:
    variants = ("control", "a", "b", "c")
    states = {f"m{k}": tuple(state(k, arm) for arm in range(4)) for k in range(10)}
    observed = Observed(variants, states, (Phase((N,) * 4, (1,) * 4),))
    looks = tuple((k + 1) / 14 for k in range(10))
    for name, plan in (
        ("watched, plain", Plan(metrics=metrics(Adjustment.NONE), units=4 * N)),
        ("watched, CUPED", Plan(metrics=metrics(Adjustment.CUPED), units=4 * N)),
        (
            "planned looks, CUPED",
            Plan(
                metrics=metrics(Adjustment.CUPED), units=4 * N, method=Method.GROUPED, looks=looks
            ),
        ),
    ):
        found = analysed(plan, observed)
        print(
            f"{name:24} analysis {median(lambda p=plan: analysed(p, observed)):7.3f} ms   "
            f"decision {median(lambda p=plan, f=found: decided(p, observed, f)):7.3f} ms   "
            f"forest {median(lambda p=plan, f=found: forest(f, judged(p, f, speaks=True))):7.3f} ms"
        )


if __name__ == "__main__":
    main()
