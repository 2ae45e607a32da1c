"""Experiments whose outcome is known, for the analysis, the decision and the plots."""

import numpy as np
import pytest

from experiments.domain.inference import moments
from experiments.domain.inference.analysis import Observed
from experiments.domain.inference.mismatch import Phase
from experiments.domain.inference.plans import MetricPlan, Plan, Role


class Lab:
    """Makes plans and observations."""

    signup = MetricPlan(key="signup", proportion=True, effect=0.05)
    revenue = MetricPlan(key="revenue")
    latency = MetricPlan(key="latency", role=Role.GUARDRAIL, more_is_better=False, margin=0.05)

    def plan(self, *metrics, **settings):
        return Plan(metrics=metrics or (self.signup, self.latency), **settings)

    def observed(self, lift=0.0, slower=0.0, n=10_000, **changes):
        """Two variants: signup at 20 %, revenue of 5, latency of 100, exact but for the noise's size."""
        metrics = {
            "signup": (moments.counted(n // 5, n), moments.counted(round(n / 5 * (1 + lift)), n)),
            "revenue": (
                moments.valued(n, 5.0, 100.0 * n),
                moments.valued(n, 5.0 * (1 + lift), 100.0 * n),
            ),
            "latency": (
                moments.valued(n, 100.0, 900.0 * n),
                moments.valued(n, 100 * (1 + slower), 900.0 * n),
            ),
        }
        seen = {"variants": ("control", "treatment"), "phases": (Phase((n, n), (1, 1)),)}
        return Observed(**{**seen, "metrics": metrics, **changes})

    def lognormal(self, factor=1.0, n=4000, seed=1):
        return (factor * np.random.default_rng(seed).lognormal(0, 0.5, n)).tolist()


@pytest.fixture(scope="session")
def lab():
    return Lab()
