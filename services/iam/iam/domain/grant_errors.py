"""Every way in which giving roles is refused: to users, guests, groups and by outside groups. Codes are permanent."""

from chassis.errors import Conflict, Forbidden, Invalid, NotFound, Stale


class UnknownRole(Invalid):
    """There is no such role."""

    code = "iam.unknown_role"


class UnknownPermission(Invalid):
    """There is no such permission in the catalogue."""

    code = "iam.unknown_permission"


class RoleNotFound(NotFound):
    """No such role in the caller's tenant."""

    code = "iam.role_not_found"


class RoleStale(Stale):
    """The role was changed since it was read."""

    code = "iam.role_stale"


class RoleNameTaken(Conflict):
    """Another role of the tenant, or a system role, has this name."""

    code = "iam.role_name_taken"


class RoleAssigned(Conflict):
    """The role is held by somebody, so it cannot be deleted; take it from them first."""

    code = "iam.role_assigned"


class SystemRole(Forbidden):
    """System roles cannot be changed or deleted; make a role of your own."""

    code = "iam.system_role"


class RoleNotHeld(NotFound):
    """The user does not hold this role."""

    code = "iam.role_not_held"


class BadWindow(Invalid):
    """A role would end before it begins, or in the past."""

    code = "iam.bad_window"


class UnknownAccount(Invalid):
    """The tenant has no such service or pipeline account, or none that the caller may change."""

    code = "iam.unknown_account"


class AccountKeyKind(Invalid):
    """A key of a service or pipeline account acts for it, so it is a management key."""

    code = "iam.account_key_kind"
