"""What can go wrong with flags. The codes are permanent."""

from chassis.errors import Conflict, Forbidden, Invalid, NotFound, Stale


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


class BadKey(Invalid):
    """The key has the form of an id, so nobody could tell which of the two is meant."""

    code = "flags.bad_key"
