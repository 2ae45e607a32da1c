"""Every REST door of iam."""

from iam.api import (
    api_keys,
    assignments,
    auth,
    authz,
    debug,
    gitops,
    invitations,
    organizations,
    passwords,
    roles,
    sessions,
    users,
    well_known,
)

routers = (
    *auth.routers,
    users.router,
    passwords.router,
    roles.router,
    assignments.router,
    *authz.routers,
    invitations.router,
    *organizations.routers,
    api_keys.router,
    sessions.router,
    gitops.router,
    debug.router,
    well_known.router,
)
