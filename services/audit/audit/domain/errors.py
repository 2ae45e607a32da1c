"""Every way in which the audit service refuses. Codes are permanent."""

from chassis.errors import (
    Broken,
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    Stale,
    TooLarge,
)


class BadEvent(Invalid):
    """An event that cannot enter the log. Its index in the batch is in the pointer; nothing of the batch was stored."""

    code = "audit.bad_event"

    def __init__(self, index: int, where: str, message: str) -> None:
        wrong = FieldError(f"/events/{index}/{where}", message)
        super().__init__(f"events[{index}].{where.replace('/', '.')}: {message}", errors=(wrong,))
        self.index = index


class TooManyEvents(TooLarge):
    """A batch has more events than are taken at once."""

    code = "audit.too_many_events"


class BadRange(Invalid):
    """The range of dates ends before it begins."""

    code = "audit.bad_range"


class UnknownParameter(Invalid):
    """The query has a parameter that this list does not know: a filter with a typo would hide what it should show."""

    code = "audit.unknown_parameter"


class OtherTenant(Forbidden):
    """Only people of the platform may read the log of another tenant."""

    code = "audit.other_tenant"


class NoSuchEntry(NotFound):
    """There is no entry with this id in the tenant's log."""

    code = "audit.no_such_entry"


class TooDeep(Invalid):
    """A numbered page of a list by several filters lies beyond what is counted: go on by cursor."""

    code = "audit.too_deep"


class NoCheckpoint(NotFound):
    """The log is empty, so there is no checkpoint of it."""

    code = "audit.no_checkpoint"


class NoSuchTile(NotFound):
    """The tree has no such tile, or not that many hashes in it yet."""

    code = "audit.no_such_tile"


class BadTreeRange(Invalid):
    """A proof of consistency is asked for between sizes that the log never had in that order."""

    code = "audit.bad_tree_range"


class BrokenTree(Broken):
    """The hashes that are kept do not come to the root that was computed when the entries came: nothing is signed."""

    code = "audit.broken_tree"


class StaleRetention(Stale):
    """The retention was changed since it was read."""

    code = "audit.retention_stale"


class NoSuchStream(NotFound):
    """The tenant has no such stream."""

    code = "audit.no_such_stream"


class TooManyStreams(Conflict):
    """The log has as many streams as a log may have."""

    code = "audit.too_many_streams"


class BadAddress(Invalid):
    """A receiver's URL is none that entries may be sent to."""

    code = "audit.bad_address"

    def __init__(self, why: str) -> None:
        super().__init__(f"url: {why}", errors=(FieldError("/url", why),))


class StaleStream(Stale):
    """The stream was changed since it was read."""

    code = "audit.stream_stale"
