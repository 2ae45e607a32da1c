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


class BadPlace(Invalid):
    """A role holds on the platform, in a tenant, in one project of it, or for one thing; this is none of these."""

    code = "iam.bad_scope_of_role"


class GuestAccount(Forbidden):
    """The account of a guest belongs to another organization: a role can be changed here, or the guest removed."""

    code = "iam.guest_account"


class PlatformStays(Conflict):
    """The organization that runs the platform cannot be switched off: nobody could switch it on again."""

    code = "iam.platform_stays"


class LineTaken(Conflict):
    """This value of the claim gives this role at this scope already."""

    code = "iam.external_role_taken"


class LineNotFound(NotFound):
    """No such line in the tenant's table of outside groups."""

    code = "iam.external_role_not_found"


class ProjectUnknown(Invalid):
    """The tenant has no such project, so nothing can be given there."""

    code = "iam.unknown_project"


class PlatformOnly(Forbidden):
    """Only who holds it on the whole platform gives or takes something on the whole platform."""

    code = "iam.platform_only"


class HeldThroughGroup(Conflict):
    """The role is held through a group: take it from the group, or the member out of it."""

    code = "iam.role_held_through_group"
