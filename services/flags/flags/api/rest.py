"""Every REST door of flags."""

from flags.api import feature_flags, ofrep_routes, projects

routers = (feature_flags.router, projects.router, ofrep_routes.router)
