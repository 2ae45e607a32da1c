"""Every REST door of iam."""

from iam.api import (
    api_keys,
    assignments,
    auth,
    invitations,
    organizations,
    roles,
    sessions,
    users,
    well_known,
)

routers = (
    *auth.routers,
    users.router,
    roles.router,
    assignments.router,
    invitations.router,
    *organizations.routers,
    api_keys.router,
    sessions.router,
    well_known.router,
)
