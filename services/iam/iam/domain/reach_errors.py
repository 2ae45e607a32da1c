"""Every way in which iam refuses about scopes, guests and groups from outside. Codes are permanent."""

from chassis.errors import Conflict, Forbidden, Invalid, NotFound


class BadPlace(Invalid):
    """A role holds on the platform, in a tenant, in one project of it, or for one thing; this is none of these."""

    code = "iam.bad_scope_of_role"


class GuestAccount(Forbidden):
    """The account of a guest belongs to another organization: a role can be changed here, or the guest removed."""

    code = "iam.guest_account"


class HeldThroughGroup(Conflict):
    """The role is held through a group: take it from the group, or the member out of it."""

    code = "iam.role_held_through_group"


class InvitedAnother(Forbidden):
    """The invitation is for another address than that of the account that wants to use it."""

    code = "iam.invited_another"


class AmbiguousLogin(Conflict):
    """The name and the password are right in several organizations: send `tenant_subdomain` to say which is meant."""

    code = "iam.ambiguous_login"


class AlreadyMember(Conflict):
    """The user is in this tenant already."""

    code = "iam.already_member"


class PlatformStays(Conflict):
    """The organization that runs the platform cannot be switched off: nobody could switch it on again."""

    code = "iam.platform_stays"


class Confusable(Conflict):
    """The name looks like that of another organization but is written with other letters."""

    code = "iam.confusable_name"


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
