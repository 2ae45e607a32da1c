"""How often the engine is wrong: false positives, coverage and power under continuous peeking. `make calibrate`.

Draws whole experiments, looks at each 700 times, and counts. Draws and sums are vectorised; how far an interval reaches
at each look comes from the engine itself, and a sample of looks of every scenario goes through the engine whole
and has to agree, else the run fails. Writes docs/calibration.md, with the seed that makes it again.

    python benchmarks/calibrate.py                       # about five minutes on two idle cores
    python benchmarks/calibrate.py --experiments 100 --out -   # a small run, printed
"""

# ruff: noqa: E501  (rows of tables are wide)
import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations_with_replacement
from math import exp, sqrt
from pathlib import Path

import numpy as np
from scipy.special import gammaln
from scipy.stats import norm

from experiments.domain.inference import contrasts, grouped, mismatch, moments, quantiles, sequences
from experiments.domain.inference import fixed as once
from experiments.domain.inference.grouped import Spending
from experiments.domain.inference.sequences import Watch, mixing

LOOKS, PER_LOOK = 700, 20  # units of each arm between two looks
ALPHA, HARM = 0.05, 0.01
CHUNK = 200
Columns = dict[int, np.ndarray]  # those of (y, d, x_y, x_d) that are not the same for all units
Draw = Callable[[np.random.Generator, tuple[int, ...], float], Columns]


@dataclass(frozen=True)
class Scenario:
    """A kind of metric: how units are drawn (…, 4 columns y d x_y x_d), their true mean ratio, and how they are compared."""

    name: str
    draw: Draw
    mean: float
    adjust: str = "plain"
    control_per_look: int = PER_LOOK
    treated_per_look: int = PER_LOOK


def _columns(y, d=None, x=None, x_d=None) -> Columns:
    given = {0: y, 1: d, 2: x, 3: x_d}
    return {at: column.astype(float) for at, column in given.items() if column is not None}


def proportion(rate: float) -> Draw:
    return lambda rng, shape, lift: _columns(rng.random(shape) < rate * (1 + lift))


def normal(rng, shape, lift):
    return _columns(rng.normal(10 * (1 + lift), 4, shape))


def counted(rng, shape, lift):
    return _columns(rng.poisson(rng.gamma(0.7, 2 / 0.7, shape) * (1 + lift)))


def revenue(rng, shape, lift):
    """One unit in ten buys, for a log-normal amount with σ = 1.5: skewness of a unit about 100."""
    return _columns((rng.random(shape) < 0.1) * rng.lognormal(3, 1.5, shape) * (1 + lift))


CAP = exp(3 + 1.5 * 1.2816)  # nine buyers in ten stay below


def capped(rng, shape, lift):
    bought = (rng.random(shape) < 0.1 * (1 + lift)) * np.minimum(rng.lognormal(3, 1.5, shape), CAP)
    return _columns(bought)


def ratio(rng, shape, lift):
    """Clicks per view: views vary by unit, and so does the rate."""
    views = 1 + rng.poisson(rng.gamma(1, 4, shape))
    return _columns(rng.binomial(views, np.minimum(1, rng.beta(2, 18, shape) * (1 + lift))), views)


def step(rng, shape, lift):
    """A step of a funnel: of those who came so far, who goes on."""
    came = rng.random(shape) < 0.3
    return _columns(came & (rng.random(shape) < 0.4 * (1 + lift)), came)


def with_past(rng, shape, lift):
    past = rng.lognormal(2, 0.6, shape)
    return _columns((0.8 * past + rng.normal(3, 2, shape)) * (1 + lift), None, past)


def ratio_with_past(rng, shape, lift):
    own = rng.beta(2, 18, shape)
    views, before = 1 + rng.poisson(rng.gamma(1, 4, (2, *shape)))
    clicks = rng.binomial(views, np.minimum(1, own * (1 + lift)))
    return _columns(clicks, views, rng.binomial(before, own), before)


def _mean_of_capped() -> float:
    top = 1.2816
    body = exp(3 + 1.5**2 / 2) * norm.cdf(top - 1.5)
    return 0.1 * (body + CAP * norm.sf(top))


