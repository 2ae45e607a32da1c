"""Every REST door of flags."""

from flags.api import feature_flags, projects

routers = (feature_flags.router, projects.router)
