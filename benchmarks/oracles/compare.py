"""Our engine beside three that we did not write: gbstats, tea-tasting and spotify-confidence, on the same inputs.

They are no dependencies of the project, and their pins would clash with its own; they live in an environment apart:

    python3 -m venv .data/oracles && .data/oracles/bin/pip install -r benchmarks/oracles/requirements.txt
    PYTHONPATH=services/experiments:libs/chassis .data/oracles/bin/python benchmarks/oracles/compare.py

Prints one line for each figure, ours and theirs, and fails where they differ by more than the tolerance of the line:
1e-6 where the method is the same, more where theirs is known to be another one (the line says which).
"""

# ruff: noqa: E501  (lines of a table)
import sys
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd

from experiments.domain.inference import contrasts, fixed, moments, posterior, sequences
from experiments.domain.inference.sequences import Watch

warnings.simplefilter("ignore")
Line = tuple[str, str, float, float, float]  # package, figure, ours, theirs, tolerance
RNG = np.random.default_rng(20260)
N, M = 4100, 3900


def frame() -> pd.DataFrame:
    """Draw users of two variants, with a past, orders, sessions and a conversion."""
    past = RNG.lognormal(1, 0.6, N + M)
    variant = np.r_[np.zeros(N, int), np.ones(M, int)]
    sessions = 1 + RNG.poisson(3, N + M)
    value = (
        np.where(RNG.random(N + M) < 0.4, RNG.lognormal(2, 0.8, N + M), 0)
        + 0.8 * past
        + 0.3 * variant
    )
    orders = RNG.binomial(sessions, 0.2 + 0.01 * variant)
    converted = (RNG.random(N + M) < 0.1 + 0.02 * variant).astype(int)
    return pd.DataFrame(
        {
            "variant": variant,
            "value": value,
            "past": past,
            "sessions": sessions,
            "orders": orders,
            "converted": converted,
        }
    )


def arms(table: pd.DataFrame, y: str, d: str | None = None, x: str | None = None):
    """Return the moments of treatment and control."""

    def state(part):
        one = np.ones(len(part))
        columns = [part[y], part[d] if d else one, part[x] if x else 0 * one, 0 * one]
        return moments.of(np.stack(columns, 1).astype(float).tolist())

    return state(table[table.variant == 1]), state(table[table.variant == 0])


def tea(table: pd.DataFrame) -> Iterator[Line]:
    """Compare with tea-tasting: Welch, the ratio by the delta method, CUPED."""
    import tea_tasting as tt

    found = tt.Experiment(
        mean=tt.Mean("value"),
        ratio=tt.RatioOfMeans("orders", "sessions"),
        cuped=tt.Mean("value", covariate="past"),
    ).analyze(table)
    cases = (
        ("mean", contrasts.plain(*arms(table, "value")), 1e-6),
        ("ratio", contrasts.plain(*arms(table, "orders", "sessions")), 1e-6),
        # Their slope comes from all units together, ours from within the arms.
        ("cuped", contrasts.cuped(*arms(table, "value", None, "past")), 2e-2),
    )
    for name, contrast, tolerance in cases:
        ours, theirs = fixed.welch(contrast, 0.05), found[name]
        yield (
            "tea-tasting",
            f"{name} difference",
            contrast.difference,
            theirs.effect_size,
            tolerance,
        )
        yield (
            "tea-tasting",
            f"{name} low",
            ours.difference.low,
            theirs.effect_size_ci_lower,
            tolerance,
        )
        yield (
            "tea-tasting",
            f"{name} high",
            ours.difference.high,
            theirs.effect_size_ci_upper,
            tolerance,
        )
        yield (
            "tea-tasting",
            f"{name} p",
            ours.p,
            theirs.pvalue,
            50 * tolerance if tolerance > 1e-3 else tolerance,
        )


def growthbook(table: pd.DataFrame) -> Iterator[Line]:
    """Compare with gbstats: the t-test, the confidence sequence, the Bayesian chance to win."""
    from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig
    from gbstats.frequentist.tests import (
        FrequentistConfig,
        SequentialConfig,
        SequentialTwoSidedTTest,
        TwoSidedTTest,
    )
    from gbstats.models.statistics import SampleMeanStatistic

    def statistic(part):
        return SampleMeanStatistic(
            n=len(part), sum=part.value.sum(), sum_squares=(part.value**2).sum()
        )

    pair = statistic(table[table.variant == 0]), statistic(table[table.variant == 1])
    contrast = contrasts.plain(*arms(table, "value"))
    ours = fixed.welch(contrast, 0.05)
    theirs = TwoSidedTTest(*pair, FrequentistConfig(difference_type="absolute")).compute_result()
    yield "gbstats", "mean p", ours.p, theirs.p_value, 1e-6
    yield "gbstats", "mean low", ours.difference.low, theirs.ci[0], 1e-6
    yield "gbstats", "mean high", ours.difference.high, theirs.ci[1], 1e-6
    config = SequentialConfig(difference_type="absolute", sequential_tuning_parameter=5000)
    theirs = SequentialTwoSidedTTest(*pair, config).compute_result()
    watched = sequences.watched(contrast, 0.05, Watch(5000))
    # Uneven arms: ours guards the smaller one, which changes the width by a little.
    yield "gbstats", "sequence low", watched.difference.low, theirs.ci[0], 0.05
    yield "gbstats", "sequence high", watched.difference.high, theirs.ci[1], 0.05
    reach = sequences.multiplier(contrast.n, sequences.mixing(5000, 0.05), 0.05)
    yield (
        "gbstats",
        "sequence width, unguarded",
        2 * reach * contrast.error,
        theirs.ci[1] - theirs.ci[0],
        1e-6,
    )
    belief = posterior.normal(contrast, 0.05)
    theirs = EffectBayesianABTest(
        *pair, EffectBayesianConfig(difference_type="absolute")
    ).compute_result()
    yield "gbstats", "chance to win", belief.chance, theirs.chance_to_win, 1e-6
    yield "gbstats", "risk of control", belief.risk_control, theirs.risk[0], 1e-4


def spotify(table: pd.DataFrame) -> Iterator[Line]:
    """Compare with spotify-confidence: its z-test, which takes the normal curve where ours takes Student's."""
    import spotify_confidence as confidence

    rows = [
        {"variant": str(v), "sum": part.converted.sum(), "n": len(part)}
        for v, part in table.groupby("variant")
    ]
    test = confidence.ZTest(
        pd.DataFrame(rows).astype({"sum": float, "n": float}),
        numerator_column="sum",
        numerator_sum_squares_column="sum",
        denominator_column="n",
        categorical_group_columns=["variant"],
        interval_size=0.95,
    )
    theirs = test.difference(level_1="0", level_2="1")
    contrast = contrasts.plain(*arms(table, "converted"))
    ours = fixed.welch(contrast, 0.05)
    yield (
        "spotify-confidence",
        "difference",
        contrast.difference,
        float(theirs.difference.iloc[0]),
        1e-6,
    )
    for name, value in (("lower", ours.difference.low), ("upper", ours.difference.high)):
        yield "spotify-confidence", name, value, float(theirs[f"ci_{name}"].iloc[0]), 1e-3


def main() -> int:
    table, wrong = frame(), 0
    for compare in (tea, growthbook, spotify):
        for package, figure, ours, theirs, tolerance in compare(table):
            off = abs(ours - theirs) / max(abs(theirs), 1e-12)
            wrong += off > tolerance
            print(
                f"{package:20} {figure:32} {ours:16.10g} {theirs:16.10g}  {off:8.1e}{'  TOO FAR' if off > tolerance else ''}"
            )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