AMOUNT = 0.1 * exp(3 + 1.5**2 / 2)
PAST = 0.8 * exp(2 + 0.18) + 3
SCENARIOS = (
    Scenario("proportion, 10 %", proportion(0.1), 0.1),
    Scenario("proportion, 1 %", proportion(0.01), 0.01),
    Scenario("proportion, 1 %, split 90/10", proportion(0.01), 0.01, "plain", 36, 4),
    Scenario("retention, 40 %", proportion(0.4), 0.4),
    Scenario("mean, normal", normal, 10.0),
    Scenario("count, overdispersed", counted, 2.0),
    Scenario("revenue, heavy tail", revenue, AMOUNT),
    Scenario("revenue, heavy tail, split 60/40", revenue, AMOUNT, "plain", 24, 16),
    Scenario("revenue, heavy tail, split 90/10", revenue, AMOUNT, "plain", 36, 4),
    Scenario("revenue, heavy tail, split 10/90", revenue, AMOUNT, "plain", 4, 36),
    Scenario("revenue, capped", capped, _mean_of_capped()),
    Scenario("ratio, clicks per view", ratio, 0.1),
    Scenario("funnel step", step, 0.4),
    Scenario("mean, CUPED", with_past, PAST, "cuped"),
    Scenario("mean, regression", with_past, PAST, "regression"),
    Scenario("ratio, CUPED", ratio_with_past, 0.1, "cuped"),
)


@dataclass(frozen=True)
class Looked:
    """Every look of many experiments: estimates and variances, arrays (experiment, look)."""

    n: tuple[np.ndarray, np.ndarray]
    treated: np.ndarray
    control: np.ndarray
    var_treated: np.ndarray
    var_control: np.ndarray
    covariance: np.ndarray

    @property
    def error(self):
        return np.sqrt(np.maximum(0, self.var_treated + self.var_control - 2 * self.covariance))


class Sums:
    """Running sums of one arm, up to every look: count, means and centred second moments of the four columns."""

    def __init__(self, units: Columns, looks: int) -> None:
        shaped = {at: c.reshape(c.shape[0], looks, -1) for at, c in units.items()}
        experiments, _, each = shaped[0].shape
        self.n = np.arange(1, looks + 1) * each
        self.mean = np.zeros((experiments, looks, 4))
        self.mean[..., 1] = 1.0
        self.co = np.zeros((experiments, looks, 4, 4))
        for at, column in shaped.items():
            self.mean[..., at] = np.cumsum(column.sum(2), 1) / self.n
        for i, j in combinations_with_replacement(shaped, 2):
            raw = np.cumsum(np.einsum("elu,elu->el", shaped[i], shaped[j]), 1)
            self.co[..., i, j] = self.co[..., j, i] = (
                raw - self.mean[..., i] * self.mean[..., j] * self.n
            )

    def score(self):
        below = np.where(self.mean[..., 1] == 0, 1e-9, self.mean[..., 1])
        ratio = self.mean[..., 0] / below
        vector = np.stack([np.ones_like(ratio), -ratio], -1) / below[..., None]
        own = np.einsum("eli,elij,elj->el", vector, self.co[..., :2, :2], vector)
        past = np.einsum("eli,elij->elj", vector, self.co[..., :2, 2:])
        return ratio, np.maximum(own, 0), past, self.co[..., 2:, 2:]


def _slope(past, with_past):
    """Solve for the slope, leaving out a covariate that never varies."""
    yy, yd, dd = past[..., 0, 0], past[..., 0, 1], past[..., 1, 1]
    whole = yy * dd - yd**2
    both = whole > 1e-9 * np.maximum(yy * dd, 1e-300)
    safe, safe_yy = np.where(both, whole, 1), np.where(yy > 0, yy, 1)
    p, q = with_past[..., 0], with_past[..., 1]
    first = np.where(both, (p * dd - q * yd) / safe, np.where(yy > 0, p / safe_yy, 0))
    return np.stack([first, np.where(both, (q * yy - p * yd) / safe, 0)], -1)


