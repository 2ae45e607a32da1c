"""How iam's changes look in the audit log: never with a password, a token, a key or a hash."""

from dataclasses import dataclass, replace
from uuid import UUID

from chassis.facts import Actor, Document, Fact, Outcome, Seen, Target, changed
from iam.domain.account import Somebody
from iam.domain.api_key import ApiKey
from iam.domain.external import Line
from iam.domain.grants import Grant
from iam.domain.invitation import Invitation
from iam.domain.roles import Role
from iam.domain.session import Session
from iam.domain.tenant import Tenant
from iam.domain.user import User
from iam.ports import Turned

SYSTEM = Actor("service", "iam", "iam")


def acting(user: Somebody, session: Session | None = None) -> Actor:
    """Return the actor that a user is who is just logging in."""
    return Actor("user", str(user.id), user.name, str(session.id) if session else "")


def user_fact(
    actor: Actor, verb: str, before: User | None, after: User | None, reason: str = ""
) -> Fact:
    """Return the fact that something happened to a user."""
    return changed(actor, verb, before and _user(before), after and _user(after), reason)


def tenant_fact(actor: Actor, verb: str, tenant: Tenant, before: Tenant | None = None) -> Fact:
    """Return the fact that something happened to a tenant."""
    return changed(actor, verb, before and _tenant(before), _tenant(tenant))


def session_fact(actor: Actor, verb: str, session: Session, reason: str = "") -> Fact:
    """Return the fact that something happened to a session."""
    return Fact(
        tenant=session.tenant,
        actor=actor,
        action=f"session.{verb}",
        target=Target("session", str(session.id)),
        after={"user": str(session.user), "amr": list(session.amr)},
        reason=reason,
    )


def password_fact(actor: Actor, verb: str, user: User, outcome: Outcome = Outcome.SUCCESS) -> Fact:
    """Return the fact that something happened to a user's password."""
    return Fact(
        tenant=user.tenant,
        actor=actor,
        action=f"user.{verb}",
        target=Target("user", str(user.id), user.name),
        outcome=outcome,
    )


def failed_login(user: Somebody | None, reason: str) -> Fact:
    """Return the fact that a login failed. What was typed for an unknown account may be a password: it is not kept."""
    target = Target("user", str(user.id), user.name) if user else Target("user", "", "unknown")
    return Fact(
        tenant=user.tenant if user else None,
        actor=Actor("anonymous", ""),
        action="session.login_failed",
        target=target,
        reason=reason,
        outcome=Outcome.FAILED,
    )


def throttled_login(user: Somebody | None) -> Fact:
    """Return the fact that somebody failed so often that logins of an account have to wait."""
    failed = failed_login(user, "too many failed logins from one address")
    return replace(failed, action="session.login_throttled", outcome=Outcome.DENIED)


def key_fact(actor: Actor, verb: str, before: ApiKey | None, after: ApiKey | None) -> Fact:
    """Return the fact that something happened to an API key."""
    return changed(actor, verb, before and _key(before), after and _key(after))


def role_fact(actor: Actor, verb: str, before: Role | None, after: Role | None) -> Fact:
    """Return the fact that something happened to a tenant's own role."""
    return changed(actor, verb, before and _role(before), after and _role(after))


def line_fact(actor: Actor, verb: str, line: Line) -> Fact:
    """Return the fact that an outside group came to mean a role, or does not any more."""
    what: Document = {
        "idp": line.idp,
        "claim": line.claim,
        "value": line.value,
        "role": line.role,
        "scope": str(line.where),
        "rule": line.rule,
    }
    return Fact(
        tenant=line.tenant,
        actor=actor,
        action=f"external_role.{verb}",
        target=Target("external_role", str(line.id), line.value),
        before=what if verb == "deleted" else None,
        after=None if verb == "deleted" else what,
    )


def synced_fact(actor: Actor, idp: str, before: User, after: User) -> Fact:
    """Return the fact that what a user holds by an identity provider is not as it was."""

    def held(user: User) -> Document:
        mine = (grant for grant in user.grants if grant.source == idp)
        return {"idp": idp, "roles": [f"{grant.role}@{grant.at}" for grant in mine]}

    return Fact(
        tenant=after.tenant,
        actor=actor,
        action="role.synced",
        target=Target("user", str(after.id), after.name),
        before=held(before),
        after=held(after),
    )


