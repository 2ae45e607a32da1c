"""Every REST door of flags."""

from flags.api import (
    evaluate,
    feature_flags,
    ofrep_routes,
    ofrep_stream,
    past_flags,
    projects,
    segments,
    unleash,
)

routers = (
    evaluate.router,
    feature_flags.router,
    past_flags.router,
    segments.router,
    projects.router,
    ofrep_routes.router,
    ofrep_stream.router,
    unleash.client,
    unleash.frontend,
)
