"""What can go wrong with flags. The codes are permanent."""

from chassis.errors import Conflict, Forbidden, Invalid, NotFound, Stale, TooLarge


class FlagNotFound(NotFound):
    """There is no such flag in this project of the caller's tenant."""

    code = "flags.not_found"


class ProjectNotFound(NotFound):
    """There is no such project in the caller's tenant."""

    code = "flags.project_not_found"


class EnvironmentNotFound(NotFound):
    """There is no such environment in the project."""

    code = "flags.environment_not_found"


class OtherPlace(Forbidden):
    """The API key is bound to another project or environment than the request speaks of."""

    code = "flags.other_place"


class FlagKeyTaken(Conflict):
    """The project has a flag with this key already."""

    code = "flags.key_taken"


class ProjectKeyTaken(Conflict):
    """The tenant has a project with this key already."""

    code = "flags.project_key_taken"


class FlagArchived(Conflict):
    """An archived flag does not change until its lifecycle is set back."""

    code = "flags.archived"


class StaleFlag(Stale):
    """The flag was changed since the version that `If-Match` names."""

    code = "flags.stale"


class BadVariants(Invalid):
    """The variants do not fit the flag's type, or are too few or too many."""

    code = "flags.bad_variants"


class UnknownVariant(Invalid):
    """A default or off variant is named that the flag does not have."""

    code = "flags.unknown_variant"


class BadRules(Invalid):
    """The rules, targets or prerequisites cannot be served as they are; `errors` says where and why."""

    code = "flags.bad_rules"


class BadSchema(Invalid):
    """The JSON Schema is not one that is known here, or is for a flag of another type than JSON."""

    code = "flags.bad_schema"


class FlagInUse(Conflict):
    """Other flags or segments look at what this flag serves; change those first."""

    code = "flags.in_use"


class BadAllocation(Invalid):
    """What an experiment wants of this flag cannot be served: an arm has no variant, or its targeting is wrong."""

    code = "flags.bad_allocation"


class InExperiment(Conflict):
    """An experiment that is running or planned needs this flag, variant or environment; end the experiment first."""

    code = "flags.in_experiment"


class StalePlan(Stale):
    """The scheduled change or rollout has moved on since the version that `If-Match` names."""

    code = "flags.plan_stale"


class SegmentNotFound(NotFound):
    """There is no such segment in this project of the caller's tenant."""

    code = "flags.segment_not_found"


class SegmentKeyTaken(Conflict):
    """The project has a segment with this key already."""

    code = "flags.segment_key_taken"


class SegmentInUse(Conflict):
    """Flags or other segments use this segment; change those first."""

    code = "flags.segment_in_use"


class StaleSegment(Stale):
    """The segment was changed since the version that `If-Match` names."""

    code = "flags.segment_stale"


class TooManyMembers(Invalid):
    """A segment lists at most 100,000 ids."""

    code = "flags.too_many_members"


class EnvironmentKeyTaken(Conflict):
    """The project has an environment with this key already."""

    code = "flags.environment_key_taken"


class StaleEnvironment(Stale):
    """The environment was changed since the version that `If-Match` names."""

    code = "flags.environment_stale"


class EnvironmentKept(Conflict):
    """The environment cannot be deleted: production stands for a request that names none."""

    code = "flags.environment_kept"


class TooManyEnvironments(Conflict):
    """A project has at most 50 environments."""

    code = "flags.too_many_environments"


class RevisionNotFound(NotFound):
    """The flag has no such revision."""

    code = "flags.revision_not_found"


class BadKey(Invalid):
    """The key has the form of an id, so nobody could tell which of the two is meant."""

    code = "flags.bad_key"


class BadPeriod(Invalid):
    """The period that is asked about is empty, or too long to be told at once."""

    code = "flags.bad_period"


class ApprovalNeeded(Conflict):
    """The environment takes changes only by a change request that others have approved."""

    code = "flags.approval_needed"


class BadSchedule(Invalid):
    """The time of a scheduled change is over or too far away, or the change says nothing."""

    code = "flags.bad_schedule"


class ScheduleNotFound(NotFound):
    """The flag has no such scheduled change."""

    code = "flags.schedule_not_found"


class ScheduleOver(Conflict):
    """The scheduled change was made, has failed or was cancelled already."""

    code = "flags.schedule_over"


class TooManySchedules(Conflict):
    """A flag has at most 100 changes scheduled at a time."""

    code = "flags.too_many_schedules"


class BadRollout(Invalid):
    """The stages of a rollout do not grow, or its rule would be reached by nobody."""

    code = "flags.bad_rollout"


class RolloutNotFound(NotFound):
    """The flag has no such rollout."""

    code = "flags.rollout_not_found"


class RolloutOver(Conflict):
    """The rollout is completed, aborted or failed, and does not move any more."""

    code = "flags.rollout_over"


class RolloutRunning(Conflict):
    """The flag has an unfinished rollout in this environment already: abort that one first."""

    code = "flags.rollout_running"


class RolloutLost(Conflict):
    """The rule of the rollout was removed from the flag, so that its share cannot be changed."""

    code = "flags.rollout_lost"


class AuthorGone(Forbidden):
    """Whoever asked for a change that was to be made later cannot act any more: gone, disabled, or the key revoked."""

    code = "flags.author_gone"


class ChangeRequestNotFound(NotFound):
    """There is no such change request in this project of the caller's tenant."""

    code = "flags.change_request_not_found"


class BadChangeRequest(Invalid):
    """A change request proposes nothing, or two things at once."""

    code = "flags.bad_change_request"


class ChangeRequestOver(Conflict):
    """The change request was applied, rejected or cancelled already."""

    code = "flags.change_request_over"


class OwnChangeRequest(Forbidden):
    """Nobody approves their own change request."""

    code = "flags.own_change_request"


class NotYourChangeRequest(Forbidden):
    """Only whoever made a change request can edit it."""

    code = "flags.not_your_change_request"


class ApprovalsMissing(Conflict):
    """Too few have approved the change request for it to be applied."""

    code = "flags.approvals_missing"


class FlagMovedOn(Conflict):
    """The flag was changed since the change request was last edited: look at it again and edit the request."""

    code = "flags.moved_on"


class StaleChangeRequest(Stale):
    """The change request was changed since the version that `If-Match` names."""

    code = "flags.change_request_stale"


class BadDocument(Invalid):
    """The document of a project cannot be brought about as it is; `errors` says where and why."""

    code = "flags.bad_document"


class TooMuchToExport(TooLarge):
    """A project of more than 2,000 flags, or with more than 200,000 ids in segments, is too large for one document."""

    code = "flags.too_much_to_export"