def guest_fact(actor: Actor, verb: str, guest: User) -> Fact:
    """Return the fact that somebody came to a tenant beyond their own, or left it."""
    what: Document = {"email": guest.email, "roles": list(guest.roles)}
    return Fact(
        tenant=guest.tenant,
        actor=actor,
        action=f"guest.{verb}",
        target=Target("user", str(guest.id), guest.name),
        before=None if verb == "added" else what,
        after=what if verb == "added" else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """That a role was given to somebody (`given`), or taken from them (None); `had` is how they had it before."""

    tenant: UUID
    target: Target
    role: Role
    had: Grant | None
    given: Grant | None


def assignment_fact(actor: Actor, what: Assignment) -> Fact:
    """Return the fact that a role was given to somebody or taken from them."""
    return Fact(
        tenant=what.tenant,
        actor=actor,
        action="role.assigned" if what.given else "role.unassigned",
        target=what.target,
        before=_grant(what.role.label, what.had),
        after=_grant(what.role.label, what.given),
        reason=what.given.reason if what.given else "",
    )


def expiry_fact(actor: Actor, turned: Turned) -> Fact:
    """Return the fact that a role which was given for a time has begun or ended."""
    what = {"role": turned.role, "scope": turned.scope}
    return Fact(
        tenant=turned.tenant,
        actor=actor,
        action="role.expired" if turned.ended else "role.begun",
        target=Target(turned.kind, str(turned.principal)),
        before=what if turned.ended else None,
        after=None if turned.ended else what,
    )


def invitation_fact(actor: Actor, verb: str, invitation: Invitation) -> Fact:
    """Return the fact that something happened to an invitation."""
    return Fact(
        tenant=invitation.tenant,
        actor=actor,
        action=f"invitation.{verb}",
        target=Target("invitation", str(invitation.id), invitation.email),
        after={
            "email": invitation.email,
            "role": invitation.role,
            "expires_at": invitation.expires_at.isoformat(),
            "accepted_by": invitation.accepted_by and str(invitation.accepted_by),
        },
    )


def signing_key_fact(verb: str, kid: str, reason: str = "") -> Fact:
    """Return the fact that a signing key came or went."""
    return Fact(
        tenant=None,
        actor=SYSTEM,
        action=f"signing_key.{verb}",
        target=Target("signing_key", kid),
        reason=reason,
    )


def _user(user: User) -> Seen:
    what = {
        "email": user.email,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "is_active": user.active,
        "roles": list(user.roles),
    }
    return user.tenant, Target("user", str(user.id), user.name), what


def _tenant(tenant: Tenant) -> Seen:
    what = {
        "subdomain": tenant.subdomain,
        "name": tenant.name,
        "full_name": tenant.full_name,
        "address": dict(tenant.address),
        "phone": tenant.phone,
        "email": tenant.email,
        "active": tenant.active,
    }
    return tenant.id, Target("tenant", str(tenant.id), tenant.subdomain), what


def _role(role: Role) -> Seen:
    what = {
        "name": role.name,
        "description": role.description,
        "permissions": sorted(role.permissions),
    }
    return role.tenant, Target("role", role.id, role.name), what


def _grant(role: str, grant: Grant | None) -> Document | None:
    return grant and {
        "role": role,
        "scope": str(grant.at),
        **({"source": grant.source} if grant.source else {}),
        "not_before": grant.not_before and grant.not_before.isoformat(),
        "expires_at": grant.expires_at and grant.expires_at.isoformat(),
    }


def _key(key: ApiKey) -> Seen:
    what = {
        "name": key.name,
        "kind": key.kind,
        "environment": key.environment,
        "project": key.project,
        "scopes": sorted(key.scopes),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "versions": [version.prefix for version in key.versions],
    }
    return key.tenant, Target("api_key", str(key.id), key.name), what
