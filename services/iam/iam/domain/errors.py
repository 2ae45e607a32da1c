"""Every way in which iam refuses. Codes are permanent."""

from chassis.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Stale,
    TooMany,
    Unauthenticated,
    Unavailable,
)


class BadLogin(Unauthenticated):
    """The name or the password is wrong, or the account or its organization is disabled. We do not say which."""

    code = "iam.bad_login"


class TooManyLogins(TooMany):
    """Too many failed logins for this account from this address; other addresses are not held up."""

    code = "iam.too_many_logins"


class BadRefreshToken(Unauthenticated):
    """The refresh token is unknown, used up or expired, or its session was ended. Log in again."""

    code = "iam.bad_refresh_token"


class UnsupportedGrant(BadRequest):
    """The token endpoint does not know this grant type."""

    code = "iam.unsupported_grant_type"


class NoSigningKey(Unavailable):
    """No key is ready to sign tokens yet."""

    code = "iam.no_signing_key"


class KeepsOldKeys(BadRequest):
    """Old signing keys cannot be revoked while the next one waits: then nobody could log in."""

    code = "iam.keeps_old_keys"


class Behind(Unavailable):
    """The replica has fallen behind what is remembered of changes and must begin again."""

    code = "iam.snapshot_behind"


class UserNotFound(NotFound):
    """No such user in the caller's tenant."""

    code = "iam.user_not_found"


class UserStale(Stale):
    """The user was changed since it was read."""

    code = "iam.user_stale"


class EmailTaken(Conflict):
    """Another user of the tenant has this e-mail address."""

    code = "iam.email_taken"


class UsernameTaken(Conflict):
    """Another user of the tenant has this user name."""

    code = "iam.username_taken"


class LastAdmin(Conflict):
    """The tenant would be left without an active administrator."""

    code = "iam.last_admin"


class SelfDemotion(BadRequest):
    """Nobody takes a role from themselves; another administrator has to do it."""

    code = "iam.self_demotion"


class SelfDeactivation(BadRequest):
    """Nobody disables or deletes their own account; another administrator has to do it."""

    code = "iam.self_deactivation"


class MoreThanYouHold(Forbidden):
    """Nobody gives, or decides over, permissions that they do not hold themselves."""

    code = "iam.more_than_you_hold"


class BadName(Invalid):
    """The name holds letters that nobody sees, such as marks of direction, so that it looks like another."""

    code = "iam.bad_name"


class RegistrationClosed(Forbidden):
    """No tenant takes registrations, or not the one that was named. IAM_REGISTRATION_TENANT says which one does."""

    code = "iam.registration_closed"


class UnknownUser(Invalid):
    """One of the users that a role shall be given to is not in the tenant."""

    code = "iam.unknown_user"


class InvitationNotFound(NotFound):
    """No such invitation in the caller's tenant."""

    code = "iam.invitation_not_found"


class BadInvitation(NotFound):
    """The invitation is unknown, used, revoked or expired. We do not say which."""

    code = "iam.bad_invitation"


class InvitationPending(Conflict):
    """This address has an open invitation already; resend or revoke that one."""

    code = "iam.invitation_pending"


class InvitationClosed(Conflict):
    """The invitation was accepted or revoked, so nothing can be done with it any more."""

    code = "iam.invitation_closed"


class BadEmail(Invalid):
    """This is not an e-mail address."""

    code = "iam.bad_email"


class WeakPassword(Invalid):
    """The password is too short, or among the first that an attacker tries."""

    code = "iam.weak_password"


class WrongPassword(Invalid):
    """What was given as the present password is not it."""

    code = "iam.wrong_password"


class BadPasswordReset(BadRequest):
    """The token to set a password is unknown, used or expired. We do not say which."""

    code = "iam.bad_password_reset"


class ResetYourself(BadRequest):
    """Nobody resets their own password as an administrator; it is changed with the present one."""

    code = "iam.reset_yourself"


class TenantNotFound(NotFound):
    """No such tenant, or the caller cannot reach it."""

    code = "iam.tenant_not_found"


class TenantStale(Stale):
    """The organization was changed since it was read."""

    code = "iam.tenant_stale"


class NotYourOrganization(Forbidden):
    """This is not the caller's organization, if it is one at all."""

    code = "iam.not_your_organization"


class TenantTaken(Conflict):
    """An organization with this subdomain exists."""

    code = "iam.tenant_taken"


class TooManyRows(BadRequest):
    """The list is too long to be given whole."""

    code = "pagination_required"


class KeyNotFound(NotFound):
    """No such API key in the caller's tenant."""

    code = "iam.api_key_not_found"


class SessionStale(Stale):
    """The session was refreshed since it was read."""

    code = "iam.session_stale"


class KeyStale(Stale):
    """The API key was changed since it was read."""

    code = "iam.api_key_stale"


class KeyNotLive(Conflict):
    """The API key has expired, so it cannot be rotated; make a new one."""

    code = "iam.api_key_not_live"


class BadScope(Invalid):
    """The scope is no permission, or not one that this kind of key can have."""

    code = "iam.bad_scope"


class BadExpiry(Invalid):
    """An expiry lies in the past, or beyond that of the key by which a key is made."""

    code = "iam.bad_expiry"


class SessionNotFound(NotFound):
    """No such live session of the caller, or of their tenant for whoever may see those."""

    code = "iam.session_not_found"
