"""Every REST door of flags."""

from flags.api import (
    exchange,
    feature_flags,
    ofrep_routes,
    past_flags,
    projects,
    requests,
    rollouts,
    schedules,
    segments,
    usage,
)

# Words that stand where a flag's key does (`/stale`) come before it.
routers = (
    usage.router,
    feature_flags.router,
    past_flags.router,
    schedules.router,
    rollouts.router,
    requests.router,
    segments.router,
    projects.router,
    exchange.router,
    ofrep_routes.router,
)
