"""Every REST door of flags."""

from flags.api import (
    evaluate,
    exchange,
    feature_flags,
    ofrep_routes,
    ofrep_stream,
    past_flags,
    projects,
    requests,
    rollouts,
    schedules,
    segments,
    unleash,
    usage,
)

# Words that stand where a flag's key does (`/stale`) come before it.
routers = (
    usage.router,
    evaluate.router,
    feature_flags.router,
    past_flags.router,
    schedules.router,
    rollouts.router,
    requests.router,
    segments.router,
    projects.router,
    exchange.router,
    ofrep_routes.router,
    ofrep_stream.router,
    unleash.client,
    unleash.frontend,
)
