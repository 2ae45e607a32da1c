"""What can go wrong with usage."""

from chassis.errors import Conflict, Invalid


class UsageConflict(Conflict):
    """The ledger has another record under this (source, event_id); nothing is ever overwritten: send a correction."""

    code = "compute.usage_conflict"


class NoSuchRecord(Invalid):
    """A correction names a record that is not in the organization's ledger, or that is a correction itself."""

    code = "compute.no_such_record"


class BadCorrection(Invalid):
    """A correction would leave less than nothing, or touches what the platform itself has metered."""

    code = "compute.bad_correction"


class NotYet(Invalid):
    """The usage lies in the future."""

    code = "compute.usage_in_future"


class ReservedSource(Invalid):
    """The source is that of the platform's own meter; choose another name."""

    code = "compute.reserved_source"
