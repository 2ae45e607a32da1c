"""What clients get of a result. Whatever is not known, such as the end of an unbounded interval, is null."""

from datetime import datetime
from uuid import UUID

from chassis.http import View
from experiments.domain.experiment import Status
from experiments.domain.inference.plans import Role


class IntervalView(View):
    """Where a quantity may be."""

    low: float | None
    high: float | None


class EvidenceView(View):
    """What one method says: two-sided p-value, interval of the difference, and of the relative lift."""

    p_value: float
    difference: IntervalView
    lift: IntervalView


class ArmView(View):
    """One variant in one metric; no value while nobody is in it."""

    variant: str
    units: int
    value: float | None


class ComparisonView(View):
    """One treatment against control in one metric. `p_value` and both intervals are those of the method that decides.

    `significant` and `state` (harmed, better, worse, not inferior, unproven, open) are by its correction and in its
    time, as the sentence is: before a fixed test ends, and before the first planned look, nothing is but harm. The
    intervals are at `level`, the metric's share of the error rate; a correction over all metrics may say more than one.
    `harm_p_value` is always valid; `non_inferiority_p_value` there for a guardrail with a margin. While nobody is in
    one of the two there is no difference, lift, chance or loss.
    """

    variant: str
    difference: float | None
    lift: float | None
    difference_interval: IntervalView
    lift_interval: IntervalView
    p_value: float
    significant: bool
    level: float
    chance_to_win: float | None
    expected_loss: float | None
    power: float | None
    harm_p_value: float
    non_inferiority_p_value: float | None
    state: str
    fixed: EvidenceView
    sequential: EvidenceView
    planned: EvidenceView | None


class MetricResultView(View):
    """One metric of all variants."""

    key: str
    role: Role
    more_is_better: bool
    margin: float
    arms: list[ArmView]
    comparisons: list[ComparisonView]


class SplitView(View):
    """Whether the traffic is split as planned, in all phases together."""

    wrong: bool
    p_value: float
    p_value_once: float
    seen: dict[str, int]
    expected: dict[str, float]


class DecisionView(View):
    """What to do: `ship`, `keep running`, `stop`, `do not ship` or `do not act`; in one sentence, and about whom."""

    verdict: str
    sentence: str
    variant: str | None


class BreakdownPartView(View):
    """The units with one value of a dimension; `rest`: those with all values beyond the first 100, `value` is empty."""

    value: str
    rest: bool
    units: int
    metrics: list[MetricResultView]


class DiffersView(View):
    """Whether a metric has one effect in all values of a dimension (Cochran's Q): small `p_value`, it has not."""

    metric: str
    variant: str
    q: float
    p_value: float
    i2: float


class BreakdownView(View):
    """A result by the values of a dimension, those with most units first."""

    dimension: str
    parts: list[BreakdownPartView]
    heterogeneity: list[DiffersView]


class ResultView(View):
    """What is known of an experiment. `missing`: metrics it names that are not measured. `crossed`: units in none.

    What units did from `closes_at` on does not count: the end, or its date; null while there is neither.
    """

    experiment_id: UUID
    experiment_key: str
    status: Status
    at: datetime
    decision: DecisionView
    method: str
    alpha: float
    plan_hash: str
    units: int
    planned_units: int | None
    crossed: int
    split: SplitView | None
    harmed_guardrails: list[str]
    metrics: list[MetricResultView]
    missing: list[str]
    correction: str
    closes_at: datetime | None
    dimensions: list[str] | None = None
    breakdown: BreakdownView | None = None


class PointView(View):
    """One treatment in one metric, by the end of a day."""

    metric: str
    variant: str
    difference: float | None
    lift: float | None
    difference_interval: IntervalView
    lift_interval: IntervalView


class DayView(View):
    """What is known now of the units that were exposed until the end of this day."""

    day: str
    units: dict[str, int]
    points: list[PointView]


class TimeseriesView(View):
    """A result as its units came in."""

    experiment_id: UUID
    experiment_key: str
    days: list[DayView]
