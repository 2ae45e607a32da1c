"""The REST doors, in the order in which they are tried."""

from experiments.api import experiments, metrics, schedules

routers = (schedules.router, experiments.router, metrics.router)
