"""What was settled before the start: the metrics, their roles, the error rates, and when results may be believed."""

from dataclasses import dataclass
from enum import StrEnum

from experiments.domain.errors import BadPlan
from experiments.domain.inference.grouped import Spending, check_looks
from experiments.domain.inference.sequences import BURN_IN, TUNED, Watch


class Role(StrEnum):
    """What a metric is there for."""

    SUCCESS = "success"
    GUARDRAIL = "guardrail"
    INFORMATION = "information"


class Adjustment(StrEnum):
    """How the past of the units is used."""

    NONE = "none"
    CUPED = "cuped"
    REGRESSION = "regression"


class Method(StrEnum):
    """Which method decides: one look at the end, planned looks, or any look at all."""

    FIXED = "fixed"
    GROUPED = "grouped"
    WATCHED = "watched"


class Correction(StrEnum):
    """How the error rate is kept over several success metrics and treatments."""

    SPLIT = "split"
    HOLM = "holm"
    BENJAMINI_HOCHBERG = "benjamini_hochberg"
    E_BENJAMINI_HOCHBERG = "e_benjamini_hochberg"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPlan:
    """One metric: its role, which way is better, the relative loss a guardrail may take, the relative effect to see.

    `proportion`: each unit gives 0 or 1, so that small counts and the Beta view are exact. `quantile`: the metric is
    this quantile of what units give, not their mean. A guardrail without a margin only must not be shown to be worse.
    """

    key: str
    role: Role = Role.SUCCESS
    more_is_better: bool = True
    margin: float = 0.0
    effect: float = 0.0
    weight: float = 1.0
    adjustment: Adjustment = Adjustment.NONE
    proportion: bool = False
    quantile: float | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.margin < 1 and self.effect >= 0 and self.weight > 0):
            raise BadPlan(
                f"metric {self.key!r}: margin in [0, 1), effect not negative, weight above 0"
            )
        if self.quantile is not None and not 0 < self.quantile < 1:
            raise BadPlan(f"metric {self.key!r}: a quantile lies between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of an analysis. `looks` are the information fractions of the planned looks that have been taken."""

    metrics: tuple[MetricPlan, ...]
    alpha: float = 0.05
    harm_alpha: float = 0.01
    method: Method = Method.WATCHED
    correction: Correction = Correction.SPLIT
    spending: Spending = Spending.OBRIEN_FLEMING
    looks: tuple[float, ...] = (1.0,)
    units: int = 0  # planned, of all variants; 0: open-ended
    burn_in: int = BURN_IN

    def __post_init__(self) -> None:
        if not (0 < self.alpha <= 0.5 and 0 < self.harm_alpha <= 0.5):
            raise BadPlan("an error rate lies in (0, 0.5]")
        if len({m.key for m in self.metrics}) < len(self.metrics):
            raise BadPlan("each metric can be in a plan once")
        check_looks(self.looks)
        if self.correction is Correction.E_BENJAMINI_HOCHBERG and self.method is not Method.WATCHED:
            raise BadPlan("e-values exist for the watched method only")

    def successes(self) -> tuple[MetricPlan, ...]:
        """Return the metrics of which one must be better."""
        return tuple(m for m in self.metrics if m.role is Role.SUCCESS)

    def watch(self, variants: int) -> Watch:
        """Return how one treatment and the control are watched: tuned for their part of the planned units."""
        return Watch((self.units * 2 // variants) or TUNED, self.burn_in)

    def level(self, metric: MetricPlan, treatments: int) -> float:
        """Return the metric's part of the error rate: success metrics share it by weight and by treatment."""
        total = sum(m.weight for m in self.successes())
        if metric.role is not Role.SUCCESS:
            return self.alpha / treatments
        return self.alpha * metric.weight / total / treatments