def looked(scenario: Scenario, treated: Sums, control: Sums) -> Looked:
    """Compute all looks at once, as `contrasts` computes one."""
    (r, s, w, x), (q, u, v, z) = treated.score(), control.score()
    n, m = treated.n, control.n
    if scenario.adjust == "plain":
        zero = np.zeros_like(r)
        return Looked((n, m), r, q, s / (n - 1) / n, u / (m - 1) / m, zero)
    if scenario.adjust == "cuped":
        a = b = _slope(x + z, w + v)
        lost = np.zeros((2, *a.shape[:-1]))
    else:
        a, b = _slope(x, w), _slope(z, v)
        lost = np.stack([(a != 0).sum(-1), (b != 0).sum(-1)])
    pooled = (x + z) / (n + m - 2)[:, None, None]
    past_t, past_c = treated.mean[..., 2:], control.mean[..., 2:]
    centre = (past_t * n[:, None] + past_c * m[:, None]) / (n + m)[:, None]

    def product(left, matrix, right):
        return np.einsum("eli,elij,elj->el", left, matrix, right)

    own_t = s - 2 * (a * w).sum(-1) + product(a, x, a)
    own_c = u - 2 * (b * v).sum(-1) + product(b, z, b)
    return Looked(
        (n, m),
        r - (a * (past_t - centre)).sum(-1),
        q - (b * (past_c - centre)).sum(-1),
        own_t / (n - 1 - lost[0]) / n + product(a, pooled, a) / (n + m),
        own_c / (m - 1 - lost[1]) / m + product(b, pooled, b) / (n + m),
        product(a, pooled, b) / (n + m),
    )


def drawn(scenario, rng, experiments, lift, *, check=False):
    """Draw experiments and return all their looks; where asked, the engine has to agree on some of the first's."""
    treated = scenario.draw(rng, (experiments, LOOKS * scenario.treated_per_look), lift)
    control = scenario.draw(rng, (experiments, LOOKS * scenario.control_per_look), 0.0)
    seen = looked(scenario, Sums(treated, LOOKS), Sums(control, LOOKS))
    if check:
        _agrees(scenario, seen, treated, control)
    return seen


def _units(columns: Columns, n: int) -> list[list[float]]:
    whole = np.zeros((n, 4))
    whole[:, 1] = 1.0
    for at, column in columns.items():
        whole[:, at] = column[0, :n]
    return whole.tolist()


