"""Every REST door of iam."""

from iam.api import auth, users, well_known

routers = (*auth.routers, users.router, well_known.router)
