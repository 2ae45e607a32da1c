"""Every REST door of flags."""

from flags.api import feature_flags, ofrep_routes, past_flags, projects, segments

routers = (
    feature_flags.router,
    past_flags.router,
    segments.router,
    projects.router,
    ofrep_routes.router,
)
