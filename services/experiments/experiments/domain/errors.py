"""What can go wrong with an experiment."""

from chassis.errors import Conflict, Forbidden, Invalid, NotFound, Stale, TooLarge, Unavailable


class ExperimentNotFound(NotFound):
    """There is no such experiment in the caller's tenant."""

    code = "experiments.not_found"


class KeyTaken(Conflict):
    """Another experiment of the tenant has this key; choose another one, or delete that one."""

    code = "experiments.key_taken"


class BadKey(Invalid):
    """The key reads like an id, so that a path with it would mean two things."""

    code = "experiments.bad_key"


class BadVariants(Invalid):
    """The variants are not two to twenty with different keys, or their weights do not add up to 100000."""

    code = "experiments.bad_variants"


class WrongState(Conflict):
    """The experiment's state does not allow this; the message says what it allows."""

    code = "experiments.wrong_state"


class PlanFrozen(Conflict):
    """Unit, flag, environment and variants (not their weights) are settled by the start, metrics by the first data.

    Make a new experiment.
    """

    code = "experiments.plan_frozen"


class ScheduleOver(Conflict):
    """The end date has passed, so the experiment cannot run; change or remove the schedule first."""

    code = "experiments.schedule_over"


class BadSchedule(Invalid):
    """The dates contradict each other or the clock: the end is in the past, or not an hour after the start."""

    code = "experiments.bad_schedule"


class UnknownTimeZone(Invalid):
    """The time zone is not a name of the IANA database, such as `Europe/Berlin`."""

    code = "experiments.unknown_time_zone"


class BadDate(Invalid):
    """The date is none that exists on the calendar."""

    code = "experiments.bad_date"


class SkippedTime(Invalid):
    """The clocks of the time zone jump over this wall-clock time; choose one before or after the jump."""

    code = "experiments.skipped_time"


class RepeatedTime(Invalid):
    """The clocks of the time zone show this time twice; say with `fold` which, `first` or `second`."""

    code = "experiments.repeated_time"


class VersionStale(Stale):
    """The experiment was changed since the version that `If-Match` names; read it again."""

    code = "experiments.stale"


class ChangedMeanwhile(Conflict):
    """Somebody else changed the experiment at the same moment; try again."""

    code = "experiments.changed_meanwhile"


class MetricNotFound(NotFound):
    """There is no such metric in the caller's tenant."""

    code = "experiments.metric_not_found"


class MetricKeyTaken(Conflict):
    """Another metric of the tenant has this key; choose another one, or delete that one."""

    code = "experiments.metric_key_taken"


class BadMetric(Invalid):
    """The definition of the metric contradicts itself; the message says what must hold."""

    code = "experiments.bad_metric"


class MetricInUse(Conflict):
    """A running experiment measures this metric; complete it first. The message names the experiments."""

    code = "experiments.metric_in_use"


class MetricStale(Stale):
    """The metric was changed since the version that `If-Match` names; read it again."""

    code = "experiments.metric_stale"


class BadValue(Invalid):
    """A value to measure is not a finite number, or larger than 1e18 in size; send one that can be measured."""

    code = "experiments.bad_value"


class BadPlan(Invalid):
    """The plan of an analysis contradicts itself, such as an error rate above 0.5; the message says what must hold."""

    code = "experiments.bad_plan"


class OtherPlace(Forbidden):
    """The API key is bound to another project or environment than the experiment is to be in."""

    code = "experiments.other_place"


class UnknownMetric(Invalid):
    """A metric that the experiment names does not exist in its tenant; make it first."""

    code = "experiments.unknown_metric"


class BadRange(Invalid):
    """A range of a layer does not lie within 0 and 100000, or a holdout's share within 1 and 20000."""

    code = "experiments.bad_range"


class RangeTaken(Conflict):
    """Another experiment that is not over has a part of this range of the layer; choose places that are free."""

    code = "experiments.range_taken"


class LayerNotFound(NotFound):
    """There is no such layer in the caller's tenant."""

    code = "experiments.layer_not_found"


class LayerKeyTaken(Conflict):
    """Another layer of the tenant has this key."""

    code = "experiments.layer_key_taken"


class LayerInUse(Conflict):
    """Experiments have ranges of this layer; take them off it first."""

    code = "experiments.layer_in_use"


class HoldoutNotFound(NotFound):
    """There is no such holdout in the caller's tenant."""

    code = "experiments.holdout_not_found"


class HoldoutKeyTaken(Conflict):
    """Another holdout of the tenant has this key."""

    code = "experiments.holdout_key_taken"


class TooManyHoldouts(Conflict):
    """A tenant has at most 100 holdouts; delete one that is no longer needed."""

    code = "experiments.too_many_holdouts"


class ReportNotFound(NotFound):
    """There is no such report, or it is not for the caller to read."""

    code = "experiments.report_not_found"


class BatchTooLarge(TooLarge):
    """More items than are taken at once; send them in several batches."""

    code = "experiments.batch_too_large"


class BadBatch(Invalid):
    """The body is neither a JSON object with a list of items nor lines of JSON; the message says which."""

    code = "experiments.bad_batch"


class IntakeAway(Unavailable):
    """Neither the stream nor the database can keep the batch now; nothing of it was taken. Send it again."""

    code = "experiments.intake_away"


class UnknownDimension(NotFound):
    """Nothing was recorded under this name when units were exposed; the message says what was."""

    code = "experiments.unknown_dimension"


class NotPlottable(NotFound):
    """There is nothing to draw: the metric or the variant that was asked for is in no result."""

    code = "experiments.not_plottable"
