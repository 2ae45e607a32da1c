"""What a comparison is made from and what it answers: arms, their contrast, an interval, the relative lift.

Every metric comes down to a `Contrast`: two estimates with their variances and the covariance that an adjustment gives
them. A method then supplies one number, the multiplier of the standard error, and both intervals follow from it.
"""

from dataclasses import dataclass, field, replace
from math import inf, sqrt


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a quantity may be. The whole line means: nothing is known."""

    low: float
    high: float

    @property
    def bounded(self) -> bool:
        """Whether anything is known at both ends."""
        return self.low > -inf and self.high < inf

    def holds(self, value: float) -> bool:
        """Tell whether a value is in the interval."""
        return self.low <= value <= self.high


EVERYTHING = Interval(-inf, inf)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Treatment against control: estimates, their variances (squared standard errors), covariance, degrees of freedom.

    `df` is 0 where nothing can be inferred: too few units, no variation, or no denominator.
    """

    treated: float
    control: float
    var_treated: float
    var_control: float
    covariance: float
    n_treated: int
    n_control: int
    df: float
    error: float = field(init=False)  # standard error of the difference

    def __post_init__(self) -> None:
        square = self.var_treated + self.var_control - 2 * self.covariance
        object.__setattr__(self, "error", sqrt(square) if square > 0 else 0.0)

    @property
    def difference(self) -> float:
        """Return treatment minus control."""
        return self.treated - self.control

    @property
    def n(self) -> int:
        """Return the units of both arms."""
        return self.n_treated + self.n_control

    @property
    def z(self) -> float:
        """Return the difference in standard errors; 0 where nothing can be inferred."""
        return self.difference / self.error if self.informative else 0.0

    @property
    def informative(self) -> bool:
        """Whether there is anything to infer from."""
        return self.df > 0 and self.error > 0

    @property
    def lift(self) -> float | None:
        """Return the difference relative to the size of the control; None where that is nothing."""
        return self.difference / abs(self.control) if self.control else None


def scaled(contrast: Contrast, factor: float) -> Contrast:
    """Return treatment against so many times the control: what is tested where a part of it may be lost."""
    return Contrast(
        contrast.treated,
        contrast.control * factor,
        contrast.var_treated,
        contrast.var_control * factor * factor,
        contrast.covariance * factor,
        contrast.n_treated,
        contrast.n_control,
        contrast.df,
    )


def turned(contrast: Contrast) -> Contrast:
    """Return the contrast of a metric where less is better, so that more of it is better."""
    return replace(contrast, treated=-contrast.treated, control=-contrast.control)


def guarded(contrast: Contrast) -> Contrast:
    """Return the contrast with the smaller arm's variance at least that of all units together.

    In a small arm of a heavy-tailed metric the few large values decide mean and variance alike: as long as none has
    come, both are too low and the difference looks certain. The larger arm knows better (ADR 0042). Alike arms change
    nothing, and where the smaller arm varies more its own variance stands.
    """
    if contrast.n_treated == contrast.n_control or not contrast.informative:
        return contrast
    treated, control = (
        contrast.var_treated * contrast.n_treated,
        contrast.var_control * contrast.n_control,
    )
    pooled = (treated * contrast.n_treated + control * contrast.n_control) / contrast.n
    if contrast.n_treated < contrast.n_control:
        return replace(contrast, var_treated=max(treated, pooled) / contrast.n_treated)
    return replace(contrast, var_control=max(control, pooled) / contrast.n_control)


def absolute(contrast: Contrast, multiplier: float) -> Interval:
    """Return the interval of the difference that reaches so many standard errors to both sides."""
    if not contrast.informative:
        return EVERYTHING
    reach = multiplier * contrast.error
    return Interval(contrast.difference - reach, contrast.difference + reach)


_ROUNDING = 5e-10


def relative(contrast: Contrast, multiplier: float) -> Interval:
    """Return the interval of the relative lift by inversion (Fieller 1954, "Some problems in interval estimation",
    JRSS B 16, eq. 9 as a quadratic in the ratio): all ρ with |m_t − ρ m_c| ≤ q·√(v_t + ρ² v_c − 2ρ·cov).

    At ρ = 1 this is the test of the difference, so a bounded lift excludes 0 exactly when the difference does, with
    a fixed multiplier and with one of a confidence sequence alike. The whole line where the control is not told from 0.
    """
    lead = contrast.control**2 - multiplier**2 * contrast.var_control
    # What is left by rounding alone tells the control from 0 no more than nothing does.
    if not contrast.informative or not lead > _ROUNDING * contrast.control**2:
        return EVERYTHING
    middle = contrast.treated * contrast.control - multiplier**2 * contrast.covariance
    root = multiplier * sqrt(max(0.0, _inside(contrast, multiplier)))
    low, high = (middle - root) / lead - 1, (middle + root) / lead - 1
    return Interval(low, high) if contrast.control > 0 else Interval(-high, -low)


def _inside(c: Contrast, multiplier: float) -> float:
    """Return the quadratic's discriminant over q², in the form that does not cancel."""
    spread = c.var_treated * c.var_control - c.covariance**2
    cross = c.treated**2 * c.var_control + c.control**2 * c.var_treated
    return cross - 2 * c.treated * c.control * c.covariance - multiplier**2 * spread