def _agrees(scenario, seen, treated, control) -> None:
    """Put a few looks through the engine, unit by unit, and compare."""
    compare = getattr(contrasts, scenario.adjust)
    for look in (LOOKS // 3, LOOKS - 1):
        t = moments.of(_units(treated, int(seen.n[0][look])))
        c = moments.of(_units(control, int(seen.n[1][look])))
        contrast = compare(t, c)
        ours = (contrast.difference, contrast.error, contrast.var_control, contrast.covariance)
        theirs = (
            seen.treated[0, look] - seen.control[0, look],
            seen.error[0, look],
            seen.var_control[0, look],
            seen.covariance[0, look],
        )
        if not np.allclose(ours, theirs, rtol=1e-6, atol=1e-12):
            raise SystemExit(
                f"{scenario.name}: the simulation and the engine disagree: {ours} {theirs}"
            )


def guarded(seen: Looked) -> Looked:
    """Do for all looks what `intervals.guarded` does for one."""
    n, m = seen.n
    if n[0] == m[0]:
        return seen
    treated, control = seen.var_treated * n, seen.var_control * m
    pooled = (treated * n + control * m) / (n + m)
    if n[0] < m[0]:
        return replace(seen, var_treated=np.maximum(treated, pooled) / n)
    return replace(seen, var_control=np.maximum(control, pooled) / m)


def reach(n, alpha, tuned) -> np.ndarray:
    """Return the engine's multiplier at every look; infinite before the burn-in."""
    rho2 = mixing(tuned, alpha)
    burn = Watch().burn_in
    return np.array(
        [
            sequences.multiplier(int(a + b), rho2, alpha) if min(a, b) >= burn else np.inf
            for a, b in zip(*n, strict=True)
        ]
    )


def outside(seen: Looked, ratio: float, shift: float, multiplier: np.ndarray) -> np.ndarray:
    """Tell which looks exclude treated = ratio · control + shift."""
    gap = np.abs(seen.treated - ratio * seen.control - shift)
    error = seen.var_treated + ratio**2 * seen.var_control - 2 * ratio * seen.covariance
    with np.errstate(invalid="ignore"):
        return (
            (gap > multiplier * np.sqrt(np.maximum(error, 0)))
            & (error > 0)
            & np.isfinite(multiplier)
        )


def unbounded(seen: Looked, multiplier):
    with np.errstate(invalid="ignore"):
        return ~(seen.control**2 > multiplier**2 * seen.var_control)


def naive_lift(seen: Looked, multiplier):
    """The usual relative interval: delta method at the estimate, not an inversion."""
    below = np.where(seen.control == 0, 1e-9, np.abs(seen.control))
    ratio = seen.treated / below
    error = np.sqrt(seen.var_treated + ratio**2 * seen.var_control) / below
    far = np.abs(ratio - 1) > np.where(np.isfinite(multiplier), multiplier, 1e100) * error
    return far & (error > 0) & (seen.control != 0)


def _effect(scenario: Scenario, rng) -> float:
    """Return the lift that a fixed test of all units shows with a chance of 80 %."""
    sample = Scenario(
        scenario.name,
        scenario.draw,
        scenario.mean,
        scenario.adjust,
        scenario.control_per_look * LOOKS,
        scenario.treated_per_look * LOOKS,
    )
    errors = [
        looked(
            sample,
            Sums(sample.draw(rng, (5, sample.treated_per_look), 0.0), 1),
            Sums(sample.draw(rng, (5, sample.control_per_look), 0.0), 1),
        ).error.mean()
        for _ in range(8)
    ]
    return (norm.isf(ALPHA / 2) + norm.ppf(0.8)) * float(np.mean(errors)) / scenario.mean


def watched(job: tuple[int, int, int]) -> dict:
    """Count for one kind of metric."""
    at, experiments, seed = job
    scenario = SCENARIOS[at]
    rng = np.random.default_rng([seed, at])
    lift = _effect(scenario, rng)
    counts: dict[str, float] = {}
    for begin in range(0, experiments, CHUNK):
        size = min(CHUNK, experiments - begin)
        for key, value in _chunk(scenario, rng, size, lift, check=not begin).items():
            counts[key] = counts.get(key, 0) + value
    return {"name": scenario.name, "lift": lift, **{k: v / experiments for k, v in counts.items()}}


def _z(seen: Looked) -> np.ndarray:
    error = seen.error
    return (seen.treated - seen.control) / np.where(error > 0, error, np.inf)


def _chunk(scenario, rng, size, lift, *, check) -> dict[str, float]:
    plain = drawn(scenario, rng, size, 0.0, check=check)
    bare = drawn(scenario, rng, size, lift, check=check)
    null, real = guarded(plain), guarded(bare)
    tuned = int(null.n[0][-1] + null.n[1][-1])
    q = reach(null.n, ALPHA, tuned)
    harm = np.array(
        [
            sequences.one_sided_multiplier(int(a + b), mixing(tuned, 2 * HARM), HARM)
            if min(a, b) >= Watch().burn_in
            else np.inf
            for a, b in zip(*null.n, strict=True)
        ]
    )
    z = _z(null)
    true = lift * scenario.mean
    shown = outside(real, 1.0, 0.0, q) & (real.treated > real.control)
    fixed = _z(bare)[:, -1] > norm.isf(ALPHA / 2)
    return {
        "difference": outside(null, 1.0, 0.0, q).any(1).sum(),
        "lift fp": (outside(null, 1.0, 0.0, q) & ~unbounded(null, q)).any(1).sum(),
        "covers": (~outside(real, 1.0, true, q).any(1)).sum(),
        "covers lift": (~(outside(real, 1 + lift, 0.0, q) & ~unbounded(real, q)).any(1)).sum(),
        "harm": (z < -harm).any(1).sum(),
        "power": shown.any(1).sum(),
        "power fixed": fixed.sum(),
        "peeked": (np.abs(_z(plain)[:, 4:]) > norm.isf(ALPHA / 2)).any(1).sum(),
        "naive": naive_lift(plain, q).any(1).sum(),
    }


def grouped_row(job: tuple[int, int, int]) -> dict:
    """Count for 14 planned looks; the boundaries are the engine's."""
    at, experiments, seed = job
    scenario = SCENARIOS[at]
    rng = np.random.default_rng([seed, 1000 + at])
    lift = _effect(scenario, rng)
    looks = tuple((k + 1) / 14 for k in range(14))
    edges = np.array(grouped.boundaries(looks, ALPHA, Spending.OBRIEN_FLEMING))
    at_looks = [LOOKS * (k + 1) // 14 - 1 for k in range(14)]
    found = {"fp": 0, "power": 0, "fixed": 0, "early": 0.0}
    for begin in range(0, experiments, CHUNK):
        size = min(CHUNK, experiments - begin)
        for key, value in (("fp", 0.0), ("power", lift)):
            seen = drawn(scenario, rng, size, value)
            gap, error = (seen.treated - seen.control)[:, at_looks], seen.error[:, at_looks]
            crossed = (np.abs(gap) > edges * error) & (error > 0)
            if value:
                found["fixed"] += int(
                    (np.abs(gap[:, -1]) > norm.isf(ALPHA / 2) * error[:, -1]).sum()
                )
                found["early"] += np.where(crossed.any(1), (crossed.argmax(1) + 1) / 14, 1).sum()
            found[key] += int(crossed.any(1).sum())
    return {"name": scenario.name, **{k: v / experiments for k, v in found.items()}}


def _refutes(arm, p, strength, enough, rank) -> bool:
    return quantiles.evidence(arm, rank, p, strength) >= enough


def quantile_row(job: tuple[float, int, int]) -> dict:
    """Count experiments in which the sequence of either arm ever misses the true quantile: no fewer than false positives.

    A difference at α gives each arm α/2. Units are uniform, since only ranks matter.
    """
    p, experiments, seed = job
    rng = np.random.default_rng([seed, 2000, int(p * 1000)])
    n = np.arange(1, LOOKS + 1) * PER_LOOK
    strength = 1 / mixing(int(n[-1]) * 2, ALPHA)
    enough = np.log(4 / ALPHA)
    high, low = [], []
    for size in n:
        arm = quantiles.Ordered(int(size), float)
        high.append(quantiles.first(arm, partial(_refutes, arm, p, strength, enough)))
        low.append(quantiles.first(arm, partial(_refutes, arm, 1 - p, strength, enough)))
    missed = 0
    for _ in range(0, experiments, CHUNK):
        below = (rng.random((2, CHUNK, LOOKS, PER_LOOK)) < p).sum(-1).cumsum(-1)
        out = (below >= np.array(high)) | (n - below >= np.array(low))
        missed += int(out.any((0, 2)).sum())
    done = -(-experiments // CHUNK) * CHUNK
    return {"name": f"quantile, p{100 * p:g}", "missed": missed / done}


def split_row(job: tuple[str, float, int, int]) -> dict:
    """Count alarms about the traffic split, 700 looks each, and how many units an alarm takes."""
    name, share, experiments, seed = job
    rng = np.random.default_rng([seed, 3000, int(share * 1e6)])
    planned, per = 0.5, 200
    c = mismatch.CONCENTRATION
    alarms, units = 0, []
    for _ in range(0, experiments, 1000):
        hits = rng.binomial(per, share, (1000, LOOKS)).cumsum(1)
        n = np.arange(1, LOOKS + 1) * per
        log_e = (
            gammaln(c)
            - gammaln(c + n)
            + gammaln(c * planned + hits)
            - gammaln(c * planned)
            + gammaln(c * (1 - planned) + n - hits)
            - gammaln(c * (1 - planned))
            - n * np.log(0.5)
        )
        one = mismatch.split([mismatch.Phase((int(hits[0, -1]), int(n[-1] - hits[0, -1])), (1, 1))])
        if not np.isclose(one.log_e, log_e[0, -1], rtol=1e-9, atol=1e-6):
            raise SystemExit("split: the simulation and the engine disagree")
        alarm = np.exp(np.minimum(0, -log_e)) <= mismatch.ALARM
        alarms += int(alarm.any(1).sum())
        units += n[alarm.argmax(1)][alarm.any(1)].tolist()
    done = -(-experiments // 1000) * 1000
    return {
        "name": name,
        "alarms": alarms / done,
        "units": float(np.median(units)) if units else None,
    }


def small_row(job: tuple[int, float, int, int]) -> dict:
    """Count for one look at few conversions: Newcombe's intervals, exactly as the engine chooses them."""
    n, rate, experiments, seed = job
    rng = np.random.default_rng([seed, 4000, n])
    hits = rng.binomial(n, [[rate], [rate]], (2, experiments))
    covered = lift = falsely = 0
    cache: dict[tuple[int, int], tuple[bool, bool, bool]] = {}
    for pair in zip(*hits.tolist(), strict=True):
        if pair not in cache:
            e = once.newcombe(once.Counts(pair[0], n, pair[1], n), ALPHA)
            cache[pair] = (e.difference.holds(0), e.lift.holds(0), e.p <= ALPHA)
        got = cache[pair]
        covered, lift, falsely = covered + got[0], lift + got[1], falsely + got[2]
    return {
        "name": f"proportion {rate:.1%} of {n}",
        "difference": covered / experiments,
        "lift": lift / experiments,
        "fp": falsely / experiments,
    }


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f} %"


def _within(rate: float, limit: float, experiments: int) -> bool:
    """Tell whether a counted rate may be the limit or less: three standard errors of room."""
    return rate <= limit + 3 * sqrt(limit * (1 - limit) / experiments)


def page(rows: dict[str, list[dict]], args, seconds: float) -> str:
    """Write the tables."""
    noise = 100 * sqrt(0.05 * 0.95 / args.experiments)
    lines = [
        "# Calibration: how often the engine is wrong",
        "",
        "Made by `make calibrate` (`benchmarks/calibrate.py`); nothing here is typed by hand.",
        f"Seed {args.seed}, {args.experiments:,} experiments a row, {LOOKS} looks each, {PER_LOOK} more units of each arm",
        f"between two looks ({LOOKS * PER_LOOK * 2:,} units at the end); α = 5 %, harm 1 %, burn-in {Watch().burn_in} units of each arm.",
        f"A count of 5 % has a standard error of {noise:.1f} points. {seconds:.0f} s on {os.cpu_count()} cores.",
        "",
        "## Watched all the time",
        "",
        "The asymptotic confidence sequence, looked at 700 times. *False positives*: A/A experiments in which 0 was ever",
        "excluded. *Coverage*: experiments with a true effect whose interval held it at every look. *Harm*: A/A experiments",
        "ever said to be harmed (limit 1 %). *Power*: at an effect that one look at the end shows with a chance of 80 %",
        "(the count of that beside it).",
        "",
        "| metric | true lift | false positives | of the lift | coverage | of the lift | harm | power | fixed test |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {r['name']} | {_percent(r['lift'])} | {_percent(r['difference'])} | {_percent(r['lift fp'])} "
            f"| {_percent(r['covers'])} | {_percent(r['covers lift'])} | {_percent(r['harm'])} | {_percent(r['power'])} "
            f"| {_percent(r['power fixed'])} |"
            for r in rows["watched"]
        ),
        "",
        "The same experiments under two usual practices, for comparison: a fixed-size test looked at 700 times, and the",
        "relative lift by the delta method with the sequence's own multiplier.",
        "",
        "| metric | false positives, peeking at a fixed test | lift by the delta method |",
        "|---|---|---|",
        *(
            f"| {r['name']} | {_percent(r['peeked'])} | {_percent(r['naive'])} |"
            for r in rows["watched"]
        ),
        "",
        "Quantiles are watched by ranks (no burn-in); counted is a miss of the true quantile by either arm at any look, of",
        "which a false positive is one case.",
        "",
        "| metric | missed |",
        "|---|---|",
        *(f"| {r['name']} | {_percent(r['missed'])} |" for r in rows["quantile"]),
        "",
        "## Fourteen planned looks",
        "",
        "Group sequential, spending after O'Brien & Fleming. *Ended at*: mean share of the planned units.",
        "",
        "The design asks for a power of 76 % where a fixed test of the same data has 80 %. A row's effect is one that theory gives 80 %, and the fixed test",
        "itself misses that in rows of rare or heavy-tailed values: read the power beside it. Counts below 76 % or above 5 % within two standard errors",
        "(2.2 points of false positives, 4.3 of power) are what 400 experiments can tell.",
        "",
        "| metric | false positives | power | fixed test | ended at |",
        "|---|---|---|---|---|",
        *(
            f"| {r['name']} | {_percent(r['fp'])} | {_percent(r['power'])} | {_percent(r['fixed'])} | {_percent(r['early'], 0)} |"
            for r in rows["grouped"]
        ),
        "",
        "## Traffic split",
        "",
        f"Planned 50/50, {LOOKS} looks at 200 units each, alarm at {mismatch.ALARM:.1%}.",
        "",
        "| true split | alarms | units until the alarm (median) |",
        "|---|---|---|",
        *(
            f"| {r['name']} | {_percent(r['alarms'], 3)} | {'' if r['units'] is None else format(int(r['units']), ',')} |"
            for r in rows["split"]
        ),
        "",
        "## Few conversions, one look",
        "",
        "| metric | coverage | of the lift | false positives |",
        "|---|---|---|---|",
        *(
            f"| {r['name']} | {_percent(r['difference'])} | {_percent(r['lift'])} | {_percent(r['fp'])} |"
            for r in rows["small"]
        ),
        "",
    ]
    return "\n".join(lines)


def broken(rows: dict[str, list[dict]], experiments: int) -> list[str]:
    """Return the limits of the design page that do not hold."""
    found = [
        *(
            (r["name"], key, r[key], ALPHA)
            for r in rows["watched"]
            for key in ("difference", "lift fp")
        ),
        *(
            (r["name"], key, 1 - r[key], ALPHA)
            for r in rows["watched"]
            for key in ("covers", "covers lift")
        ),
        *((r["name"], "harm", r["harm"], HARM) for r in rows["watched"]),
        *((r["name"], "missed", r["missed"], ALPHA) for r in rows["quantile"]),
        *((r["name"], "planned looks", r["fp"], ALPHA) for r in rows["grouped"]),
        *(
            (r["name"], "power lost", (r["fixed"] - r["power"]) / r["fixed"], 0.05)
            for r in rows["grouped"]
        ),
        (rows["split"][0]["name"], "false alarms", rows["split"][0]["alarms"], mismatch.ALARM),
    ]
    return [
        f"{name}: {what} {rate:.4f} > {limit}"
        for name, what, rate, limit in found
        if not _within(rate, limit, experiments)
    ]


def jobs(args) -> dict[str, tuple[Callable, list]]:
    n, seed = args.experiments, args.seed
    planned = [
        at
        for at, s in enumerate(SCENARIOS)
        if s.name in ("proportion, 10 %", "mean, normal", "revenue, heavy tail", "mean, CUPED")
    ]
    return {
        "watched": (watched, [(at, n, seed) for at in range(len(SCENARIOS))]),
        "quantile": (quantile_row, [(p, n, seed) for p in (0.5, 0.95, 0.99)]),
        "grouped": (grouped_row, [(at, n, seed) for at in planned]),
        "split": (
            split_row,
            [
                (f"{100 * s:g}/{100 - 100 * s:g}", s, 10 * n if s == 0.5 else n, seed)
                for s in (0.5, 0.505, 0.51)
            ],
        ),
        "small": (
            small_row,
            [(*pair, 20 * n, seed) for pair in ((200, 0.02), (1000, 0.005), (50, 0.1))],
        ),
    }


def run(args) -> tuple[str, list[str]]:
    """Run all rows, and return the page and the limits that do not hold."""
    begun = time.perf_counter()
    with ProcessPoolExecutor(args.processes) as pool:
        coming = {
            key: [pool.submit(row, job) for job in todo] for key, (row, todo) in jobs(args).items()
        }
        rows = {key: [f.result() for f in futures] for key, futures in coming.items()}
    return page(rows, args, time.perf_counter() - begun), broken(rows, args.experiments)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20260)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", default=str(Path(__file__).parents[1] / "docs/calibration.md"))
    args = parser.parse_args(argv)
    text, told = run(args)
    if args.out == "-":
        print(text)
    else:
        Path(args.out).write_text(text)
    for line in told:
        print(f"limit broken: {line}", file=sys.stderr)
    return 1 if told else 0


if __name__ == "__main__":
    raise SystemExit(main())
