"""The REST doors, in the order in which they are tried."""

from experiments.api import (
    experiments,
    history,
    intake,
    layers,
    metrics,
    reports,
    results,
    schedules,
)

routers = (
    schedules.router,
    results.router,
    experiments.router,
    history.router,
    metrics.router,
    intake.router,
    layers.layers,
    layers.holdouts,
    reports.router,
    reports.shared,
)
