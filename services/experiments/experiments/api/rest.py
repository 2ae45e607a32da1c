"""The REST doors, in the order in which they are tried."""

from experiments.api import experiments, history, layers, metrics, schedules

routers = (
    schedules.router,
    experiments.router,
    history.router,
    metrics.router,
    layers.layers,
    layers.holdouts,
)
